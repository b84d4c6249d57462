"""The fast path: a delimited file into a strict COPY, as far as possible in its own bytes.

What is written plainly goes as binary COPY takes it (docs/adr/0019); PostgreSQL judges every other
value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier, Literal

from sluice.errors import DeliveryError, printable
from sluice.loading.exactness import Exactness
from sluice.loading.table import ROW_NUMBER, bronze_table, set_next_row_number
from sluice.reading.csv_repeats import repeated_in_bytes
from sluice.reading.csv_strict import strictly
from sluice.reading.headers import Header, field_names
from sluice.registry import CsvDialect, Source
from sluice.registry.encodings import COPY_ENCODINGS
from sluice.warehouse.failures import REFUSALS

# What one message to PostgreSQL holds: it stays in the processor's cache there, which saves the
# server 2-4 % of its work against a message of a megabyte.
MESSAGE_BYTES = 1 << 15

# Arrow reads so much at once: half of it takes a fifth longer.
BLOCK_BYTES = 1 << 20

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


def is_for_copy(source: Source) -> bool:
    """Whether COPY can read the source's files as they are, and means what the registry means."""
    dialect = source.dialect
    return (
        source.format in ("csv", "tsv")
        and isinstance(dialect, CsvDialect)
        and dialect.quote is not None
        and dialect.comment is None
        and not dialect.trailing_delimiter
        and not dialect.space_after_delimiter
        and source.encoding in COPY_ENCODINGS
        and all(
            source.values_of(name).says_nothing
            and column.mask is None
            and column.from_file_name is None
            for name, column in source.columns.items()
        )
    )


@dataclass(frozen=True)
class Copied:
    """What a COPY brought.

    Attributes:
        rows: how many records.
        follows_rules: whether each value is seen to follow its column's rules; where not, they are
            still to be applied.
    """

    rows: int
    follows_rules: bool = False


def copy_csv(
    connection: Connection,
    source: Source,
    columns: list[str],
    header: Header,
    chunks: Iterable[bytes],
) -> Copied:
    """Stream the records of a CSV file into the source's table, numbered from 1.

    Args:
        connection: in the transaction that is the load; it holds the source's lock.
        source: whose file it is.
        columns: the file's columns, in the file's order.
        header: the file's header.
        chunks: the file's bytes, from its start.

    Raises:
        DeliveryError: PostgreSQL refuses a record; the transaction has to be rolled back.
    """
    names = header.names or field_names(source)
    repeated = repeated_in_bytes(names, source.csv_dialect, source.encoding)
    blocks = _blocks(strictly(_after(header.end, chunks), source.csv_dialect, repeated))
    rest: Iterable[bytes] = blocks
    rows = 0
    if source.encoding == "utf-8":
        # Imported where it is needed: Arrow alone takes 0.1 s and 40 MB.
        from sluice.loading.plain_copy import PlainPart

        plain = PlainPart(source, columns, blocks)
        rows = _copy(
            connection,
            source,
            [ROW_NUMBER, *columns],
            plain,
            [SQL("format binary")],
            lines_before=header.lines,
        )
        if plain.rest is None:
            return Copied(rows, plain.follows_rules)
        rest = chain([plain.rest], blocks)
    set_next_row_number(connection, source, rows + 1)
    return Copied(rows + _copy_bytes(connection, source, columns, rest, header.lines + rows))


def _copy_bytes(
    connection: Connection,
    source: Source,
    columns: list[str],
    blocks: Iterable[bytes],
    lines_before: int,
) -> int:
    """Copy records as they are written; PostgreSQL numbers them.

    Where there is neither a quote nor a backslash, CSV and COPY's text format mean the same, and
    PostgreSQL reads text with 6 % less work: the copy starts as text, and goes on as CSV from the
    first record that has one of them.
    """
    dialect = source.csv_dialect
    sound = Exactness(source, columns).only_exact(blocks)
    options: list[Composable] = [
        SQL("delimiter {}").format(Literal(dialect.delimiter)),
        SQL("encoding {}").format(Literal(COPY_ENCODINGS[source.encoding])),
        SQL("null ''"),
    ]
    simple = _SimplePart(sound, dialect)
    rows = _copy(connection, source, columns, simple, options, lines_before=lines_before)
    if simple.rest is None:
        return rows
    rest: Iterable[bytes] = chain([simple.rest], simple.chunks)
    if connection.info.server_version < 180000:
        rest = _refuse_end_marker(rest)
    options += [
        SQL("format csv"),
        SQL("quote {}").format(Literal(dialect.quote)),
        SQL("escape {}").format(Literal(dialect.escape or dialect.quote)),
    ]
    lines_before += rows
    return rows + _copy(connection, source, columns, rest, options, lines_before=lines_before)


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces of a block or more."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _after(count: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes after the first ``count``."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(count - len(chunk), 0)


class _SimplePart:
    """The records of a file up to the first that has a quote, an escape or a backslash.

    Attributes:
        chunks: what has not been read yet.
        rest: the bytes from the first special record on, as far as read; None at the file's end.
    """

    def __init__(self, chunks: Iterable[bytes], dialect: CsvDialect) -> None:
        self.chunks = iter(chunks)
        self.rest: bytes | None = None
        quote, escape = dialect.quote or "\\", dialect.escape or "\\"
        self._special = {quote.encode(), escape.encode(), b"\\"}
        # Letters, digits and the dot mean something else in the text format.
        delimiter = dialect.delimiter or ","
        self._is_possible = not (delimiter.isalnum() or delimiter == ".")

    def __iter__(self) -> Iterator[bytes]:
        pending = b""
        for chunk in self.chunks:
            pending += chunk
            places = [place for byte in self._special if (place := chunk.find(byte)) >= 0]
            special = bool(places) or not self._is_possible
            # A record ends with the last line end before the first special byte.
            end = min(places, default=0) + len(pending) - len(chunk) if special else None
            cut = pending.rfind(b"\n", 0, end if self._is_possible else 0) + 1
            plain, pending = pending[:cut], pending[cut:]
            if plain:
                yield plain
            if special or not cut:  # line ends of another kind: left to CSV as well
                self.rest = pending
                return
        if pending:
            yield pending


def _copy(
    connection: Connection,
    source: Source,
    columns: list[str],
    chunks: Iterable[bytes],
    options: list[Composable],
    *,
    lines_before: int,
) -> int:
    """One COPY of a part of the file."""
    statement = SQL("copy {} ({}) from stdin with ({})").format(
        bronze_table(source), SQL(", ").join(map(Identifier, columns)), SQL(", ").join(options)
    )
    messages = _messages(chunks)
    first = next(messages, None)
    if first is None:  # no COPY for nothing
        return 0
    try:
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.write(first)
                for message in messages:
                    copy.write(message)
            return cursor.rowcount
    except REFUSALS as error:
        raise _explain(error, lines_before) from None


def _messages(chunks: Iterable[bytes]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(chunk), MESSAGE_BYTES):
            yield view[start : start + MESSAGE_BYTES]


def _refuse_end_marker(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Stop at a line ``\.``: before version 18, PostgreSQL would drop all that follows it."""
    tail = b"\n"
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


def _explain(error: psycopg.Error, lines_before: int) -> DeliveryError:
    """What PostgreSQL refused, in its own words, with the line and the column it names."""
    context = error.diag.context or ""
    place = re.search(r"^COPY [^\n]*?, \w+ (\d+)(?:, \w+ ([a-z_0-9]+))?", context)
    line, column = (place[1], place[2]) if place else (None, None)
    message = printable((error.diag.message_primary or str(error)).strip())
    where = f" at line {int(line) + lines_before}" if line else ""
    where += f", column {column}" if column else ""
    return DeliveryError(
        f"PostgreSQL refuses the file{where}: {message}.",
        code=REJECT_CODES.get(error.sqlstate or "", "refused"),
        column=column,
    )
