"""Where PostgreSQL's COPY and the tolerant reader both take a file, they give the same rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Literal

from sluice.errors import DeliveryError
from sluice.reading.csv_records import CsvReader
from sluice.reading.csv_strict import strictly
from sluice.registry import CsvDialect

Row = tuple[str | None, ...]
Rows = list[tuple[int, Row]]

NAMES = ("a", "b", "c")

ENCODINGS = {"utf-8": "UTF8", "latin-1": "LATIN1", "windows-1252": "WIN1252"}

RFC_4180 = CsvDialect(delimiter=",", header=False)

DIALECTS = [
    RFC_4180,
    CsvDialect(delimiter=",", header=False, escape="\\"),
    CsvDialect(delimiter="\t", header=False, quote="'"),
    CsvDialect(delimiter=",", header=False, escape="e"),
]

# What files are broken with, dense enough to meet.
PIECES = st.sampled_from(
    [b"x", b"e", b" ", b",", b",", b"\t", b'"', b'"', b'""', b"'", b"\\", b"\n", b"\n", b"\r\n"]
    + [b"\r", b"\xc3\xa9", b"\xe9", b"\x81", b"\0", b"\xef\xbb\xbf", b"\\.", b"\\N", b"NULL"]
)


@pytest.fixture
def connection(administrator: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    for width in range(1, 4):
        columns = ", ".join(f"{name} text" for name in NAMES[:width])
        administrator.execute(
            f"create temp table width_{width} ({columns},"  # type: ignore[arg-type]
            " number bigint generated always as identity)"
        )
    return administrator


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
) -> Rows | None:
    """The rows as the fast path takes them; None where it refuses the file."""
    table = f"width_{width}"
    statement = SQL(
        "copy {} ({}) from stdin (format csv, null '', delimiter {}, quote {}, escape {},"
        " encoding {})"
    ).format(
        SQL(table),  # type: ignore[arg-type]
        SQL(", ").join(map(SQL, NAMES[:width])),  # type: ignore[arg-type]
        Literal(dialect.delimiter),
        Literal(dialect.quote),
        Literal(dialect.escape or dialect.quote),
        Literal(ENCODINGS[encoding]),
    )
    connection.execute(f"truncate {table} restart identity")  # type: ignore[arg-type]
    try:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for piece in strictly(pieces(data, size), dialect):
                copy.write(piece)
    except (psycopg.Error, DeliveryError):
        return None
    rows = connection.execute(f"select * from {table} order by number")  # type: ignore[arg-type]
    return [(row[-1], row[:-1]) for row in rows]


def tolerant(
    data: bytes, width: int, dialect: CsvDialect, encoding: str
) -> tuple[Rows, list[str]]:
    """The rows as the tolerant path takes them, and the codes of what it rejects."""
    reader = CsvReader(lambda: io.BytesIO(data), dialect, encoding, NAMES[:width])
    rows: Rows = []
    codes: list[str] = []
    for batch in reader.batches():
        rows += zip(batch.numbers, map(tuple, batch.fields), strict=True)
        codes += [bad.code for bad in batch.bad]
    return rows, codes


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.lists(PIECES, max_size=25).map(b"".join),
    width=st.integers(1, 3),
    dialect=st.sampled_from(DIALECTS),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    size=st.integers(1, 30),
)
@example(b'x"y"z,1\n', 2, RFC_4180, "utf-8", 30)
@example(b'"x"y,1\n', 2, RFC_4180, "utf-8", 30)
@example(b'"x" ,1\n', 2, RFC_4180, "utf-8", 30)
@example(b"\xef\xbb\xbfx,1\n", 2, RFC_4180, "utf-8", 30)
@example(b"\xef\xbb\xbfx,1\n", 2, RFC_4180, "latin-1", 30)
@example(b'\xef\xbb\xbf"x",1\n', 2, RFC_4180, "utf-8", 1)
@example(b"\xef\xbb\xbf\xef\xbb\xbfx,1\n", 2, RFC_4180, "utf-8", 1)
@example(b"x\n\ny\n\n\n", 1, RFC_4180, "utf-8", 30)
@example(b'x\n""\n"', 1, RFC_4180, "utf-8", 30)
@example(b"x\n\\.\ny\n", 1, RFC_4180, "utf-8", 30)
@example(b"x,y\r\n1,\r", 2, RFC_4180, "utf-8", 30)
@example(b'x,"y\r\nz"\r\n', 2, RFC_4180, "utf-8", 30)
@example(b"\x81,y\n", 2, RFC_4180, "windows-1252", 30)
def test_both_paths_give_the_same_rows(
    connection: psycopg.Connection[Any],
    data: bytes,
    width: int,
    dialect: CsvDialect,
    encoding: str,
    size: int,
) -> None:
    fast_rows = fast(connection, data, width, dialect, encoding, size)
    if fast_rows is None:
        return
    try:
        rows, codes = tolerant(data, width, dialect, encoding)
    except DeliveryError as error:  # a mark that is not the encoding's
        assert error.code == "bad_encoding"
        return
    assert codes == []
    assert rows == fast_rows
