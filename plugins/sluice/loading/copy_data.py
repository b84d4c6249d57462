"""Records as COPY reads them: one line a record, its number first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Literal

from sluice.reading.fields import ColumnRecords, Fields, WrittenRecords

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class CopyData:
    """What a COPY is given.

    Attributes:
        lines: one for each record.
        options: COPY's options that say how the lines are written.
    """

    lines: bytes
    options: Composable


def copy_data(numbers: Sequence[int], records: Sequence[Fields]) -> CopyData:
    """Records as COPY reads them.

    Those that a file has as CSV of one line each stay as they are written; all others are written
    in COPY's text format.

    Args:
        numbers: the records' numbers.
        records: as many records, of one or more values each.
    """
    if not numbers:
        return CopyData(b"", SQL("format text"))
    if isinstance(records, WrittenRecords) and _is_csv(records):
        dialect, delimiter = records.grammar.dialect, records.grammar.delimiter
        written = zip(numbers, records.written, strict=True)
        lines = "\n".join([f"{number}{delimiter}{record}" for number, record in written])
        options = SQL("format csv, null '', delimiter {}, quote {}, escape {}").format(
            Literal(delimiter), Literal(dialect.quote), Literal(dialect.escape or dialect.quote)
        )
        return CopyData(f"{lines}\n".encode(), options)
    if not isinstance(records, ColumnRecords):
        records = ColumnRecords(list(zip(*records, strict=True)))
    return CopyData(_as_text(numbers, records).encode(), SQL("format text"))


def _is_csv(records: WrittenRecords) -> bool:
    """Whether COPY reads the records as the file's grammar does."""
    dialect = records.grammar.dialect
    signs = f"{records.grammar.delimiter}{dialect.quote}{dialect.escape or ''}"
    # A digit would divide the number.
    is_plain = signs.isascii() and not any(sign.isdigit() for sign in signs)
    return records.are_lines and dialect.quote is not None and is_plain


def _as_text(numbers: Sequence[int], records: ColumnRecords) -> str:
    """Records in COPY's text format."""
    text, missing = records.joined(numbers)
    # Looking at the whole afterwards costs less than looking at each value.
    is_plain = (
        text.count("\\") == missing
        and text.count("\t") == len(records) * len(records.columns)
        and text.count("\n") == len(records)
        and "\r" not in text
    )
    if is_plain:
        return text
    escaped = [
        [value and value.translate(_ESCAPES) for value in column] for column in records.columns
    ]
    return ColumnRecords(escaped).joined(numbers)[0]


def text_array(values: Iterable[str | None]) -> str:
    """Values as PostgreSQL reads a text[]: a fifth of the time that psycopg takes for it."""
    written = [
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(written) + "}"
