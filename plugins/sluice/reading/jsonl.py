"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.reading.json_fields import JsonFields
from sluice.reading.json_records import JsonRecords
from sluice.reading.lines import Lines, RecordLines, TextFile, too_long
from sluice.reading.records import Batch, Opener
from sluice.registry import Source


class JsonLinesReader:
    """The records of a file with one JSON object a line; blank lines are no records.

    What becomes of its members is said in ``JsonFields``. Where the contract keeps unknown ones,
    the file is read once more beforehand to find their names, so that it does not matter where in
    the file one first appears.

    Attributes:
        names: the registry's names, as dotted paths; then the unknown ones, if they are kept.
        notes: which encoding was taken, and why.
    """

    def __init__(self, opener: Opener, source: Source) -> None:
        """Look at the file's first bytes, or at all of it where unknown members are kept.

        Raises:
            DeliveryError: it is no text in its encoding, or has too many unknown keys.
        """
        self._file = TextFile(opener, source.encoding)
        self._fields = JsonFields(source)
        if self._fields.keeps_new_names:
            self._find_names()
        self.names = self._fields.names
        self.notes: tuple[str, ...] = (self._file.note,)

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last.

        Raises:
            DeliveryError: a record has an unknown member, and the contract is ``freeze``.
        """
        records = JsonRecords(self._fields, self._file)
        number = 1
        for lines in self._file.lines():
            batch = self._batch(lines, number, records)
            number += len(batch.numbers) + len(batch.bad)
            yield batch

    def _batch(self, lines: Lines, first: int, records: JsonRecords) -> Batch:
        places = RecordLines(lines, first, self._file.shown)
        if lines.is_cut:
            return Batch([], [], places.of, [too_long(places.of(first))])
        taken = records.lines(self._file.text(lines.data), first, places.of)
        return Batch(
            taken.numbers, taken.fields, lambda index: places.of(taken.numbers[index]), taken.bad
        )

    def _find_names(self) -> None:
        records = JsonRecords(self._fields, self._file)
        for lines in self._file.lines():
            if not lines.is_cut:
                records.find_names_in_lines(self._file.text(lines.data))
