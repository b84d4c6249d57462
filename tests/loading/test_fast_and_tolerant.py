"""Where PostgreSQL's COPY and the tolerant reader both take a file, they give the same rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.loading import copying
from sluice.loading.copying import copy_csv
from sluice.loading.table import ensure_table
from sluice.reading.csv_records import CsvReader
from sluice.reading.csv_writing import csv_writer
from sluice.reading.headers import read_header
from sluice.registry import CsvDialect, Source
from sluice.registry.encodings import COPY_ENCODINGS
from tests.properties import tried
from tests.reading.csv_files import written_value

Row = tuple[str | None, ...]
Rows = list[tuple[int, Row]]

NAMES = ("a", "b", "c")

# Before the first, a file goes without Arrow; of the other, each record is a block.
BLOCKS = [1 << 20, 1]

RFC_4180 = CsvDialect(delimiter=",", header=False)

DIALECTS = [
    RFC_4180,
    CsvDialect(delimiter=",", header=False, escape="\\"),
    CsvDialect(delimiter="\t", header=False, quote="'"),
    CsvDialect(delimiter=",", header=False, escape="e"),
]

# What files are broken with, dense enough to meet.
PIECES = st.sampled_from(
    [
        *[b"x", b"e", b" ", b",", b",", b"\t", b'"', b'"', b'""', b"'", b"\\", b"\n", b"\n"],
        *[b"\r\n", b"\r", b"\xc3\xa9", b"\xe9", b"\x81", b"\0", b"\xef\xbb\xbf"],
        *[b"\\.", b"\\N", b"NULL", b"a,b\n", b'"a",b,c\n'],
    ]
)


def source_of(width: int, dialect: CsvDialect, encoding: str) -> Source:
    return Source.model_validate(
        {
            "name": f"width_{width}",
            "description": "Texts",
            "owner": "nobody",
            "dialect": dialect.model_dump(),
            "encoding": encoding,
            "columns": {name: {"data_type": "text"} for name in NAMES[:width]},
        }
    )


@pytest.fixture
def connection(loader: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    loader.autocommit = True
    for width in range(1, 4):
        ensure_table(loader, source_of(width, RFC_4180, "utf-8"))
    return loader


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def fast(
    connection: psycopg.Connection[Any],
    data: bytes,
    width: int,
    dialect: CsvDialect,
    encoding: str,
    size: int,
    block: int,
) -> Rows | None:
    """The rows as the fast path takes them, in blocks of a size; None where it refuses the file."""
    source = source_of(width, dialect, encoding)
    columns = list(source.columns)
    try:
        header = read_header(data, dialect, encoding, is_whole_file=True)
        with connection.transaction(), patch.object(copying, "BLOCK_BYTES", block):
            connection.execute(f"truncate bronze.{source.name}")  # type: ignore[arg-type]
            copy_csv(connection, source, columns, header, pieces(data, size))
    except DeliveryError:
        return None
    rows = connection.execute(
        f"select _source_row_number, {', '.join(columns)}"  # type: ignore[arg-type]
        f" from bronze.{source.name} order by 1"
    )
    return [(row[0], row[1:]) for row in rows]


def tolerant(data: bytes, width: int, dialect: CsvDialect, encoding: str) -> tuple[Rows, list[str]]:
    """The rows as the tolerant path takes them, and the codes of what it rejects."""
    reader = CsvReader(lambda: io.BytesIO(data), dialect, encoding, NAMES[:width])
    rows: Rows = []
    codes: list[str] = []
    for batch in reader.batches():
        rows += zip(batch.numbers, map(tuple, batch.fields), strict=True)
        codes += [bad.code for bad in batch.bad]
    return rows, codes


@st.composite
def whole_files(draw: st.DrawFn, dialect: CsvDialect, width: int, encoding: str) -> bytes:
    """A file that is as it should be, but for characters that are none in some encoding."""
    texts = st.text(
        st.sampled_from("xe ,\t\"'\\\n\r\u00e9\u0085\ufeff\u0142\u0416\u03b1\u20ac"), max_size=6
    )
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    rows = draw(st.lists(st.lists(st.none() | texts, min_size=width, max_size=width), max_size=8))
    lines = [
        (dialect.delimiter or ",").join(
            written_value(value, dialect, is_quoted=draw(st.booleans())) for value in row
        )
        for row in rows
    ]
    return line_end.join([*lines, ""]).encode(encoding, "replace")


@tried(300)
@given(broken=st.none() | st.lists(PIECES, max_size=25).map(b"".join), choices=st.data())
def test_both_paths_give_the_same_rows(
    connection: psycopg.Connection[Any], broken: bytes | None, choices: st.DataObject
) -> None:
    width = choices.draw(st.integers(1, 3))
    dialect = choices.draw(st.sampled_from(DIALECTS))
    encoding = choices.draw(st.sampled_from(sorted(COPY_ENCODINGS)))
    size = choices.draw(st.integers(1, 30))
    block = choices.draw(st.sampled_from([*BLOCKS, 20]))
    data = choices.draw(whole_files(dialect, width, encoding)) if broken is None else broken
    both(connection, data, width, dialect, encoding, size, block)


@tried(50)
@given(
    st.lists(st.none() | st.text(st.sampled_from("xy"), max_size=2), min_size=1, max_size=6),
    st.sampled_from(BLOCKS),
)
def test_no_record_of_one_column_is_lost_for_its_missing_value(
    connection: psycopg.Connection[Any], values: list[str | None], block: int
) -> None:
    """As PostgreSQL writes them: an empty line, also at the end of the file."""
    data = "".join(csv_writer()([value]) for value in values).encode()
    expected = [(number, (value,)) for number, value in enumerate(values, 1)]
    assert fast(connection, data, 1, RFC_4180, "utf-8", 30, block) == expected
    assert tolerant(data, 1, RFC_4180, "utf-8") == (expected, [])


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    ("data", "width", "dialect", "encoding", "size"),
    [
        (b'x"y"z,1\n', 2, RFC_4180, "utf-8", 30),
        (b'"x"y,1\n', 2, RFC_4180, "utf-8", 30),
        (b'"x" ,1\n', 2, RFC_4180, "utf-8", 30),
        (b"\xef\xbb\xbfx,1\n", 2, RFC_4180, "utf-8", 30),
        (b"\xef\xbb\xbfx,1\n", 2, RFC_4180, "latin-1", 30),
        (b'\xef\xbb\xbf"x",1\n', 2, RFC_4180, "utf-8", 1),
        (b"\xef\xbb\xbf\xef\xbb\xbfx,1\n", 2, RFC_4180, "utf-8", 1),
        (b"x\n\ny\n\n\n", 1, RFC_4180, "utf-8", 30),
        (b'x\n""\n"', 1, RFC_4180, "utf-8", 30),
        (b"x\n\\.\ny\n", 1, RFC_4180, "utf-8", 30),
        (b"x,y\r\n1,\r", 2, RFC_4180, "utf-8", 30),
        (b'x,"y\r\nz"\r\n', 2, RFC_4180, "utf-8", 30),
        (b"\x81,y\n", 2, RFC_4180, "windows-1252", 30),
        (b"x,y\n\xef\xbb\xbfx,y\n", 2, RFC_4180, "utf-8", 4),
        (b"x,y\n\nx,y\n", 2, RFC_4180, "utf-8", 4),
        (b'x,""\n,y\n', 2, RFC_4180, "utf-8", 30),
    ],
)
def test_examples(
    connection: psycopg.Connection[Any],
    data: bytes,
    width: int,
    dialect: CsvDialect,
    encoding: str,
    size: int,
    block: int,
) -> None:
    both(connection, data, width, dialect, encoding, size, block)


def both(
    connection: psycopg.Connection[Any],
    data: bytes,
    width: int,
    dialect: CsvDialect,
    encoding: str,
    size: int,
    block: int,
) -> None:
    """Take a file both ways; where PostgreSQL takes it, the rows must be the same."""
    fast_rows = fast(connection, data, width, dialect, encoding, size, block)
    if fast_rows is None:
        return
    try:
        rows, codes = tolerant(data, width, dialect, encoding)
    except DeliveryError as error:  # a mark that is not the encoding's
        if error.code != "bad_encoding":
            raise
        return
    assert codes == []
    assert rows == fast_rows
