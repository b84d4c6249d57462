"""Rejected records as a CSV file that can be mended and dropped into the landing zone again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sluice.errors import ConfigError
from sluice.reading.csv_writing import COMMAS, csv_writer
from sluice.reading.headers import EXPORTED
from sluice.registry import Source
from sluice.warehouse.rejected_rows import RejectedRow

# What an export has beside the file's own columns; a delivery may bring them back.
EXPORT_COLUMNS = tuple(
    EXPORTED + name
    for name in ("file", "row_number", "line", "code", "column", "reason", "raw_record")
)

# A spreadsheet takes these for the beginning of a formula; a plain number is none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?", re.IGNORECASE)


def export_columns(source: Source, headers: Iterable[Sequence[str] | None]) -> tuple[str, ...]:
    """The columns of an export: those of the files, or the source's where theirs are unknown.

    Args:
        source: whose records they are.
        headers: the names of each file's fields; None where they are not known.

    Raises:
        ConfigError: the files differ in their columns.
    """
    known = {tuple(header) for header in headers if header}
    if len(known) > 1:
        raise ConfigError(
            "The files do not have the same columns, so one export cannot hold them.",
            f"Export one: ./sluice rejects {source.name} FILE --export PATH",
        )
    return next(iter(known), tuple(source.columns))


def export_lines(
    source: Source, columns: Sequence[str], rows: Iterable[RejectedRow]
) -> Iterator[str]:
    """The lines of an export, its header first, in the source's own dialect where it has one.

    Values that a spreadsheet would run as a formula get an apostrophe before them.
    """
    line = csv_writer(source.csv_dialect if source.format in ("csv", "tsv") else COMMAS)
    yield line([*columns, *EXPORT_COLUMNS])
    for row in rows:
        whole = row.fields is not None and len(row.fields) == len(columns)
        fields = row.fields if whole and row.fields is not None else [None] * len(columns)
        line_number = None if row.line_number is None else str(row.line_number)
        place = [row.file_name, str(row.row_number), line_number]
        why = [row.code, row.column_name, row.reason, row.raw_record]
        yield line([*map(_neutral, [*fields, *place, *why])])


def _neutral(value: str | None) -> str | None:
    """The value, harmless to a spreadsheet."""
    if value and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value
