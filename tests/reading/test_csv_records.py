"""Whole files: what was written is what is read, wherever it stands and however it is cut."""

from __future__ import annotations

import io
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import csv_pass, csv_window, lines
from sluice.reading.csv_records import CsvReader
from sluice.reading.records import RAW_CHARACTERS, REJECT_CODES
from sluice.registry import CsvDialect
from tests.reading.csv_files import Read, Row, csv_reader, dialect_of, read, written_value
from tests.reading.readers import bad_records, good_records, opener_of, places

DIALECTS = [
    dialect_of(header=False),
    dialect_of(header=False, escape="\\"),
    dialect_of(header=False, delimiter="\t", quote="'"),
    dialect_of(header=False, delimiter="|", quote='"', escape="|x"[1]),
    dialect_of(header=False, delimiter=";", trailing_delimiter=True),
    dialect_of(header=False, delimiter=".", quote="^", escape="]"),
    dialect_of(header=False, space_after_delimiter=True),
    dialect_of(header=False, space_after_delimiter=True, escape="\\", trailing_delimiter=True),
]

ENCODINGS = [
    *["utf-8", "utf-16-le", "utf-16-be", "latin-1", "windows-1252", "windows-1250", "windows-1253"],
    *["iso-8859-7", "koi8-r", "cp437", "mac-roman"],
]

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def texts(encoding: str) -> st.SearchStrategy[str]:
    characters = st.characters(codec=encoding, exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(characters | st.sampled_from(",;.|\t\"'^]\\x\r\n"), max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Row], str, CsvDialect, str]:
    """A table, its text, and the dialect and encoding that it is written in."""
    encoding = draw(st.sampled_from(ENCODINGS))
    dialect = draw(st.sampled_from(DIALECTS))
    width = draw(st.integers(1, 4))
    row = st.lists(st.none() | texts(encoding), min_size=width, max_size=width)
    table = draw(st.lists(row, max_size=12))
    # An empty line that ends with LF would join the CR before it.
    line_ends = LINE_ENDS if width > 1 else st.just(draw(LINE_ENDS))
    text = ""
    for values in table:
        fields = [written_value(one, dialect, is_quoted=draw(st.booleans())) for one in values]
        if dialect.trailing_delimiter:
            fields.append("")
        spaces = draw(st.sampled_from(["", " ", "  "])) if dialect.space_after_delimiter else ""
        text += f"{dialect.delimiter or ','}{spaces}".join(fields) + draw(line_ends)
    if table and table[-1] != [None] and draw(st.booleans()):
        text = text.removesuffix("\n").removesuffix("\r")
    return table, text, dialect, encoding


def named(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


@given(tables())
def test_what_was_written_is_what_is_read(
    made: tuple[list[Row], str, CsvDialect, str],
) -> None:
    table, text, dialect, encoding = made
    width = len(table[0]) if table else 1
    data = text.encode(encoding)
    # Text that happens to begin with a mark, or to look like UTF-16, is declared to be what it is.
    reader = CsvReader(opener_of(data), dialect, encoding, named(width))
    if text.startswith("\ufeff"):
        return
    assert bad_records(reader) == []
    assert good_records(reader) == [
        (number, tuple(row)) for number, row in enumerate(table, start=1)
    ]


@given(tables(), st.integers(1, 30))
def test_it_does_not_matter_where_the_file_is_cut(
    made: tuple[list[Row], str, CsvDialect, str], size: int
) -> None:
    table, text, dialect, _ = made
    width = len(table[0]) if table else 1
    broken = text.replace("x", '"').encode()
    with pytest.MonkeyPatch.context() as patch:
        whole = everything(broken, dialect, width)
        patch.setattr(lines, "BATCH_BYTES", size)
        patch.setattr(csv_pass, "BATCH_BYTES", size * 3)
        assert everything(broken, dialect, width) == whole


def everything(data: bytes, dialect: CsvDialect, width: int) -> tuple[Any, ...]:
    reader = CsvReader(opener_of(data), dialect, "utf-8", named(width))
    return good_records(reader), list(places(reader)), bad_records(reader)


@given(
    st.lists(
        st.sampled_from([b"x", b",", b'"', b"\n", b"\r", b"\r\n", b"\xc3\xa9", b"\xe9", b"\0"])
    )
)
def test_every_record_has_its_place(parts: list[bytes]) -> None:
    data = b"".join(parts)
    reader = csv_reader(data, header=False, names=("a", "b"))
    found = [*places(reader), *(bad.place for bad in bad_records(reader))]
    found.sort(key=lambda place: place.number)
    assert [place.number for place in found] == list(range(1, len(found) + 1))
    for place in found:
        assert place.offset is not None
        before, rest = data[: place.offset], data[place.offset :]
        assert rest.decode("utf-8", "backslashreplace").replace("\0", "\\x00").startswith(place.raw)
        assert (
            place.line
            == before.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
        )
    for first, second in pairwise(found):
        between = data[first.offset : second.offset].decode("utf-8", "backslashreplace")
        assert between.replace("\0", "\\x00").removeprefix(first.raw) in ("\n", "\r", "\r\n")
    assert all(bad.code in REJECT_CODES for bad in bad_records(reader))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a,b\n1,2\n", [(1, ("1", "2"))]),
        ("a,b\n1,2", [(1, ("1", "2"))]),
        ("a,b\r1,2\r3,4\r", [(1, ("1", "2")), (2, ("3", "4"))]),
        ("a,b\r\n1,2\n3,4\r5,6\r\n", [(1, ("1", "2")), (2, ("3", "4")), (3, ("5", "6"))]),
        ('a,b\n,""\n', [(1, (None, ""))]),
        ('a,b\n"1\n""2""","3,4"\n', [(1, ('1\n"2"', "3,4"))]),
        ("a,b\n", []),
        ("a,b", []),
        ("a,b\n1,2\n\n\r\n\n", [(1, ("1", "2"))]),
        ("a,b\n\n1,2\n", [(1, "ragged_row"), (2, ("1", "2"))]),
        ("a\n1\n\n2\n\n", [(1, ("1",)), (2, (None,)), (3, ("2",)), (4, (None,))]),
        ("a,b\n1,2,3\n4\n5,6\n", [(1, "ragged_row"), (2, "ragged_row"), (3, ("5", "6"))]),
        ("a,b\n \n1,2\n", [(1, "ragged_row"), (2, ("1", "2"))]),
        ("a,b\n1,\0\n2,x\n", [(1, "nul_byte"), (2, ("2", "x"))]),
        (b"a,b\n1,\xe9t\xe9\n2,x\n", [(1, "bad_encoding"), (2, ("2", "x"))]),
        (b"a,b\n1,\xed\xa0\x80\n2,x\n", [(1, "bad_encoding"), (2, ("2", "x"))]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [(1, ("1", "2"))]),
    ],
)
def test_records(data: bytes | str, expected: Read, pieces: str) -> None:
    assert read(data) == expected


@pytest.mark.parametrize(
    ("keys", "data", "expected"),
    [
        ({"comment": "#"}, "#x\na,b\n#1,2\n3,4\n#\n", [(1, ("3", "4"))]),
        ({"comment": "#"}, 'a,b\n"#1",#2\n', [(1, ("#1", "#2"))]),
        ({"comment": "#"}, "a,b\n1,2\n\n#end\n", [(1, ("1", "2"))]),
        ({"comment": "#"}, "a,b\n\n#\n1,2\n", [(1, "ragged_row"), (2, ("1", "2"))]),
        ({"skip_lines": 2}, 'Report "x\n\na,b\n1,2\n', [(1, ("1", "2"))]),
        ({"quote": None}, 'a,b\n"1,2"\n', [(1, ('"1', '2"'))]),
        ({"escape": "\\"}, 'a,b\n"1\\"\\\\\\n",\\2\n', [(1, ('1"\\\\n', "\\2"))]),
        ({"escape": "\\"}, 'a,b\n"1""2",3\n4,5\n', [(1, "bad_quotes"), (2, ("4", "5"))]),
        (
            {"trailing_delimiter": True},
            "a,b,\n1,2,\n3,4\n5,,\n",
            [(1, ("1", "2")), (2, "ragged_row"), (3, ("5", None))],
        ),
        ({"trailing_delimiter": True}, "a,b\n1,2,\n3,4,5\n", [(1, ("1", "2")), (2, "ragged_row")]),
        (
            {"space_after_delimiter": True},
            'a, b\n1,  "x, ""y"""\n 2 , 3 \n4,\n5, \n',
            [(1, ("1", 'x, "y"')), (2, (" 2 ", "3 ")), (3, ("4", None)), (4, ("5", None))],
        ),
        (
            {"space_after_delimiter": True},
            'a, b\n "1", 2\n3, "x\n4, "5"\n6, "7" x\n8, 9, 0\n',
            [
                *[(1, "bad_quotes"), (2, "bad_quotes"), (3, ("4", "5"))],
                *[(4, "bad_quotes"), (5, "ragged_row")],
            ],
        ),
        ({}, 'a,b\n1, 2\n3, "4"\n', [(1, ("1", " 2")), (2, "bad_quotes")]),
        ({"header": False, "names": ("a", "b")}, "1,2\n", [(1, ("1", "2"))]),
        ({"names": ("a", "b")}, "x,y\n1,2\n", [(1, ("1", "2"))]),
        ({"delimiter": "\t"}, "a\tb\n1\t\n", [(1, ("1", None))]),
        ({"delimiter": "]", "quote": "^"}, "a]b\n^1]^]2\n", [(1, ("1]", "2"))]),
    ],
)
def test_dialects(keys: dict[str, Any], data: str, expected: Read, pieces: str) -> None:
    assert read(data, **keys) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(encoding: str, pieces: str) -> None:
    assert read("a,b\nä,😀\n", encoding=encoding) == [(1, ("ä", "😀"))]


def test_half_a_character_of_utf_16_costs_only_its_record(pieces: str) -> None:
    data = "a,b\n1,x".encode("utf-16-le") + b"\x00\xd8" + "\n2,y\n3,z".encode("utf-16-le") + b"\0"
    assert read(data, encoding="utf-16-le") == [
        (1, "bad_encoding"),
        (2, ("2", "y")),
        (3, "bad_encoding"),
    ]


def test_names() -> None:
    assert csv_reader('a,"b c",\n').names == ("a", "b c", "")
    assert csv_reader("1;2\n", delimiter=";", header=False).names == ("column_1", "column_2")
    assert csv_reader("", header=False).names == ("column_1",)
    assert csv_reader("a,b,\n", trailing_delimiter=True).names == ("a", "b")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "no_header"),
        ("\n1,2\n", "no_header"),
        ('a,"b\n1,2\n', "no_header"),
        ('a,b"c\n', "no_header"),
        ("a" * 70_000 + "\n", "no_header"),
        (b"a,\xe9\n", "bad_encoding"),
        ("\ufeffa".encode("utf-16"), "bad_encoding"),
    ],
)
def test_a_header_that_cannot_be_read(data: bytes | str, code: str) -> None:
    with pytest.raises(DeliveryError) as raised:
        csv_reader(data)
    assert raised.value.code == code


def test_a_bad_record_says_where_and_why(pieces: str) -> None:
    reader = csv_reader('id,name\n1,"a\nb"\n2,x,y\n3,\xe9"\n4,\0\n'.encode("latin-1"))
    ragged, quotes, nul = bad_records(reader)
    assert ragged.reason == "The record has 3 fields; the file has 2 columns."
    assert ragged.fields == ("2", "x", "y")
    assert (ragged.place.number, ragged.place.line, ragged.place.offset) == (2, 4, 16)
    assert quotes.column == "name"
    assert quotes.reason == "Field 2 (name) has a quote but does not begin with it: '\\xe9\"'."
    assert quotes.place.raw == '3,\\xe9"'
    assert nul.reason == "A NUL byte in field 2 (name)."
    assert nul.fields == ("4", "\\x00")


def test_a_second_pass_gives_the_same() -> None:
    reader = csv_reader('a,b\n1,2\n3,"4\n')
    assert list(map(repr, good_records(reader))) == list(map(repr, good_records(reader)))
    assert bad_records(reader) == bad_records(reader)


def test_many_empty_lines_are_records_only_where_one_follows() -> None:
    blank = "\n" * 3000
    assert read(f"a,b\n1,2\n{blank}") == [(1, ("1", "2"))]
    found = read(f"a,b\n1,2\n{blank}3,4\n")
    assert found[-1] == (3002, ("3", "4"))
    assert found[1:-1] == [(number, "ragged_row") for number in range(2, 3002)]


@pytest.fixture
def short_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record may have 40 bytes, so that longer ones fit on this page."""
    for module in (csv_pass, csv_window):
        monkeypatch.setattr(module, "RECORD_BYTES", 40)
    monkeypatch.setattr(csv_pass, "LONG_CHARACTERS", 10)


LONG = "x" * 100


@pytest.mark.usefixtures("short_records")
@pytest.mark.parametrize("size", [1, 7, 30, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (f"a,b\n1,{LONG}\n2,y\n", [(1, "too_long"), (2, ("2", "y"))]),
        (f"a,b\n1,{LONG}\r\n2,y\r\n", [(1, "too_long"), (2, ("2", "y"))]),
        (f'a,b\n1,"{LONG}"\n2,y\n', [(1, "too_long"), (2, ("2", "y"))]),
        (f'a,b\n1,"{LONG}\n7,8\n{LONG}\n"\n2,y\n', [(1, "too_long"), (2, ("2", "y"))]),
        (f'a,b\n1,"z\n{LONG}\n{LONG}"\n2,y\n', [(1, "too_long"), (2, ("2", "y"))]),
        (f"a,b\n1,{LONG}", [(1, "too_long")]),
    ],
)
def test_a_record_that_is_too_long_is_passed_over(
    data: str, expected: Read, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BATCH_BYTES", size)
    assert read(data) == expected


class Endless(io.RawIOBase):
    """So many bytes of one line after another, made as they are read."""

    def __init__(self, line: bytes, size: int) -> None:
        self._line = line
        self._left = size

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._left) // len(self._line)
        self._left -= count * len(self._line)
        return self._line * count


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"1,some text,2026-01-01\n", 16 << 20),
        (b'1,"some ""text""",\n', 4 << 20),
        (b"\n", 16 << 20),
        (b"1,x\n", 3 << 17),  # 98,000 rejects would take 42 MB at once
        (b"1,x\0,y\n", 1 << 18),
    ],
)
def test_memory_does_not_grow_with_the_file(line: bytes, size: int) -> None:
    reader = CsvReader(
        lambda: Endless(line, size),  # type: ignore[arg-type, return-value]
        dialect_of(header=False),
        "utf-8",
        ("a", "b", "c"),
    )
    tracemalloc.start()
    for _ in reader.batches():
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


def test_a_record_that_is_too_long_keeps_its_beginning() -> None:
    reader = csv_reader("a,b\n1," + "x" * (17 << 20) + "\n2,y\n")
    (bad,) = bad_records(reader)
    assert (bad.place.number, bad.place.line, bad.place.offset) == (1, 2, 4)
    assert bad.place.raw == "1," + "x" * (RAW_CHARACTERS - 1)
    assert bad.reason == "The record is longer than 16 MB."
    assert [place.offset for place in places(reader)] == [(17 << 20) + 7]
    assert [place.line for place in places(reader)] == [3]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("keys", [{}, {"space_after_delimiter": True}], ids=["plain", "spaces"])
@pytest.mark.parametrize("size", range(4088, 4102))
def test_a_record_of_any_length_is_found(size: int, keys: dict[str, Any], line_end: str) -> None:
    delimiter = ", " if keys else ","
    written = f"1{delimiter}".ljust(size - len(line_end), "x")
    # After an empty line records are looked at one by one.
    text = line_end.join(["a,b", written, "", written, f'2{delimiter}"y"', ""])
    reader = CsvReader(opener_of(text.encode()), dialect_of(delimiter=",", **keys), "utf-8")
    (batch,) = reader.batches()
    value = written.removeprefix(f"1{delimiter}")
    assert [tuple(record) for record in batch.fields] == [("1", value), ("1", value), ("2", "y")]
    assert [batch.places(index).raw for index in range(2)] == [written, written]
    assert [bad.code for bad in batch.bad] == ["ragged_row"]


@pytest.mark.parametrize("size", range(4080, 4102))
def test_the_broken_field_is_named_wherever_it_stands(size: int) -> None:
    broken = f"{'x' * size},   " + '"y"z'
    text = f"a,b,c\n1,{broken}\n2,3,4\n"
    dialect = dialect_of(delimiter=",", space_after_delimiter=True)
    (batch,) = CsvReader(opener_of(text.encode()), dialect, "utf-8").batches()
    assert [(bad.code, bad.column) for bad in batch.bad] == [("bad_quotes", "c")]
    assert "goes on after its closing quote" in batch.bad[0].reason
