"""The fields of a batch as a reader has them, taken apart record by record only when asked for.

Most records go to PostgreSQL as they are: lines as they stand in the file, columns as a parser
gives them. Whoever wants a record's values asks for the record as of any other sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

from sluice.reading.csv_grammar import Grammar

if TYPE_CHECKING:
    from sluice.reading.csv_lines import Places

Fields = Sequence[str | None]


class _Records(Sequence[Fields]):
    """What both have in common: a slice is a list."""

    def _record(self, index: int) -> Fields:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Fields: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Fields]: ...

    def __getitem__(self, index: int | slice) -> Fields | Sequence[Fields]:
        if isinstance(index, slice):
            return [self._record(one) for one in range(*index.indices(len(self)))]
        return self._record(index)


class WrittenRecords(_Records):
    """Records of a delimited file as they are written there.

    Attributes:
        text: the records, each with a line end after it.
        grammar: how they are written.
        are_lines: whether each is one line.
    """

    def __init__(
        self, text: str, begins: Places, ends: Places, grammar: Grammar, *, are_lines: bool
    ) -> None:
        """Take the text, and where in it each record begins and ends."""
        self.text = text
        self.grammar = grammar
        self.are_lines = are_lines
        self._begins = begins
        self._ends = ends

    @cached_property
    def written(self) -> Sequence[str]:
        """Each record without what ends it."""
        spans = zip(self._begins.tolist(), self._ends.tolist(), strict=True)
        return [self.text[begin:end] for begin, end in spans]

    def __len__(self) -> int:
        return len(self._begins)

    def __iter__(self) -> Iterator[Fields]:
        return map(self.grammar.values, self.written)

    def _record(self, index: int) -> Fields:
        return self.grammar.values(self.text[self._begins[index] : self._ends[index]])


class ColumnRecords(_Records):
    """Records as columns of equal length.

    Attributes:
        columns: the values of each field.
    """

    def __init__(self, columns: Sequence[Sequence[str | None]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[Fields]:
        return zip(*self.columns, strict=True)

    def _record(self, index: int) -> Fields:
        return tuple(column[index] for column in self.columns)

    def pick(self, positions: Sequence[int]) -> ColumnRecords:
        """The same records with the fields at some positions only."""
        return ColumnRecords([self.columns[position] for position in positions])

    def joined(self, numbers: Sequence[int]) -> tuple[str, int]:
        r"""A line for each record: its number and its values with tabs between them.

        Args:
            numbers: the records' numbers.

        Returns:
            The lines, each with its end, ``\N`` where a value is missing; and how many are.
        """
        missing = 0
        written = []
        for column in self.columns:
            filled = list(filter(None, column))
            if len(filled) < len(column):
                words = ["\\N" if value is None else value for value in column]
                missing += len(column) - len(filled) - words.count("")
                filled = words
            written.append(filled)
        lines = "\n".join(map("\t".join, zip(map(str, numbers), *written, strict=True)))
        return f"{lines}\n", missing
