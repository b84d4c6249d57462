"""The columns of a CSV file whose fields all feed declared columns."""

from __future__ import annotations

from sluice.reading import headers
from sluice.reading.headers import HEAD_BYTES
from sluice.registry import Source

__all__ = ["HEAD_BYTES", "read_header"]


def read_header(head: bytes, source: Source, *, is_whole_file: bool) -> list[str]:
    """The columns of a file in the file's order, from its first bytes.

    Raises:
        DeliveryError: there is no header, or its columns are not the declared ones, each once.
    """
    encoding = "utf-8" if source.encoding == "auto" else source.encoding
    header = headers.read_header(head, source.csv_dialect, encoding, is_whole_file=is_whole_file)
    return list(headers.map_columns(header.names, source).columns)
