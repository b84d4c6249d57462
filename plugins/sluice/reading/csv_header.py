"""The header of a CSV file, held against the columns that the registry declares."""

from __future__ import annotations

import csv
import io
from collections import Counter

from sluice.errors import DeliveryError
from sluice.registry import Source

HEAD_BYTES = 1 << 16  # a header is a few hundred bytes; this bounds what is read to find its end


def read_header(head: bytes, source: Source, *, is_whole_file: bool) -> list[str]:
    """The columns of a file in the file's order, from its first bytes.

    Raises:
        DeliveryError: there is no header, or its columns are not the declared ones, each once.
    """
    dialect = source.csv_dialect
    try:
        text = head.decode(source.encoding, errors="strict" if is_whole_file else "ignore")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode(source.encoding)
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter or ",",
        quotechar=dialect.quote,
        escapechar=dialect.escape if dialect.escape != dialect.quote else None,
        doublequote=dialect.escape in (None, dialect.quote),
    )
    try:
        columns = next(reader, [])
    except csv.Error as error:
        raise DeliveryError(
            f"The first line cannot be read as a header: {error}.", code="no_header"
        ) from None
    if not columns:
        raise DeliveryError(
            "The file is empty: it has no header.",
            code="no_header",
            remedy=f"The first line must name the columns: {', '.join(source.columns)}.",
        )
    _hold_against(columns, source)
    return columns


def _hold_against(columns: list[str], source: Source) -> None:
    """Refuse columns that are missing, unknown or there twice."""
    where = f"registry/sources/{source.name}.yml"
    twice = [name for name, count in Counter(columns).items() if count > 1]
    unknown = [name for name in columns if name not in source.columns]
    missing = [name for name in source.columns if name not in columns]
    if twice:
        raise DeliveryError(
            f"The header names {twice[0]!r} more than once.",
            code="duplicate_column",
            column=twice[0],
        )
    if missing:
        raise DeliveryError(
            f"The header lacks {', '.join(map(repr, missing))}; it has {columns}.",
            code="missing_column",
            column=missing[0],
            remedy=f"Deliver the columns, or take them out of {where}.",
        )
    if unknown:
        raise DeliveryError(
            f"The header has columns that the registry does not: {', '.join(map(repr, unknown))}.",
            code="unknown_column",
            column=unknown[0],
            remedy=f"Add them to {where}, or deliver the file without them.",
        )
