"""Bytes into records: the reader of each format."""

from __future__ import annotations

import os

from sluice.reading.headers import HEAD_BYTES
from sluice.reading.lines import read_fully
from sluice.reading.records import Opener, Reader
from sluice.reading.reject_exports import ExportReader, find_dialect, is_export
from sluice.registry import Source

# Arrow's own pool keeps more and more of what was freed: 224 MB instead of 183 MB at the peak for
# a Parquet file of 4 M rows. Arrow chooses it when it is first imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# What lies at the end of these says where everything else is.
SEEKING_FORMATS = frozenset({"parquet", "excel"})


def needs_seeking(source: Source) -> bool:
    """Whether the reader of the source's format needs an opener whose streams can seek."""
    return source.format in SEEKING_FORMATS


def open_reader(opener: Opener, source: Source) -> Reader:
    """The reader of a delivery of a source; an export of its rejects is known in any format.

    Args:
        opener: opens the delivery's decompressed content at its start; see ``needs_seeking``.
        source: says how it is written.

    Raises:
        DeliveryError: the content is not of the source's format, or not in its encoding.
    """
    with opener() as stream:
        dialect = find_dialect(read_fully(stream, HEAD_BYTES))
    if dialect is not None:
        from sluice.reading.csv_records import CsvReader

        return ExportReader(CsvReader(opener, dialect, "utf-8"), source)
    reader = _reader(opener, source)
    # Saved by a spreadsheet in the source's own format, it has the same columns.
    return ExportReader(reader, source) if is_export(reader.names) else reader


def _reader(opener: Opener, source: Source) -> Reader:
    """The reader of the source's format."""
    # Imported where they are needed: Arrow alone takes 0.1 s and 40 MB.
    match source.format:
        case "csv" | "tsv":
            return _csv_reader(opener, source)
        case "jsonl":
            from sluice.reading.jsonl import JsonLinesReader

            return JsonLinesReader(opener, source)
        case "json":
            from sluice.reading.json_array import JsonArrayReader

            return JsonArrayReader(opener, source)
        case "parquet":
            from sluice.reading.parquet import ParquetReader

            return ParquetReader(opener, source)
        case "excel":
            from sluice.reading.excel import ExcelReader

            return ExcelReader(opener, source)
        case "fixed_width":
            from sluice.reading.fixed_width import FixedWidthReader

            return FixedWidthReader(opener, source)


def _csv_reader(opener: Opener, source: Source) -> Reader:
    from sluice.reading.csv_dialect import DETECTION_BYTES, detect
    from sluice.reading.csv_records import CsvReader
    from sluice.reading.headers import field_names

    with opener() as stream:
        head = read_fully(stream, DETECTION_BYTES)
    found = detect(head, source, is_whole_file=len(head) < DETECTION_BYTES)
    names = found.names
    if names is None and not found.dialect.header:
        names = field_names(source)
    return CsvReader(opener, found.dialect, found.encoding, names, found.notes)


__all__ = ["ExportReader", "needs_seeking", "open_reader"]
