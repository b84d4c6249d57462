"""Parquet, by Arrow: each value as the text that PostgreSQL reads back exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from sluice.errors import DeliveryError
from sluice.reading.arrow_text import (
    ArrowRecords,
    NoText,
    Texts,
    can_be_text,
    kind_of,
    texts_of,
    uncertain_wholes,
)
from sluice.reading.headers import fed_columns
from sluice.reading.json_fields import shown
from sluice.reading.names import refuse_no_text
from sluice.reading.records import BadRecord, Batch, Opener, Place
from sluice.reading.typed_values import TypedValue, converted_columns
from sluice.registry import Source

# Larger batches are no faster, and each value is alive as text at once.
BATCH_ROWS = 8192

# Pages are read one by one through a buffer of this size. Without it Arrow holds each column of a
# row group as a whole: 390 MB at the peak instead of 130 MB for 3 M rows in one group.
BUFFER_BYTES = 1 << 18


class ParquetReader:
    """The records of a Parquet file, in its order, a batch of rows at a time.

    Numbers, dates and times become the text that PostgreSQL reads as the same value; a moment in
    some zone becomes that moment in UTC; nanoseconds stay, for the column to take or refuse; lists,
    maps and structs become JSON. Where there is no such text (NUL characters, NaN within JSON) the
    record is rejected. A raw record is shown as a JSON object of those texts.

    Attributes:
        names: the names of the file's columns.
        notes: empty: a Parquet file says itself how it is written.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, opener: Opener, source: Source) -> None:
        """Read the file's schema.

        Raises:
            DeliveryError: it is no Parquet file, or a column is of a type that has no text.
        """
        self._opener = opener
        self._source = source
        with opener() as stream, _explained():
            schema = _open(stream).schema_arrow
            self.names = tuple(schema.names)
        refuse_no_text(self.names)
        for column in schema:
            if not can_be_text(column.type):
                raise DeliveryError(
                    f"Column {shown(column.name)} holds {column.type}, which is no text, number,"
                    " date, time, or list or struct of those.",
                    code="wrong_type",
                    column=column.name,
                    remedy="Deliver it as one of those types, or without the column.",
                )

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last.

        Raises:
            DeliveryError: the file is damaged, or two of its columns feed one.
        """
        first = 1
        fed = fed_columns(self.names, self._source)
        converted = converted_columns(self._source)
        whole = [at for at, name in fed.items() if self._source.columns[name].data_type == "bigint"]
        with self._opener() as stream, _explained():
            file = _open(stream)
            kinds = {
                at: kind
                for at, name in fed.items()
                if name in converted and (kind := kind_of(file.schema_arrow.types[at])) is not None
            }
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                columns = [texts_of(column) for column in batch.columns]
                for at in whole:
                    columns[at].without.update(uncertain_wholes(batch.columns[at]))
                yield self._batch(columns, kinds, first)
                first += batch.num_rows

    def _batch(
        self, columns: Sequence[Texts], kinds: Mapping[int, type[TypedValue]], first: int
    ) -> Batch:
        rows = ArrowRecords([texts.values for texts in columns], kinds)

        def place(number: int) -> Place:
            members = dict(zip(self.names, rows[number - first], strict=True))
            return Place(number, json.dumps(members, ensure_ascii=False))

        verdicts: dict[int, tuple[str, NoText]] = {}
        for name, texts in zip(self.names, columns, strict=True):
            for index, no_text in texts.without.items():
                verdicts.setdefault(index, (name, no_text))
        if not verdicts:
            return Batch(range(first, first + len(rows)), rows, lambda index: place(first + index))
        good = [index for index in range(len(rows)) if index not in verdicts]
        numbers = [first + index for index in good]
        bad = [
            BadRecord(
                place(first + index),
                no_text.code,
                f"{name} {no_text.reason}",
                name,
                tuple(rows[index]),
            )
            for index, (name, no_text) in sorted(verdicts.items())
        ]
        return Batch(numbers, [rows[index] for index in good], lambda i: place(numbers[i]), bad)


def _open(stream: BinaryIO) -> pq.ParquetFile:
    return pq.ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER_BYTES)


@contextmanager
def _explained() -> Iterator[None]:
    """What Arrow says of a file that it cannot read, as the sender's to mend."""
    try:
        yield
    except UnicodeDecodeError as error:
        bad = error.object[error.start]
        raise DeliveryError(
            f"A column's name is no UTF-8: byte 0x{bad:02X} after {error.start} bytes.",
            code="bad_encoding",
        ) from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
            raise
        first_line = str(error).strip().partition("\n")[0]
        raise DeliveryError(
            f"The file cannot be read as Parquet: {shown(first_line)}.", code="bad_structure"
        ) from None
