"""What the tests of all readers share: sources, files in memory, and what a reader gives."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sluice.reading import open_reader
from sluice.reading.records import BadRecord, Opener, Place, Reader
from sluice.registry import Source

Fields = tuple[str | None, ...]


def source_of(format_: str, columns: Mapping[str, Any], **keys: Any) -> Source:
    """A source; a column is its data type, or a mapping of its keys."""
    return Source.model_validate(
        {
            "name": "things",
            "description": "Things",
            "owner": "nobody",
            "format": format_,
            "columns": {
                name: {"data_type": column} if isinstance(column, str) else column
                for name, column in columns.items()
            },
            **keys,
        }
    )


class TricklingStream(io.BytesIO):
    """Gives a few bytes at a time, as a stream that is being decompressed may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 7) if size is not None and size > 0 else size)


def opener_of(data: bytes, *, trickles: bool = False) -> Opener:
    return lambda: TricklingStream(data) if trickles else io.BytesIO(data)


def reader_of(data: bytes, source: Source) -> Reader:
    return open_reader(opener_of(data), source)


def good_records(reader: Reader) -> list[tuple[int, Fields]]:
    """The records that could be taken apart, with their numbers."""
    return [
        (number, tuple(fields))
        for batch in reader.batches()
        for number, fields in zip(batch.numbers, batch.fields, strict=True)
    ]


def bad_records(reader: Reader) -> list[BadRecord]:
    return [bad for batch in reader.batches() for bad in batch.bad]


def verdicts(reader: Reader) -> list[tuple[int, str, str | None]]:
    """Number, code and column of each bad record."""
    return [(bad.place.number, bad.code, bad.column) for bad in bad_records(reader)]


def places(reader: Reader) -> Iterator[Place]:
    """The place of each good record."""
    for batch in reader.batches():
        yield from (batch.places(index) for index in range(len(batch.numbers)))


@contextmanager
def small_batches(monkeypatch: Any, size: int) -> Iterator[None]:
    """Let readers of text take so many bytes at a time, so that small files have many batches."""
    with monkeypatch.context() as patch:
        patch.setattr("sluice.reading.lines.BATCH_BYTES", size)
        patch.setattr("sluice.reading.json_array.BATCH_BYTES", size)
        yield
