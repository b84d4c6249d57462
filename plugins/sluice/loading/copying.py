"""The fast path: the file's own bytes into a strict COPY; PostgreSQL judges every value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import psycopg
from psycopg import Connection, errors
from psycopg.sql import SQL, Identifier, Literal

from sluice.errors import DeliveryError
from sluice.loading.table import bronze_table
from sluice.registry import Source

ENCODINGS = {"utf-8": "UTF8", "latin-1": "LATIN1", "windows-1252": "WIN1252"}

# What PostgreSQL's refusals are called in the ledger, by SQLSTATE.
REJECT_CODES = {
    "22P04": "bad_structure",  # wrong number of fields, broken quotes, mixed line ends
    "22P02": "wrong_type",
    "22007": "wrong_type",
    "22008": "out_of_range",
    "22003": "out_of_range",
    "22021": "bad_encoding",
    "22P05": "bad_encoding",
    "22P03": "wrong_type",
}


def copy_csv(
    connection: Connection, source: Source, columns: list[str], chunks: Iterable[bytes]
) -> int:
    """Stream a CSV file with its header into the source's table.

    Args:
        connection: in the transaction that is the load.
        source: whose file it is.
        columns: the file's columns, in the file's order.
        chunks: the file's bytes.

    Returns:
        How many records were loaded.

    Raises:
        DeliveryError: PostgreSQL refuses a record; the transaction has to be rolled back.
    """
    dialect = source.csv
    statement = SQL(
        "copy {} ({}) from stdin with (format csv, header true, delimiter {}, quote {},"
        " escape {}, encoding {})"
    ).format(
        bronze_table(source),
        SQL(", ").join(map(Identifier, columns)),
        Literal(dialect.delimiter),
        Literal(dialect.quote),
        Literal(dialect.escape or dialect.quote),
        Literal(ENCODINGS[dialect.encoding]),
    )
    if connection.info.server_version < 180000:
        chunks = _refuse_end_marker(chunks)
    try:
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for chunk in chunks:
                    copy.write(chunk)
            return cursor.rowcount
    except (psycopg.DataError, errors.ProgramLimitExceeded) as error:
        raise _explain(error) from None


def _refuse_end_marker(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Stop at a line ``\.``: before version 18, PostgreSQL would drop all that follows it."""
    tail = b""
    for chunk in chunks:
        seen = tail + chunk
        if b"\\." in seen and re.search(rb"[\r\n]\\\.(?=[\r\n])", seen):
            raise DeliveryError(
                r"A line holds only \. , which PostgreSQL 17 takes for the end of the data.",
                code="end_of_data_marker",
                remedy="Quote the value, or load into PostgreSQL 18, which reads it as text.",
            )
        tail = seen[-4:]
        yield chunk


def _explain(error: psycopg.Error) -> DeliveryError:
    """What PostgreSQL refused, in its own words, with the line and the column it names."""
    context = error.diag.context or ""
    place = re.search(r"^COPY [^\n]*?, \w+ (\d+)(?:, \w+ ([a-z_0-9]+))?", context)
    line, column = (place[1], place[2]) if place else (None, None)
    message = (error.diag.message_primary or str(error)).strip()
    where = f" at line {line}" if line else ""
    where += f", column {column}" if column else ""
    return DeliveryError(
        f"PostgreSQL refuses the file{where}: {message}.",
        code=REJECT_CODES.get(error.sqlstate or "", "refused"),
        column=column,
    )
