"""A header among the records is none of them, however it is written; nothing else is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading.csv_repeats import repeated_in_bytes
from sluice.reading.csv_strict import strictly
from tests.reading.csv_files import Read, csv_reader, dialect_of, read
from tests.reading.readers import bad_records


@pytest.mark.parametrize(
    ("keys", "data", "expected"),
    [
        ({}, "a,b\n1,2\na,b\n3,4\n", [(1, ("1", "2")), (2, "repeated_header"), (3, ("3", "4"))]),
        ({}, "a,b\n1,2\na,b", [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, "a,b\na,b\na,b\n1,2\n", [(1, "repeated_header"), (2, "repeated_header")]),
        ({}, "a,b\r\n1,2\r\na,b\r\n", [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, "a,b\r1,2\ra,b\r", [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, 'a,b\n1,2\n"a",b\n', [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, '"a",b\n1,2\na,"b"\n', [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, 'a,"b ""c"""\n1,2\na,"b ""c"""\n', [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, 'a,"b\nc"\n1,2\na,"b\nc"\n', [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, "\ufeffa,b\n1,2\n\ufeffa,b\n", [(1, ("1", "2")), (2, "repeated_header")]),
        ({}, ",b,c\n1,2,3\n,b,c\n", [(1, ("1", "2", "3")), (2, "repeated_header")]),
        ({"trailing_delimiter": True}, "a,b,\n1,2,\na,b,\n", [(1, ("1", "2"))]),
        ({"quote": None}, 'a,"b"\n1,2\na,"b"\n', [(1, ("1", "2")), (2, "repeated_header")]),
        ({"space_after_delimiter": True}, 'a, b\n1, 2\na,  "b"\n', [(1, ("1", "2"))]),
        ({"escape": "\\"}, 'a,b\n1,2\n"a",b\n', [(1, ("1", "2")), (2, "repeated_header")]),
        # Where a file has no header, the names are the registry's.
        ({"header": False, "names": ("a", "b")}, "a,b\n1,2\n", [(1, "repeated_header")]),
        # No header: another case, another order, one name of several, one column, numbers.
        ({}, "a,b\nA,B\nb,a\na,1\n1,b\n", [(1, ("A", "B")), (2, ("b", "a"))]),
        ({}, "a,b\na,bc\nxa,b\n", [(1, ("a", "bc")), (2, ("xa", "b"))]),
        ({}, "word\nx\nword\n", [(1, ("x",)), (2, ("word",))]),
        ({}, "0,1\n2,3\n0,1\n", [(1, ("2", "3")), (2, ("0", "1"))]),
        ({}, 'a,b\n1,"x\na,b\ny"\n', [(1, ("1", "x\na,b\ny"))]),
    ],
)
def test_a_header_among_the_records(
    keys: dict[str, Any], data: str, expected: Read, pieces: str
) -> None:
    assert read(data, **keys)[: len(expected)] == expected


def test_it_says_so() -> None:
    reader = csv_reader("name,town\nAnn,Ulm\nname,town\n")
    (bad,) = bad_records(reader)
    assert (bad.code, bad.place.line, bad.place.raw) == ("repeated_header", 3, "name,town")
    assert bad.reason == "The values are the names of the columns: it is the header once more."
    assert bad.fields == ("name", "town")


def test_many_records_with_a_name_for_a_value_stay() -> None:
    data = "a,b\n" + "a,1\n" * 2000 + "a,b\n"
    assert [value for _, value in read(data)] == [("a", "1")] * 2000 + ["repeated_header"]


@given(
    st.lists(
        st.sampled_from(["a,b", '"a",b', 'a,"b"', "a,c", "c,b", '"x', "1,2", "\ufeffa,b", "a"]),
        max_size=8,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 30),
    st.sampled_from(["utf-8", "latin-1"]),
)
def test_the_fast_path_refuses_what_the_tolerant_reader_rejects(
    lines: list[str], line_end: str, size: int, encoding: str
) -> None:
    data = "".join(line + line_end for line in lines).encode(encoding, "ignore")
    dialect = dialect_of(header=False)
    verdicts = [one for _, one in read(data, names=("a", "b"), header=False, encoding=encoding)]
    repeated = repeated_in_bytes(("a", "b"), dialect, encoding)
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    code = None
    try:
        for _ in strictly(pieces, dialect, repeated):
            pass
    except DeliveryError as error:
        code = error.code
    assert (code is not None) == bool({"repeated_header", "bad_quotes"} & set(map(str, verdicts)))


def test_declared_names_that_the_encoding_lacks_are_in_no_file() -> None:
    assert repeated_in_bytes(("a", "Ω"), dialect_of(), "latin-1") is None
    assert repeated_in_bytes(("a", "Ω"), dialect_of(), "utf-8") is not None
