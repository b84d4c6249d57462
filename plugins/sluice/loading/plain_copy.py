"""Plain values as PostgreSQL's binary COPY takes them (docs/adr/0019)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pgpq
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from sluice.loading.plain_rules import PlainRules
from sluice.loading.table import RESCUED
from sluice.reading.fields import Fields
from sluice.reading.plain_csv import PlainReader, texts_of
from sluice.reading.plain_values import NotPlainError, arrow_type, typed, typed_where_plain
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
            columns: the file's columns, in the file's order.
            blocks: whole records each.
        """
        self.rows = 0
        self.rest: bytes | None = None
        self._columns = _columns(source, columns)
        self._rules = {name: PlainRules(column) for name, column in self._columns.items()}
        self.follows_rules = not _lacks_required(source, columns)
        self._dialect = source.csv_dialect
        self._blocks = iter(blocks)
        self._numbers = pa.array([], pa.int64())

    def __iter__(self) -> Iterator[bytes]:
        encoder = _Encoder()
        try:
            reader = PlainReader(self._dialect, list(self._columns))
            for block in self._blocks:
                self.rest = block
                values = {
                    name: typed(texts, column)
                    for texts, (name, column) in zip(
                        reader.read(block), self._columns.items(), strict=True
                    )
                }
                self.follows_rules = self.follows_rules and all(
                    self._rules[name].hold(column) for name, column in values.items()
                )
                numbers = self._next_numbers(len(next(iter(values.values()))))
                yield encoder.encode(numbers, values)
                self.rows += len(numbers)
            self.rest = None
        except NotPlainError:  # the block that is left goes another way
            pass
        if self.rows:
            yield encoder.finish()

    def _next_numbers(self, count: int) -> pa.Array:
        if len(self._numbers) < count:
            self._numbers = pa.array(range(1, count + 1), pa.int64())
        return pc.add(self._numbers.slice(0, count), self.rows)


@dataclass(frozen=True)
class Sifted:
    """Some records, divided.

    Attributes:
        data: the plain ones that follow the rules, as binary COPY takes them; empty for none.
        others: the positions of all others.
    """

    data: bytes
    others: Sequence[int]


class PlainSieve:
    """Takes the records out of which nothing is to be asked."""

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        """Take the columns that the records fill.

        Raises:
            NotPlainError: none of their records can be plain.
        """
        self._columns = _columns(source, columns)
        for column in self._columns.values():
            arrow_type(column)
        self._rules = {name: PlainRules(column) for name, column in self._columns.items()}
        is_known = all(rules.are_known for rules in self._rules.values())
        if not is_known or _lacks_required(source, columns):
            raise NotPlainError

    def sift(self, numbers: Sequence[int], records: Sequence[Fields]) -> Sifted:
        """Divide records.

        Args:
            numbers: the records' numbers.
            records: as many records.
        """
        try:
            values, are_good = self._good(texts_of(records, list(self._columns)))
        except NotPlainError:
            return Sifted(b"", range(len(records)))
        others: Sequence[int] = ()
        if are_good is not None:
            others = pc.indices_nonzero(pc.invert(are_good)).to_pylist()
            if len(others) == len(records):
                return Sifted(b"", others)
            values = {name: column.filter(are_good) for name, column in values.items()}
        held = numbers if isinstance(numbers, array) else array("q", numbers)
        every = pa.Array.from_buffers(pa.int64(), len(held), [None, pa.py_buffer(held)])
        encoder = _Encoder()
        data = encoder.encode(every if are_good is None else every.filter(are_good), values)
        return Sifted(data + encoder.finish(), others)

    def _good(self, columns: list[pa.Array]) -> tuple[dict[str, pa.Array], pa.Array | None]:
        """The values of each column, and which records are plain and right; None for all."""
        found: dict[str, pa.Array] = {}
        are_good = None
        for texts, (name, column) in zip(columns, self._columns.items(), strict=True):
            masks = []
            try:
                found[name] = typed(texts, column)
            except NotPlainError:
                found[name], is_plain = typed_where_plain(texts, column)
                masks.append(is_plain)
            if masks or not self._rules[name].hold(found[name]):
                masks.append(self._rules[name].kept_by(found[name]))
            for mask in masks:
                are_good = mask if are_good is None else pc.and_(are_good, mask)
        return found, are_good


class _Encoder:
    """Encodes one COPY; nothing of it remains when nothing was encoded."""

    def __init__(self) -> None:
        self._encoder: pgpq.ArrowToPostgresBinaryEncoder | None = None

    def encode(self, numbers: pa.Array, values: Mapping[str, pa.Array]) -> bytes:
        """Records with their numbers first; those that begin the COPY with its header."""
        batch = pa.record_batch([numbers, *values.values()], names=["", *values])
        header = b""
        if self._encoder is None:
            self._encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
            header = self._encoder.write_header()
        return header + self._encoder.write_batch(batch)

    def finish(self) -> bytes:
        """What ends the COPY."""
        return b"" if self._encoder is None else self._encoder.finish()


def _columns(source: Source, names: Sequence[str]) -> dict[str, Column]:
    """The columns by name; one that the registry does not have holds text, or what is rescued."""
    return {
        name: source.columns.get(name) or Column(data_type="json" if name == RESCUED else "text")
        for name in names
    }


def _lacks_required(source: Source, names: Sequence[str]) -> bool:
    """Whether a value that must not be missing is missing in every record."""
    return any(not column.nullable and name not in names for name, column in source.columns.items())
