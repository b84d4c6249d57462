"""Broken quotes: the record that has them is rejected, and no other; nothing is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reading.csv_files import Read, csv_reader, read
from tests.reading.readers import bad_records

A, B, C = ("1", "x", "2"), ("3", "y", "4"), ("5", "z", "6")


def test_what_is_wrong_with_a_quote_is_said() -> None:
    file = 'a,b\n1,x"y"\n2,"x"y\n3,"x" ,4\n4,"xy\n'
    assert [bad.reason for bad in bad_records(csv_reader(file))] == [
        "Field 2 (b) has a quote but does not begin with it: 'x\"y\"'.",
        "Field 2 (b) goes on after its closing quote, with 'y'.",
        "Field 2 (b) goes on after its closing quote, with ' ,4'.",
        "Field 2 (b) begins with a quote that is never closed: '\"xy'.",
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # On one line: nothing else is touched.
        (['1,x"y,2', "3,y,4"], [(1, "bad_quotes"), (2, B)]),
        (['1,"x"y,2', "3,y,4"], [(1, "bad_quotes"), (2, B)]),
        (['1,"he said "hi", so",2', "3,y,4"], [(1, "bad_quotes"), (2, B)]),
        (['1,""x"",2', '3,""y"",4', "5,z,6"], [(1, "bad_quotes"), (2, "bad_quotes"), (3, C)]),
        (['1,x,2"', "3,y,4"], [(1, "bad_quotes"), (2, B)]),
        # Never closed: what follows is read as if nothing had happened.
        (['1,"x,2', "3,y,4", "5,z,6"], [(1, "bad_quotes"), (2, B), (3, C)]),
        (['1,"x,2', '3,"y",4', "5,z,6"], [(1, "bad_quotes"), (2, B), (3, C)]),
        (['1,"x,2', "3,y,4", '5,"z",6'], [(1, "bad_quotes"), (2, B), (3, C)]),
        (['1,"x,2', '3,"y,4', '5,"z",6'], [(1, "bad_quotes"), (2, "bad_quotes"), (3, C)]),
        (['1,x,"2', '"3","y","4"', "5,z,6"], [(1, "bad_quotes"), (2, B), (3, C)]),
        (['1,"x,2', '3,"",4', '5,"z",6'], [(1, "bad_quotes"), (2, ("3", "", "4")), (3, C)]),
        (
            ['1,"x,2', "3,y,4", "3,y", '5,"z",6'],
            [(1, "bad_quotes"), (2, B), (3, "ragged_row"), (4, C)],
        ),
        (
            ['1,"x,2', "3,y,4", '3,y"y,4', '5,"z",6'],
            [(1, "bad_quotes"), (2, B), (3, "bad_quotes"), (4, C)],
        ),
        (['1,"x,2'], [(1, "bad_quotes")]),
        (["1,x,2", '"'], [(1, A), (2, "bad_quotes")]),
        # A value of several lines with a quote that is not doubled: its lines are no records.
        (['1,"x', "3,y,4", 'a "b" c",2', "5,z,6"], [(1, "bad_quotes"), (2, C)]),
        (['1,"x "y', "3,y,4", '",2', "5,z,6"], [(1, "bad_quotes"), (2, C)]),
        (['1,"x "y" z', "3,y,4", 'end",2', "5,z,6"], [(1, "bad_quotes"), (2, C)]),
        (['1,"x 5" y', "3,y,4", 'end",2', "5,z,6"], [(1, "bad_quotes"), (2, C)]),
        (['1,x"y,"z', "3,y,4", 'end"', "5,z,6"], [(1, "bad_quotes"), (2, C)]),
        (
            ['1,"x', "3,y,4", '"a" b', 'end",2', "5,z,6"],
            [(1, "bad_quotes"), (2, B), (3, "bad_quotes"), (4, C)],
        ),
        # The same, and closed by nothing: prose is no record, and a record is none of its lines.
        (['1,"x', "some prose", "and more", '5,"z",6'], [(1, "bad_quotes"), (2, C)]),
        (['1,"x', "some prose", "3,y,4", "5,z,6"], [(1, "bad_quotes"), (2, B), (3, C)]),
        (['1,"x', "some prose", "more", "and more", "3,y,4"], [(1, "bad_quotes")]),
        # What RFC 4180 reads as one record is one record, of whatever width.
        (['1,"x', "3,y,4", 'z",2', "5,z,6"], [(1, ("1", "x\n3,y,4\nz", "2")), (2, C)]),
        (['1,"x', "3,y,4", 'z",2,7', "5,z,6"], [(1, "ragged_row"), (2, C)]),
    ],
)
def test_where_a_broken_record_ends(lines: list[str], expected: Read) -> None:
    for line_end in ("\n", "\r\n", "\r"):
        file = line_end.join(["a,b,c", *lines]) + line_end
        wanted = [
            (
                number,
                one
                if isinstance(one, str)
                else tuple(f and f.replace("\n", line_end) for f in one),
            )
            for number, one in expected
        ]
        assert read(file) == wanted
        assert read(file.removesuffix(line_end)) == wanted


def test_a_file_without_a_single_record_is_not_one_reject() -> None:
    lines = ["x" for _ in range(200)]
    assert len(read("\n".join(['a,b\n"', *lines]))) == 201


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        # A line end of another kind within a value looks like the end of a whole record.
        ("a,b\n1,x\ry\n2,z\n", [(1, "bad_structure"), (2, ("2", "z"))]),
        ("a,b\r\n1,x\ny\r\n2,z\r\n", [(1, "bad_structure"), (2, ("2", "z"))]),
        ("a,b\n1\r,x\n2,z\n", [(1, "bad_structure"), (2, ("2", "z"))]),
        ("a,b,c\n1,x\ry,z\n2,3,4\n", [(1, "bad_structure"), (2, ("2", "3", "4"))]),
        ("a,b\n1,x\ry\rz\n2,z\n", [(1, "bad_structure"), (2, ("2", "z"))]),
        ("a,b\n1,x\ry", [(1, "bad_structure")]),
        # Where whole records stand on both sides of it, it divides them.
        ("a,b\n1,x\r2,y\n3,z\n", [(1, ("1", "x")), (2, ("2", "y")), (3, ("3", "z"))]),
        ("a,b\n1,x\r\n2,y\r\ntotal\r\n", [(1, ("1", "x")), (2, ("2", "y")), (3, "ragged_row")]),
        ("a,b\r\n1,x\n2,y\ntotal\n", [(1, ("1", "x")), (2, ("2", "y")), (3, "ragged_row")]),
    ],
)
def test_stray_line_ends(file: str, expected: Read) -> None:
    assert read(file) == expected


WORDS = st.text("abc def", min_size=1, max_size=6)
CORRUPTIONS = ["never closed", "stray", "after", "ragged", "nul", "bytes"]


@st.composite
def corrupted_files(draw: st.DrawFn) -> tuple[bytes, Read]:
    """A file with some broken records, and what is to be read from it.

    No two broken records stand side by side: together they might be a whole one.
    """
    text, expected = b"a,b,c\n", list[tuple[int, tuple[str | None, ...] | str]]()
    was_good = True
    for number in range(1, draw(st.integers(0, 15)) + 1):
        row = [draw(WORDS) for _ in range(3)]
        is_quoted = draw(st.booleans())
        corruption = draw(st.sampled_from(CORRUPTIONS)) if was_good and draw(st.booleans()) else ""
        was_good = not corruption
        expected.append((number, verdict_of(corruption) or tuple(row)))
        text += corrupted(row, corruption, draw(st.integers(0, 2)), is_quoted=is_quoted) + b"\n"
    return text, expected


def verdict_of(corruption: str) -> str:
    codes = {"ragged": "ragged_row", "nul": "nul_byte", "bytes": "bad_encoding", "": ""}
    return codes.get(corruption, "bad_quotes")


def corrupted(row: list[str], corruption: str, place: int, *, is_quoted: bool) -> bytes:
    fields = [f'"{value}"' if is_quoted else value for value in row]
    value = row[place]
    broken = {
        "": fields[place],
        "never closed": f'"{value}',
        "stray": f'x"{value}',
        "after": f'"{value}"x',
        "ragged": fields[place] + "," + value,
        "nul": f'"\0{value}"' if is_quoted else f"\0{value}",
        "bytes": "é",
    }
    fields[place] = broken[corruption]
    return ",".join(fields).encode("latin-1" if corruption == "bytes" else "utf-8")


@given(corrupted_files())
def test_a_broken_record_takes_no_other_along(made: tuple[bytes, Read]) -> None:
    data, expected = made
    assert read(data) == expected
