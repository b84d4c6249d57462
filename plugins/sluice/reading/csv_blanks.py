"""Empty lines of a delimited file: bad records, unless nothing but empty lines follows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sluice.reading.csv_grammar import line_end_before
from sluice.reading.csv_window import Window
from sluice.reading.records import BadRecord, Batch, Place

# More than this are reported in batches of their own.
BLANK_LINES = 1000
BATCH_LINES = 20_000

BLANKS = re.compile(r"(?:\r\n)+|\n+|(?:\r(?!\n))+")


@dataclass(frozen=True, slots=True)
class _Run:
    """Empty lines in a row: the first one's place, how many, and how many bytes each."""

    number: int
    line: int
    offset: int
    count: int
    size: int

    def places(self) -> Iterator[Place]:
        for index in range(self.count):
            offset = self.offset + index * self.size
            yield Place(self.number + index, "", line=self.line + index, offset=offset)


class BlankLines:
    """Empty lines that were read, kept until it is known whether a record follows.

    A file of nothing else takes no memory for each of them.
    """

    def __init__(self, width: int) -> None:
        self._reason = f"The line is empty; the file has {width} columns."
        self._runs: list[_Run] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    @property
    def are_many(self) -> bool:
        """Whether they are too many for one batch."""
        return self._count > BLANK_LINES

    def keep(self, window: Window, start: int, number: int) -> tuple[int, int]:
        """Keep the empty lines at a place.

        Returns:
            The place after them, and how many they are.
        """
        match = BLANKS.match(window.text, start)
        end = match.end() if match else start
        size = len(line_end_before(window.text, end))
        count = (end - start) // size
        offset, line = window.locate(start)
        self._runs.append(_Run(number, line, offset, count, size))
        self._count += count
        return end, count

    def records(self) -> Iterator[BadRecord]:
        """All of them, now that a record has followed; none are kept any more."""
        runs, self._runs, self._count = self._runs, [], 0
        for run in runs:
            for place in run.places():
                yield BadRecord(place, "ragged_row", self._reason, fields=(None,))

    def batches(self) -> Iterator[Batch]:
        """The same, in batches."""
        records = self.records()
        while bad := list(islice(records, BATCH_LINES)):
            yield Batch([], [], no_place, bad)


def no_place(index: int) -> Place:
    """The place of a record in a batch that has none."""
    raise IndexError(index)
