"""Lines whose fields stand at fixed places."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.reading.headers import field_names
from sluice.reading.lines import BLANK, Lines, RecordLines, TextFile, too_long
from sluice.reading.records import BadRecord, Batch, Opener
from sluice.reading.values import null_words
from sluice.registry import Source


class FixedWidthReader:
    """The records of a file with one record a line, cut by ``start`` and ``width`` in characters.

    Spaces after a value are not part of it; a field of nothing but spaces is a missing value.
    Spaces before a value stay: PostgreSQL passes over them in numbers, dates and the like. Before a
    null word they go, since no value has them: it is a missing value wherever it is aligned. A line
    ends where its last column ends: one that is shorter is ragged, and so is one that goes on with
    anything but spaces. Lines of nothing but spaces are no records. There is no header.

    Attributes:
        names: the registry's names.
        notes: which encoding was taken, and why.
    """

    def __init__(self, opener: Opener, source: Source) -> None:
        """Look at the file's first bytes.

        Raises:
            DeliveryError: it is no text in its encoding.
        """
        self._file = TextFile(opener, source.encoding)
        self._slices = [
            slice((column.start or 1) - 1, (column.start or 1) - 1 + (column.width or 0))
            for column in source.columns.values()
        ]
        self._length = max(part.stop for part in self._slices)
        self.names = field_names(source)
        words = null_words(source)
        self._words = [
            (position, words[name]) for position, name in enumerate(source.columns) if name in words
        ]
        self.notes: tuple[str, ...] = (self._file.note,)

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last."""
        number = 1
        for lines in self._file.lines():
            batch = self._batch(lines, number)
            number += len(batch.numbers) + len(batch.bad)
            yield batch

    def _batch(self, lines: Lines, first: int) -> Batch:
        places = RecordLines(lines, first, self._file.shown)
        if lines.is_cut:
            return Batch([], [], places.of, [too_long(places.of(first))])
        records = [
            line.removesuffix("\r")
            for line in self._file.text(lines.data).split("\n")
            if line.strip(BLANK)
        ]
        numbers: list[int] = []
        fields: list[list[str | None]] = []
        bad: list[BadRecord] = []
        slices, length = self._slices, self._length
        for number, line in enumerate(records, start=first):
            # A line of the right length in ASCII has nothing wrong with it.
            if (len(line) != length or not line.isascii() or "\0" in line) and (
                verdict := self._verdict(line)
            ):
                bad.append(BadRecord(places.of(number), *verdict))
                continue
            numbers.append(number)
            values = [line[part].rstrip(" ") or None for part in slices]
            for position, words in self._words:
                value = values[position]
                if value is not None and (word := value.lstrip(" ")) in words:
                    values[position] = word
            fields.append(values)
        return Batch(numbers, fields, lambda index: places.of(numbers[index]), bad)

    def _verdict(self, line: str) -> tuple[str, str] | None:
        """The code and the reason why a record cannot be loaded; None where it can."""
        wrong = self._file.undecodable(line)
        if wrong is not None:
            return "bad_encoding", f"The record is not in {self._file.encoding}: {wrong}."
        if "\0" in line:
            return "nul_byte", f"The record has a NUL byte after {line.index(chr(0))} characters."
        if len(line) < self._length:
            reason = f"The line has {len(line)} characters; its columns take {self._length}."
            return "ragged_row", reason
        rest = line[self._length :].strip(" ")
        if rest:
            reason = f"The line goes on after its last column, with {rest[:100]!r}."
            return "ragged_row", reason
        return None
