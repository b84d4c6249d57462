from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import excel, excel_errors, excel_program
from sluice.reading.excel_cells import CellColumn
from sluice.reading.records import Reader
from tests.properties import tried
from tests.reading.readers import bad_records, good_records, places, reader_of, source_of, verdicts
from tests.reading.workbooks import MAIN, Rows, Writer, ods, things, xlsb, xlsx, xlsx_of

THINGS_XLS = Path(__file__).parents[1] / "cases" / "excel" / "things.xls"


def reader(data: bytes, **layout: Any) -> Reader:
    return reader_of(data, source_of("excel", {"id": "bigint"}, excel=layout))


def of_rows(rows: Rows, writer: Writer = xlsx, **layout: Any) -> Reader:
    return reader(writer({"Sheet": rows}), **layout)


@pytest.mark.parametrize("kind", ["xlsx", "ods", "xlsb", "xls"])
@pytest.mark.parametrize("sheet", ["Things", 2])
def test_a_sheet_of_each_kind_of_workbook(kind: str, sheet: str | int) -> None:
    writers = {"xlsx": xlsx, "ods": ods, "xlsb": xlsb}
    data = writers[kind](things()) if kind in writers else THINGS_XLS.read_bytes()
    of_file = reader(data, sheet=sheet)
    assert of_file.names == ("id", "name", "day", "amount")
    for _ in range(2):
        assert good_records(of_file) == [
            (1, ("1", "name 1", "2026-01-02", "1.5")),
            (3, ("3", "name 3", "2026-01-04", "3.5")),
        ]
    (bad,) = bad_records(of_file)
    assert (bad.code, bad.column, bad.reason) == (
        "wrong_type",
        "amount",
        "amount is the error #N/A.",
    )
    assert (bad.place.number, bad.place.line) == (2, 3)
    assert bad.place.raw == "2,name 2,2026-01-03,#N/A"
    assert bad.fields == ("2", "name 2", "2026-01-03", "#N/A")
    assert [place.line for place in places(of_file)] == [2, 4]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c r="A2"><v>5</v></c>', "5"),
        ('<c r="A2"><v>-3.0</v></c>', "-3"),
        ('<c r="A2"><v>0.1</v></c>', "0.1"),
        ('<c r="A2"><v>9007199254740991</v></c>', "9007199254740991"),
        ('<c r="A2"><v>-9007199254740991</v></c>', "-9007199254740991"),
        ('<c r="A2"><v>0.3333333333333333</v></c>', "0.333333333333333"),
        ('<c r="A2" t="b"><v>1</v></c>', "true"),
        ('<c r="A2" t="str"><v>#N/A</v></c>', "#N/A"),
        ('<c r="A2" s="1"><v>45292</v></c>', "2024-01-01"),
        ('<c r="A2" s="2"><v>45292.5</v></c>', "2024-01-01 12:00:00"),
        ('<c r="A2" s="2"><v>45292.123456789</v></c>', "2024-01-01 02:57:46.667000"),
        ('<c r="A2" s="3"><v>0.75</v></c>', "18:00:00"),
        ('<c r="A2" s="3"><v>0.99999999</v></c>', "23:59:59.999000"),
        ('<c r="A2"><v>0.9999999999884259</v></c>', "0.999999999988426"),
        ('<c r="A2" s="3"><v>0</v></c>', "00:00:00"),
        ('<c r="A2" s="4"><v>1.75</v></c>', "42:00:00"),
        ('<c r="A2" t="d"><v>2024-01-01T10:00:00</v></c>', "2024-01-01 10:00:00"),
    ],
)
def test_values(cell: str, text: str) -> None:
    header = '<row r="1"><c r="A1" t="str"><v>id</v></c></row>'
    of_file = reader(xlsx_of({"Sheet": f'{header}<row r="2">{cell}</row>'}))
    assert good_records(of_file) == [(1, (text,))]


@pytest.mark.parametrize("writer", [xlsx, ods, xlsb])
def test_whole_numbers_that_a_workbook_may_have_rounded_are_rejected(writer: Writer) -> None:
    types = ("bigint", "decimal", "text", "double")
    rows: Rows = [[*types, "new"], [2.0**53 - 1] * 5]
    for place in (0, 1, 2, 4):
        rows = [*rows, [2.0**53 if at == place else 1.0 for at in range(5)]]
    rows = [*rows, [1.0, 1.0, 1.0, -(2.0**53), 1.0], [1.0, 1.0, 1.0, 1e300, -1e300]]
    of_file = reader_of(writer({"S": rows}), source_of("excel", {name: name for name in types}))
    assert verdicts(of_file) == [
        (2, "not_exact", "bigint"),
        (3, "not_exact", "decimal"),
        (4, "not_exact", "text"),
        (5, "not_exact", "new"),
        (7, "not_exact", "new"),
    ]
    assert good_records(of_file) == [
        (1, ("9007199254740991",) * 5),
        (6, ("1", "1", "1", "-9007199254740992.0", "1")),
    ]
    bad = bad_records(of_file)[0]
    assert bad.reason == (
        "bigint is 9007199254740992, which may stand for another number: workbooks round whole"
        " numbers from 2^53 on; deliver it as a text."
    )
    # What nobody knows is not in an export either, which would be loaded as it is.
    assert bad.fields == (None, "1", "1", "1", "1")
    assert bad.place.raw == "9007199254740992.0,1,1,1,1"


def test_doubles_have_all_of_their_digits() -> None:
    rows: Rows = [["real", "amount"], [0.1 + 0.2, 0.1 + 0.2], [1 / 3, 1 / 3], [5.0, -0.5]]
    source = source_of("excel", {"real": "double", "amount": "decimal"})
    assert good_records(reader_of(xlsx({"Sheet": rows}), source)) == [
        (1, ("0.30000000000000004", "0.3")),
        (2, ("0.3333333333333333", "0.333333333333333")),
        (3, ("5", "-0.5")),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A2" s="3"><v>0.9999999999884259</v></c>',
        '<c r="A2" s="2"><v>.99999999999</v></c>',
        '<c r="A2" s="3"><v>9.99999999988426E-1</v></c>',
        '<c r="A2" s="3" t="n"><f>1-1E-12</f><v>0.999999999999</v></c>',
    ],
)
def test_a_time_just_before_midnight_is_not_the_midnight_before(cell: str) -> None:
    header = '<row r="1"><c r="A1" t="str"><v>id</v></c></row>'
    (bad,) = bad_records(reader(xlsx_of({"Sheet": f'{header}<row r="2">{cell}</row>'})))
    assert (bad.code, bad.fields) == ("not_exact", (None,))
    assert "of a day, which is read as 00:00:00" in bad.reason


@given(st.floats(0, 1, exclude_max=True) | st.floats(0.99999999, 1, exclude_max=True))
@tried(300)
def test_a_time_of_day_never_wraps(part: float) -> None:
    data = xlsx_of({"S": f'<row r="1"><c r="A1" s="3"><v>{part!r}</v></c></row>'})
    ((cell,),), _ = excel_program.read_sheet(io.BytesIO(data), 1)
    assert (cell == ("wrapped", repr(part))) == (part > 0.5 and cell[1] == repr(part))
    assert cell[1] == repr(part) or (cell[1] == "00:00:00") == (part < 0.5 / 86_400_000)


def test_a_time_just_before_midnight_in_the_binary_formats() -> None:
    data = xlsb({"Sheet": [["id"], [0.9999999999884259], [0.5]]})
    found = excel_errors.other_cells(io.BytesIO(data), 0)
    assert found == {(1, 0): ("wrapped", "0.9999999999884259")}
    assert good_records(reader(data)) == [(1, ("0.999999999988426",)), (2, ("0.5",))]


def test_the_header_row_and_what_stands_before_it() -> None:
    rows: Rows = [["Report", None, 5.0], [], [None, "id", "name"], [None, 1.0, "a"]]
    of_file = of_rows(rows, header_row=3)
    assert of_file.names == ("id", "name")
    assert good_records(of_file) == [(1, ("1", "a"))]
    assert next(places(of_file)).line == 4


@pytest.mark.parametrize("writer", [xlsx, ods])
def test_empty_rows_are_bad_records_between_others_and_none_after_them(writer: Writer) -> None:
    rows: Rows = [["id", "name"], [1.0, None], [], [3.0, "c"], [None, ""], []]
    of_file = of_rows(rows, writer)
    assert good_records(of_file) == [(1, ("1", None)), (3, ("3", "c"))]
    (bad,) = bad_records(of_file)
    assert (bad.code, bad.place.number, bad.place.line) == ("ragged_row", 2, 3)
    assert bad.reason == "The row is empty; the sheet has 2 columns."


def test_an_empty_row_of_a_single_column_is_a_missing_value() -> None:
    of_file = of_rows([["id"], [1.0], [], [3.0], []])
    assert good_records(of_file) == [(1, ("1",)), (2, (None,)), (3, ("3",))]


@pytest.mark.parametrize("writer", [xlsx, ods])
def test_a_formula_whose_result_is_not_stored_rejects_its_record(writer: Writer) -> None:
    rows: Rows = [["id", "name"], [1.0, "a"], [2.0, ('=A2&"<x>"',)], [("=1+1",), None]]
    of_file = of_rows(rows, writer)
    assert good_records(of_file) == [(1, ("1", "a"))]
    assert verdicts(of_file) == [(2, "wrong_type", "name"), (3, "wrong_type", "id")]
    (bad, _) = bad_records(of_file)
    assert bad.reason == (
        "name is a formula whose result is not stored: open the file in Excel and save it"
        ' (=A2&"<x>").'
    )
    assert bad.fields == ("2", '=A2&"<x>"')


def test_a_formula_in_the_header() -> None:
    with pytest.raises(DeliveryError, match="a formula whose result is not stored"):
        of_rows([["id", ("=A1",)], [1.0, "a"]])


STALE = '<calcPr calcId="124519" fullCalcOnLoad="1"/>'


@pytest.mark.parametrize(
    ("cell", "more", "value"),
    [
        ('<c r="A2"><f>1+1</f></c>', "", None),
        ('<c r="A2"><f>1+1</f><v/></c>', "", None),
        ('<c r="A2"><f>1+1</f>\n<v />\n</c>', "", None),
        ('<c r="A2"><f t="shared" si="0"/><v></v></c>', "", None),
        ('<c r="A2"><f t="shared" si="0"/></c>', "", None),
        ('<c r="A2" t="str"><f>"x"</f></c>', "", None),
        ('<x:c r="A2" xmlns:x="NAME"><x:f>1+1</x:f><x:v/></x:c>', "", None),
        ('<c r="A2"><f>1+1</f><v>0</v></c>', STALE, None),
        ('<c r="A2"><f>1+1</f><v>0</v></c>', "", 0.0),
        ('<c r="A2"><f>1+1</f><v>2</v></c>', STALE, 2.0),
        ('<c r="A2"><v>0</v></c>', STALE, 0.0),
        ('<c r="A2" t="str"><f>"x"</f><v>x</v></c>', "", "x"),
        ('<c r="A2" t="b"><f>1=1</f><v>1</v></c>', "", True),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 18])
def test_how_a_formula_without_its_result_is_written(
    cell: str, more: str, value: object, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = '<row r="1"><c r="A1" t="str"><v>id</v></c></row>'
    cell = cell.replace("NAME", MAIN)
    workbook = io.BytesIO(xlsx_of({"Sheet": f'{header}<row r="2">{cell}</row>'}, more=more))
    monkeypatch.setattr(excel_errors, "PIECE_BYTES", piece)
    found = excel_errors.other_cells(workbook, 0)
    if value is None:
        assert list(found) == [(1, 0)]
        assert found[1, 0][0] == "formula"
    else:
        assert found == {}
        rows, is_hidden = excel_program.read_sheet(workbook, 1)
        assert (list(rows)[1], is_hidden) == ([value], False)


def test_a_hidden_sheet_is_taken_with_a_word_about_it() -> None:
    header = '<row r="1"><c r="A1" t="str"><v>id</v></c><c r="B1" t="str"><v>name</v></c></row>'
    data = xlsx_of({"Old": header, "New": header}, hidden="Old")
    assert reader(data).notes == (
        "Sheet number 1, which is hidden in the workbook; the header is its row 1.",
    )
    assert reader(data, sheet="New").notes == ("Sheet 'New'; the header is its row 1.",)


def test_an_empty_text_is_the_result_of_its_formula() -> None:
    header = '<row r="1"><c r="A1" t="str"><v>id</v></c><c r="B1" t="str"><v>name</v></c></row>'
    empty = '<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="str"><f>""</f><v></v></c></row>'
    assert good_records(reader(xlsx_of({"Sheet": header + empty}))) == [(1, ("1", None))]


def test_a_formula_far_below_is_refused() -> None:
    cell = '<row r="9999999"><c r="A9999999"><f>1</f></c></row>'
    with pytest.raises(excel_program.UnreadableError, match="a cell in row 9999999"):
        excel_program.read_sheet(io.BytesIO(xlsx_of({"Sheet": cell})), 1)


def test_batches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "BATCH_ROWS", 2)
    rows: Rows = [["id"], *[[float(number)] if number % 3 else [] for number in range(1, 11)]]
    of_file = of_rows(rows)
    assert [number for number, _ in good_records(of_file)] == list(range(1, 11))
    assert [place.line for place in places(of_file)] == list(range(2, 12))


def test_a_value_beyond_the_header_makes_its_row_ragged() -> None:
    rows: Rows = [["id", None, "name"], [1.0, None, "a"], [2.0, "x", "b"], [3.0, None, "c", "y"]]
    of_file = of_rows(rows)
    assert of_file.names == ("id", "name")
    assert verdicts(of_file) == [(2, "ragged_row", None), (3, "ragged_row", None)]
    assert "column B" in bad_records(of_file)[0].reason
    assert "column D" in bad_records(of_file)[1].reason


def test_an_error_in_a_cell_that_has_no_name() -> None:
    header = '<row><c t="str"><v>id</v></c><c t="str"><v>name</v></c></row>'
    data = xlsx_of({"Sheet": f"{header}<row><c><v>1</v></c><c t='e'><v>#REF!</v></c></row>"})
    assert verdicts(reader(data)) == [(1, "wrong_type", "name")]


@pytest.mark.parametrize(
    ("rows", "layout", "message"),
    [
        ([], {}, "Row 1 of the sheet"),
        ([["id"]], {"header_row": 2}, "Row 2 of the sheet"),
        ([[None, None], ["id"]], {}, "Row 1 of the sheet"),
        ([["id", ("#N/A",)]], {}, "The header has the error #N/A"),
        ([["id"]], {"sheet": "Other"}, "no sheet 'Other'; it has 'Sheet'"),
        ([["id"]], {"sheet": 2}, "no sheet number 2"),
    ],
)
def test_a_sheet_that_is_not_there_is_refused(
    rows: Rows, layout: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeliveryError, match=message):
        of_rows(rows, **layout)


@pytest.mark.parametrize(
    "data", [b"", b"id,name\n1,a\n", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]
)
def test_what_is_no_workbook_is_refused(data: bytes) -> None:
    with pytest.raises(DeliveryError) as caught:
        reader(data)
    assert caught.value.code == "bad_structure"


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml"])
def test_a_damaged_part_is_refused(part: str) -> None:
    whole = zipfile.ZipFile(io.BytesIO(xlsx({"Sheet": [["id"], [("#N/A",)]]})))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, content[: len(content) // 2] if name == part else content)
    with pytest.raises(DeliveryError) as caught:
        good_records(reader(file.getvalue()))
    assert caught.value.code == "bad_structure"


def test_an_encrypted_workbook_is_refused() -> None:
    start = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1016)
    with pytest.raises(DeliveryError, match="encrypted") as caught:
        reader(start + "EncryptedPackage".encode("utf-16-le") + bytes(512))
    assert "password" in caught.value.remedy


def test_a_file_that_asks_for_all_memory_ends_only_its_own_process() -> None:
    first = '<row r="1"><c r="A1"><v>1</v></c></row>'
    last = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(DeliveryError, match="GB of memory") as caught:
        reader(xlsx_of({"Sheet": first + last}))
    assert caught.value.code == "too_large"


def test_a_workbook_that_would_unpack_to_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(excel_program, "UNPACKED_BYTES", 1000)
    with pytest.raises(excel_program.UnreadableError, match="unpacks to") as caught:
        excel_program.read_sheet(io.BytesIO(xlsx({"Sheet": [["id"]]})), 1)
    assert caught.value.code == "too_large"


def test_the_program_sees_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_WAREHOUSE", "postgresql://secret")
    seen: dict[str, str] = {}
    run = excel.subprocess.run

    def spy(*arguments: Any, env: dict[str, str], **keys: Any) -> Any:
        seen.update(env)
        return run(*arguments, env=env, **keys)

    monkeypatch.setattr(excel.subprocess, "run", spy)
    of_rows([["id"]])
    assert "PYTHONPATH" in seen
    assert not any(name.startswith("SLUICE") for name in seen)


def test_nothing_is_left_open_or_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    of_file = of_rows([["id"], [1.0]])
    good_records(of_file)
    del of_file
    assert list(tmp_path.iterdir()) == []
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(1 - 2**53, 2**53 - 1).map(float),
    st.floats(1 - 2**53, 2**53 - 1, allow_subnormal=False),
    st.dates(date(1901, 1, 1), date(9000, 1, 1)),
    st.sampled_from(["#N/A", "#DIV/0!", "=A1+1"]).map(lambda name: (name,)),
    st.text("aé \"<&,'\u20ac", min_size=1, max_size=5).filter(lambda text: text.strip() == text),
)


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6),
    st.sampled_from([xlsx, ods, xlsb]),
)
@tried(40)
def test_what_was_written_is_read(rows: list[list[Any]], writer: Writer) -> None:
    while rows and not any(cell is not None for cell in rows[-1]):
        rows.pop()
    formulas = {cell for row in rows for cell in row if cell == ("=A1+1",)}
    assume(not (formulas and writer is xlsb))  # whose formulas have their results always
    of_file = of_rows([["a", "b", "c"], *rows], writer)
    wrong = {
        number
        for number, row in enumerate(rows, 1)
        if row == [None] * 3 or any(isinstance(cell, tuple) for cell in row)
    }
    assert {number for number, _, _ in verdicts(of_file)} == wrong
    good = dict(good_records(of_file))
    assert set(good) | wrong == set(range(1, len(rows) + 1))
    for number, fields in good.items():
        for cell, text in zip(rows[number - 1], fields, strict=True):
            match cell:
                case None:
                    assert text is None
                case bool():
                    assert text == str(cell).lower()
                case float():
                    assert text is not None
                    # With the 15 digits that Excel itself shows.
                    shown = cell if cell.is_integer() else float(f"{cell:.15g}")
                    assert float(text) == shown
                case date():
                    assert text == cell.isoformat()
                case _:
                    assert text == cell


@pytest.mark.parametrize("number", [123456789012345.67, 1234567890123456.5])
def test_a_large_number_with_a_fraction_is_no_whole_one(number: float) -> None:
    assert CellColumn("bigint").text(number) == repr(number)
    assert CellColumn("decimal").text(number) == repr(number)
