"""Delimited files for the tests, and what the tolerant reader makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice.reading.csv_records import CsvReader
from sluice.registry import CsvDialect
from tests.reading.readers import bad_records, good_records, opener_of

Row = Sequence[str | None]

# Number and values of a good record; number and code of a bad one.
Read = list[tuple[int, tuple[str | None, ...] | str]]


def dialect_of(**keys: Any) -> CsvDialect:
    return CsvDialect(**{"delimiter": ",", **keys})


def csv_reader(
    data: bytes | str,
    *,
    encoding: str = "utf-8",
    names: Sequence[str] | None = None,
    **keys: Any,
) -> CsvReader:
    if isinstance(data, str):
        data = data.encode(encoding)
    return CsvReader(opener_of(data), dialect_of(**keys), encoding, names)


def read(data: bytes | str, **keys: Any) -> Read:
    """Every record of a file in its order: the values of the good ones, the codes of the others."""
    reader = csv_reader(data, **keys)
    found: Read = list(good_records(reader))
    found += [(bad.place.number, bad.code) for bad in bad_records(reader)]
    return sorted(found, key=lambda one: one[0])


def written_value(value: str | None, dialect: CsvDialect, *, is_quoted: bool) -> str:
    """A field as a file has it: in quotes where asked for, or where there is no other way."""
    quote, delimiter = dialect.quote, dialect.delimiter or ","
    if value is None:
        return ""
    special = {delimiter, "\r", "\n", quote}
    if dialect.space_after_delimiter:
        special.add(" ")
    if quote is None or not (is_quoted or not value or special & set(value)):
        return value
    escape = dialect.escape or quote
    if escape != quote:
        value = value.replace(escape, escape * 2)
    return quote + value.replace(quote, escape + quote) + quote
