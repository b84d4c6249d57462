"""Records as lines of CSV that a load reads back as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sluice.registry import CsvDialect

COMMAS = CsvDialect(delimiter=",")

END_OF_DATA = "\\."  # to COPY, where it stands alone on a line and without quotes


def csv_writer(dialect: CsvDialect = COMMAS) -> Callable[[Sequence[str | None]], str]:
    """What makes a line of a record: a missing value is empty, an empty one stands in quotes."""
    delimiter, quote = dialect.delimiter or ",", dialect.quote or '"'
    special = {delimiter, quote, "\n", "\r"}
    doubles_escapes = dialect.escape is not None and dialect.escape != quote
    escaped_quote = (dialect.escape or quote) + quote

    def field(value: str | None) -> str:
        if value is None:
            return ""
        loses_space = dialect.space_after_delimiter and value.startswith(" ")
        if value and value != END_OF_DATA and not loses_space and special.isdisjoint(value):
            return value
        if doubles_escapes and dialect.escape is not None:
            value = value.replace(dialect.escape, dialect.escape * 2)
        return quote + value.replace(quote, escaped_quote) + quote

    return lambda values: delimiter.join(map(field, values)) + "\n"
