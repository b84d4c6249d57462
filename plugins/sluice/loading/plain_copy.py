"""The fastest path: plain values, read by Arrow, as PostgreSQL's binary COPY takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pgpq
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from sluice.loading.plain_rules import PlainRules
from sluice.reading.plain_csv import NotPlainError, PlainReader
from sluice.registry import Column, Source


class PlainPart:
    """The records of a file up to the first block that has something that is not plain.

    Iterate over it for what binary COPY takes: the number of each record, then its fields.

    Attributes:
        rows: how many records have been given.
        follows_rules: whether each value of them is seen to follow its column's rules.
        rest: the first block that is not plain; None at the file's end.
    """

    def __init__(self, source: Source, columns: Sequence[str], blocks: Iterable[bytes]) -> None:
        """Take what is to be read.

        Args:
            source: whose file it is; it is in UTF-8.
            columns: the file's columns, in the file's order; one that the registry does not have
                holds text.
            blocks: whole records each.
        """
        self.rows = 0
        self.follows_rules = True
        self.rest: bytes | None = None
        self._source = source
        self._columns = {
            name: source.columns.get(name) or Column(data_type="text") for name in columns
        }
        self._blocks = blocks
        # A column that the file does not have is missing in all records.
        self._lacks_required = any(
            not column.nullable and name not in self._columns
            for name, column in source.columns.items()
        )
        self._numbers = pa.array([], pa.int64())

    def __iter__(self) -> Iterator[bytes]:
        blocks = iter(self._blocks)
        encoder = None
        try:
            reader = PlainReader(self._source.csv_dialect, self._columns)
        except NotPlainError:
            self.rest = next(blocks, None)
            return
        rules = {name: PlainRules.of(column) for name, column in self._columns.items()}
        self.follows_rules = not self._lacks_required
        for block in blocks:
            try:
                values = reader.read(block)
            except NotPlainError:
                self.rest = block
                break
            self.follows_rules = self.follows_rules and all(
                rules[name].hold(column) for name, column in values.items()
            )
            batch = self._batch(values)
            header = b""
            if encoder is None:
                encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
                header = encoder.write_header()
            yield header + encoder.write_batch(batch)
            self.rows += batch.num_rows
        if encoder is not None:
            yield encoder.finish()

    def _batch(self, values: dict[str, pa.Array]) -> pa.RecordBatch:
        columns = list(values.values())
        count = len(columns[0])
        if len(self._numbers) < count:
            self._numbers = pa.array(range(1, count + 1), pa.int64())
        numbers = pc.add(self._numbers.slice(0, count), self.rows)
        return pa.record_batch([numbers, *columns], names=["", *values])
