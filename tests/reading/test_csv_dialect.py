"""What ``dialect: auto`` takes a file for, and that no single record changes it."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading.csv_dialect import DETECTION_BYTES, Detected, detect
from sluice.registry import CsvDialect, Source
from tests.properties import tried

RECORDS = [
    (f"2026-01-{day:02}", f"Item {chr(64 + day)}", f"{day * 3}.50", f"AB-{day}77", "")
    for day in range(1, 26)
]
NAMES = ("date", "item", "price", "code", "remark")


def written(records: list[tuple[str, ...]], delimiter: str = ",", line_end: str = "\n") -> str:
    return "".join(delimiter.join(record) + line_end for record in records)


BODY = written(RECORDS)
TABLE = written([NAMES, *RECORDS])


def look(text: str | bytes, source: Source | None = None, **given: Any) -> Detected:
    content = text if isinstance(text, bytes) else text.encode()
    return detect(content, source, is_whole_file=True, **given)


def declared(columns: dict[str, str], **more: Any) -> Source:
    types = {name: {"data_type": data_type} for name, data_type in columns.items()}
    return Source.model_validate(
        {"name": "s", "description": "", "owner": "", "dialect": "auto", "columns": types, **more}
    )


ITEMS = declared(
    {"date": "date", "item": "text", "price": "decimal", "code": "text", "remark": "text"}
)


def test_rfc_4180_is_taken_for_it() -> None:
    found = look(TABLE)
    assert found.dialect == CsvDialect(delimiter=",")
    assert found.names is None
    assert "Delimiter ',': 26 of the 26 records looked at have 5 fields." in found.notes
    assert "The header is line 1." in found.notes


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "^", "~", "\x1f", ":"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_delimiter_is_seen(delimiter: str, line_end: str) -> None:
    found = look(written([NAMES, *RECORDS], delimiter, line_end))
    assert found.dialect == CsvDialect(delimiter=delimiter)


def test_a_space_divides_where_the_fields_are_values() -> None:
    found = look("host cpu memory\n" + "a1 17 3.5\n" * 9)
    assert found.dialect.delimiter == " "


@pytest.mark.parametrize(
    "text",
    [
        "remark\ngood, all in all\nfine\nbad\nso so\nnothing to say\n",
        "name\nJane Doe\nJohn Smith\n",
        "number\n1\n2\n3\n",
    ],
)
def test_a_single_column_has_no_delimiter(text: str) -> None:
    found = look(text)
    assert found.dialect.delimiter not in text
    assert found.dialect == CsvDialect(delimiter=found.dialect.delimiter)
    assert "single field" in found.notes[1]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("1,5;2,5;3,5\n2,5;3,5;4,5\n", ";"),
        ("name;price\nink;1,50\npen;2,75\n", ";"),
        ("name;town\nDoe, Jane;Bonn\nRoe, Jim;Ulm\n", ";"),
        ("at,value\n10:00:00,5\n10:00:01,6\n", ","),
        ("a\tb\n1,2\t3\n4,5\t6\n", "\t"),
    ],
)
def test_other_delimiters_within_values_do_not_mislead(text: str, delimiter: str) -> None:
    assert look(text).dialect.delimiter == delimiter


@pytest.mark.parametrize("line", ["sep={}", "SEP={}", '"sep={}"', "sep={0}{0}{0}"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_excel_s_declaration_of_the_delimiter(line: str, delimiter: str, line_end: str) -> None:
    text = line.format(delimiter) + line_end + written([NAMES, *RECORDS], delimiter, line_end)
    found = look(text.replace("Item ", "Item"))
    assert found.dialect == CsvDialect(delimiter=delimiter, skip_lines=1)
    assert found.names is None
    assert found.notes[1].startswith("The first line declares the delimiter: ")


def test_excel_s_declaration_decides_what_could_be_either() -> None:
    assert look("sep=;\na,b;c,d\ne,f;g,h\n").dialect.delimiter == ";"
    assert look("sep=,\na,b;c,d\ne,f;g,h\n").dialect.delimiter == ","


def test_excel_s_declaration_above_records_without_a_header() -> None:
    found = look("sep=;\n1;2,5\n2;3,5\n")
    assert found.dialect == CsvDialect(delimiter=";", skip_lines=1, header=False)


def test_excel_s_declaration_alone_is_no_header() -> None:
    assert look("sep=;\n").dialect.skip_lines == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep=;\na,b\n1,2\n3,4\n", "divided by ','"),
        ("sep=\u00a7\na\u00a7b\n", "which cannot be one"),
    ],
)
def test_a_declaration_that_does_not_fit_refuses_the_file(text: str, message: str) -> None:
    with pytest.raises(DeliveryError, match=message) as caught:
        look(text)
    assert caught.value.code == "bad_structure"
    assert "declare the dialect" in caught.value.remedy


@pytest.mark.parametrize("header", ["sep=ab;x", "separator;x", "sep;x"])
def test_a_name_that_begins_like_it_is_a_name(header: str) -> None:
    found = look(f"{header}\n1;2\n3;4\n")
    assert found.dialect == CsvDialect(delimiter=";")


def test_the_format_s_own_delimiter_wins_a_tie() -> None:
    text = "a,b\tc\nx,y\tz\n"
    assert look(text, delimiter="\t").dialect.delimiter == "\t"
    assert look(text, delimiter=",").dialect.delimiter == ","


BROKEN = {
    "extra fields": "1,2,3,4,5,6,7,8",
    "too few fields": "only one",
    "another delimiter": "2026-02-01;Item;1.50;AB-1;",
    "open quote": '"2026-02-01,Item,1.50,AB-1,',
    "stray quote": '2026-02-01,It"em,1.50,AB-1,',
    "other quote": "'2026-02-01','Item','1.50','AB-1',''",
    "escaped quote": '2026-02-01,"a \\" b",1.50,AB-1,',
    "comment": "# 2026-02-01",
    "blank": "",
    "words": "these,are,only,some,words",
}


@pytest.mark.parametrize("record", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", [1, 2, 13, 26])
def test_one_bad_record_changes_nothing(record: str, place: int) -> None:
    lines = TABLE.splitlines(keepends=True)
    lines.insert(place, record + "\n")
    found = look("".join(lines))
    if place == 1 and record == "":  # blank lines below the header are passed over with it
        assert (found.dialect.skip_lines, found.names) == (2, NAMES)
        return
    if place == 1 and record == BROKEN["words"]:  # nothing tells it from a header's second row
        assert found.dialect.skip_lines == 2
        found = look("".join(lines), ITEMS)  # but the registry's names
    assert found.dialect == CsvDialect(delimiter=",")
    assert found.names is None


def test_quotes_are_seen_by_the_fields_within_them() -> None:
    text = "a,b\n" + "'it, so','1'\n'or, so','2'\n" * 3
    assert look(text).dialect == CsvDialect(delimiter=",", quote="'")


def test_apostrophes_are_no_quotes() -> None:
    assert look("a,b\n'twas,1\nmen's,2\ndogs',3\n").dialect.quote == '"'


def test_inches_are_no_quotes() -> None:
    found = look('size\tprice\n5" x 4"\t1.5\n6" long\t2.5\n7"\t3.5\n')
    assert found.dialect == CsvDialect(delimiter="\t", quote=None)
    assert any(note.startswith("No quote") for note in found.notes)


def test_quotes_after_a_space_stay_quotes() -> None:
    # Taken for characters of the values, they would be loaded as such.
    assert look('a, b\n1, "x, y"\n2, "y, z"\n3, "z"\n4, "u"\n').dialect.quote == '"'


def test_spaces_before_quotes_belong_to_the_delimiter() -> None:
    found = look('a, b, c\n1, "x, y", 2\n3, "y, z", 4\n5, u, 6\n')
    assert found.dialect == CsvDialect(delimiter=",", space_after_delimiter=True)
    assert "Spaces after a delimiter belong to it: most quotes stand after one." in found.notes


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1, "x"\n2,"y"\n3,"z"\n',  # one record is broken
        "a, b\n1, x\n2, y\n3, z\n",  # the spaces may be part of the values
        'remark\nshe said, "yes"\nhe said, "no"\nthey said, "well"\n',
        'a b\n1 "x"\n2  "y"\n3  "z"\n',
    ],
)
def test_other_spaces_are_part_of_the_values(text: str) -> None:
    assert not look(text).dialect.space_after_delimiter


def test_an_escape_needs_more_than_one_record() -> None:
    once = 'a,b\n"x \\"y\\" z",1\np,2\n"q",3\n'
    assert look(once).dialect.escape is None
    assert look(once + '"u \\"v\\", w",4\n').dialect.escape == "\\"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("value", [r"say \"hi\" now", r"\"x\"", r"say \"hi\", now", r"a; b, \"c\""])
def test_an_escape_in_every_record_is_seen(delimiter: str, header: bool, value: str) -> None:
    names = f"a{delimiter}b\n" if header else ""
    found = look(names + f'1{delimiter}"{value}"\n' * 20)
    assert found.dialect == CsvDialect(delimiter=delimiter, escape="\\", header=header)


@pytest.mark.parametrize(
    "record",
    [
        '1;"say "hi" now"',
        '1,"say "hi" now"',
        '"say "hi" now"\t1',
        '1;"say "hi", now";x',
        '1|"a"b"|"c"d"',
    ],
)
@pytest.mark.parametrize("header", ["", "a;b\n", "a,b\n"])
def test_quotes_that_most_records_break_are_loaded_by_no_guess(record: str, header: str) -> None:
    with pytest.raises(DeliveryError, match="Quotes stand around fields") as caught:
        look(header + f"{record}\n" * 20)
    assert caught.value.code == "bad_quotes"
    assert "Declare the dialect" in caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        '"it, so"\n"or, so"\n' * 9,  # one column
        'a;b\n1;"C:\\dir\\"\n2;"D:\\"\n3;"E:\\x\\"\n',  # no escapes
        'a,b\n"1","2"\n"3","4"\n',
        "a,b\n" + '1,"x"y"\n' * 3 + "2,z\n" * 5,  # some broken records
    ],
)
def test_other_quotes_are_those_of_rfc_4180(text: str) -> None:
    found = look(text)
    assert (found.dialect.quote, found.dialect.escape) == ('"', None)


def test_doubled_quotes_and_line_ends_within_fields() -> None:
    text = "a,b\n" + '"one ""two""\nthree",1\n' * 5
    found = look(text)
    assert found.dialect == CsvDialect(delimiter=",")
    assert "6 of the 6 records" in found.notes[1]


def test_a_missing_header_is_seen() -> None:
    found = look(BODY)
    assert found.dialect == CsvDialect(delimiter=",", header=False)
    assert found.names == ("column_1", "column_2", "column_3", "column_4", "column_5")


@pytest.mark.parametrize(
    "text", ["a,b\nx,y\nu,v\n", "a,b\n", "country,2019,2020\nChile,1,2\nPeru,3,4\n"]
)
def test_a_header_is_the_rule(text: str) -> None:
    found = look(text)
    assert found.dialect.header
    assert found.names is None


def test_numbers_alone_are_no_header() -> None:
    assert not look("1,2,3\n").dialect.header


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ("Sales of the year\n", 1),
        ("Sales\nmade by hand\n\n", 3),
        ("Sales,,,,\n,,,,\n", 2),
        ("\n\n", 2),
    ],
)
def test_lines_above_the_header_are_passed_over(above: str, lines: int) -> None:
    found = look(above + TABLE)
    assert found.dialect == CsvDialect(delimiter=",", skip_lines=lines)
    assert f"The header is line {lines + 1}; what stands above it is passed over." in found.notes


@pytest.mark.parametrize("header", ["date,item,price,,code,remark", '"date,item,price,code,remark'])
def test_a_broken_header_is_none(header: str) -> None:
    # It stays the first record and is rejected; which names were meant nobody knows.
    found = look(f"{header}\n{BODY}")
    assert found.dialect == CsvDialect(delimiter=",", header=False)


def test_a_header_of_several_rows_is_joined() -> None:
    found = look("Day,What,Money,Key,Note\n" + TABLE)
    assert found.dialect == CsvDialect(delimiter=",", header=False, skip_lines=2)
    assert found.names == ("Day date", "What item", "Money price", "Key code", "Note remark")


QUARTERS = "".join(f"{{0}},{n},{n}.5,{n * 3},{n + 7}\n" for n in range(1, 201))


@pytest.mark.parametrize("place", ["North", "N-1", ""])
@pytest.mark.parametrize(
    "rows",
    [
        "Year,2025,,2026,\nRegion,Q1,Q2,Q3,Q4\n",
        "Year,2025,2025,2026,2026\nRegion,Q1,Q2,Q1,Q2\n",
        ",2025,,2026,\nRegion,Q1,Q2,Q3,Q4\n",
        "Report,,,,\nYear,2025,,2026,\nRegion,Q1,Q2,Q3,Q4\n",
        "Region,Sales,,Costs,\n2023,2024,2025,2026,2027\n",
        "Region,Sales,Sales,Costs,Costs\nName,H1 net,H2 net,H1 net,H2 net\n",
    ],
)
def test_rows_of_which_the_header_is_not_clear_refuse_the_file(rows: str, place: str) -> None:
    with pytest.raises(DeliveryError, match="not clear which rows name") as caught:
        look(rows + QUARTERS.format(place))
    assert caught.value.code == "no_header"
    assert "skip_lines" in caught.value.remedy


def test_declared_names_tell_the_header_of_several_rows() -> None:
    source = declared(dict.fromkeys(["region", "q1", "q2", "q3", "q4"], "text"))
    rows = "Year,2025,,2026,\nRegion,Q1,Q2,Q3,Q4\n"
    assert look(rows + QUARTERS.format("x"), source).dialect == CsvDialect(
        delimiter=",", skip_lines=1
    )


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b,c\nx,n/a,n/a\n" + "y,1,2\n" * 9, True),
        ("a,b,c\nx,-,-\n" + "y,1,2\n" * 9, True),
        ("x,1,2\ny,NULL,n/a\n" + "z,1,2\n" * 9, False),
        ("code,other\nX1,Y2\n3,4\n", True),  # nothing to tell records by
        ("a,b,c\nx,1,2\nQ1,Q2,Q3\n" + "y,1,2\n" * 9, True),  # one odd record below a good one
    ],
)
def test_odd_records_are_no_rows_of_the_header(text: str, header: bool) -> None:
    found = look(text)
    assert found.dialect == CsvDialect(delimiter=",", header=header)


def test_a_repeated_header_is_part_of_it() -> None:
    found = look("a,b\na,b\nx,y\nu,v\n")
    assert found.names == ("a a", "b b")


def test_of_a_header_of_several_rows_the_declared_one_counts() -> None:
    found = look("Day,What,Money,Key,Note\n" + TABLE, ITEMS)
    assert found.dialect == CsvDialect(delimiter=",", skip_lines=1)


def test_a_trailing_delimiter_is_no_field() -> None:
    found = look(TABLE.replace("\n", ",\n"))
    assert found.dialect == CsvDialect(
        delimiter=",", header=False, skip_lines=1, trailing_delimiter=True
    )
    assert found.names == NAMES


def test_a_trailing_delimiter_that_one_record_lacks_is_a_field() -> None:
    lines = TABLE.replace("\n", ",\n").splitlines(keepends=True)
    lines[7] = lines[7].replace(",\n", ",x\n")
    assert not look("".join(lines)).dialect.trailing_delimiter


def test_a_header_with_a_name_too_few_is_no_guess() -> None:
    open_end = "date,item,price,code,remark\n" + BODY.replace("\n", ",\n")
    assert not look(open_end).dialect.trailing_delimiter
    assert "The header has 5 names, but most records 6 fields." in look(open_end).notes
    assert look(open_end, ITEMS).dialect.trailing_delimiter


def test_comments_are_seen_where_there_are_several() -> None:
    lines = TABLE.splitlines(keepends=True)
    lines.insert(9, "# a part\n")
    assert look("".join(lines)).dialect.comment is None
    lines.insert(17, "# another part\n")
    assert look("".join(lines)).dialect.comment == "#"


def test_a_header_that_begins_with_a_sign_is_no_comment() -> None:
    assert look("#" + TABLE).dialect == CsvDialect(delimiter=",")


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n"])
def test_nothing_is_rfc_4180(text: str) -> None:
    assert look(text).dialect.delimiter == ","
    assert look(text).dialect.header


def test_declared_names_find_the_header() -> None:
    text = "1,2,3,4,5\nremark,code,Price,ITEM,date\n" + BODY
    assert look(text, ITEMS).dialect.skip_lines == 1


TEXTS = declared(dict.fromkeys(NAMES, "text"))


@pytest.mark.parametrize("above", ["", "Sales of 2026\n"])
@pytest.mark.parametrize(
    "header",
    [
        'remark,"code,price,item,date',
        'remark,code,pr"ice,item,date',
        '"remark,code,price,item,date"',
        "remark;code;price;item;date",
        'remark code "price" item date',
        'Remark,"Code,"Item"',
    ],
)
def test_the_registry_s_order_stands_in_for_no_broken_header(header: str, above: str) -> None:
    found = look(f"{above}{header}\n{BODY}", TEXTS)
    assert (found.dialect.header, found.names) == (True, None)
    assert found.dialect.skip_lines == above.count("\n")
    assert f"The header is line {above.count(chr(10)) + 1}, and is broken." in found.notes


@pytest.mark.parametrize("first", ['2026-01-30,"Item,2,AB,', "a title", 'the date of the "item'])
def test_a_broken_record_is_no_header(first: str) -> None:
    found = look(f"{first}\n{BODY}", TEXTS)
    assert (found.dialect.header, found.names) == (False, None)


def test_words_of_a_broken_header_are_told_however_they_are_spelled() -> None:
    source = declared({"order_id": "text", "unit_price": "text"})
    body = "a-1,2.50\nb-2,3.50\nc-3,4.50\n"
    for header in ('"OrderID,x', '"x,Unit Price', '"x;unit_price'):
        assert look(f"{header}\n{body}", source).dialect.header
    assert not look(f'"order,x\n{body}', source).dialect.header


def test_declared_types_tell_a_record_from_a_header() -> None:
    texts = declared({"one": "text", "two": "bigint"})
    found = look("a,1\nb,x\nc,3\n", texts)
    assert not found.dialect.header
    assert found.names is None  # they are the registry's
    assert look("a,b\nb,2\nc,3\n", texts).dialect.header


def test_the_number_of_declared_columns_is_evidence() -> None:
    text = "k;a,b\nx;1,2\ny;3,4\n"
    assert look(text, declared({"k": "text", "v": "text"})).dialect.delimiter == ";"


def test_what_is_declared_is_not_looked_for() -> None:
    source = declared({"a": "text"}, dialect={"delimiter": "|"}, encoding="auto")
    found = look("a;b\n1;2\n", source)
    assert found.dialect == CsvDialect(delimiter="|")
    assert look("a;b\n1;2\n", dialect=CsvDialect(delimiter=",")).dialect.delimiter == ","


def test_the_encoding_counts() -> None:
    found = look(TABLE.replace("Item", "Größe").encode("utf-16"))
    assert found.dialect == CsvDialect(delimiter=",")
    assert (found.encoding, found.mark_bytes) == ("utf-16-le", 2)


def test_a_cut_last_record_does_not_count() -> None:
    found = detect(TABLE.encode()[:-9], None, is_whole_file=False)
    assert "25 of the 25 records" in found.notes[1]


def test_looking_takes_little_time_however_broken_the_file_is() -> None:
    heads = [
        b'"' * DETECTION_BYTES,
        b'"a\n' * (DETECTION_BYTES // 3),
        b'a,"' * (DETECTION_BYTES // 3),
        b"\\\"'" * (DETECTION_BYTES // 3),
        b"," * DETECTION_BYTES,
        b'"a""b\n' * (DETECTION_BYTES // 6),
    ]
    for head in heads:
        start = time.perf_counter()
        detect(head, None, is_whole_file=False)
        assert time.perf_counter() - start < 10, head[:6]


VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=8
)


@tried(150)
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), VALUES, VALUES), min_size=6, max_size=30),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_is_seen(
    rows: list[tuple[int, str, str]], delimiter: str, line_end: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(
        file, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_NONNUMERIC
    )
    writer.writerow(["number", "one", "two"])
    writer.writerows(rows)
    found = look(file.getvalue())
    assert found.dialect.delimiter == delimiter
    assert found.dialect.quote == '"'
    assert found.dialect.header
    assert (found.dialect.skip_lines, found.names) == (0, None)
