"""A JSON document that holds its records in one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sluice.reading.json_fields import JsonFields
from sluice.reading.json_records import JsonRecords, Taken
from sluice.reading.json_scanner import Element, JsonScanner
from sluice.reading.lines import TextFile, too_long
from sluice.reading.records import BATCH_BYTES, Batch, Opener, Place
from sluice.registry import Source


class JsonArrayReader:
    """The records of an array, which is the document itself or stands at a dotted path of keys.

    The document is read as a stream, so it may be larger than memory. A record that is no proper
    JSON is rejected alone as long as its brackets and quotes are in order; where they are not,
    nothing tells where the next record begins, and the delivery is refused, as it is where what
    stands around the array is no JSON. What becomes of a record's members is said in
    ``JsonFields``.

    Attributes:
        names: the registry's names, as dotted paths; then the unknown ones, if they are kept.
        notes: which encoding was taken, and why.
    """

    def __init__(self, opener: Opener, source: Source) -> None:
        """Look at the file's first bytes, or at all of it where unknown members are kept.

        Raises:
            DeliveryError: it is no text in its encoding, has too many unknown keys, or cannot be
                read as a document with such an array.
        """
        self._file = TextFile(opener, source.encoding)
        self._path = source.json_.path.split(".") if source.json_.path else []
        self._fields = JsonFields(source)
        if self._fields.keeps_new_names:
            self._find_names()
        self.names = self._fields.names
        self.notes: tuple[str, ...] = (self._file.note,)

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last.

        Raises:
            DeliveryError: the document's structure is broken, there is no such array in it, or a
                record has an unknown member, and the contract is ``freeze``.
        """
        records = JsonRecords(self._fields, self._file)
        first = 1
        for elements in self._groups():
            places = self._places(elements, first)
            if elements[0].is_cut:
                yield Batch([], [], places, [too_long(places(first))])
            else:
                taken = self._take(elements, first, records)
                by_index = _by_index(places, taken.numbers)
                yield Batch(taken.numbers, taken.fields, by_index, taken.bad)
            first += len(elements)

    def _groups(self) -> Iterator[list[Element]]:
        """The elements, as many at a time as make a batch; a cut one alone."""
        scanner = JsonScanner(self._file.pieces(), self._file.start, self._file.text)
        group: list[Element] = []
        size = 0
        for element in scanner.elements(self._path):
            if group and (element.is_cut or size > BATCH_BYTES):
                yield group
                group, size = [], 0
            group.append(element)
            # A cut one is the last of its group as well: the next one finds it too large.
            size += BATCH_BYTES + 1 if element.is_cut else len(element.data)
        scanner.end()
        if group:
            yield group

    def _take(self, elements: list[Element], first: int, records: JsonRecords) -> Taken:
        places = self._places(elements, first)
        together = b"\n".join([element.data for element in elements])
        if together.count(b"\n") == len(elements) - 1:  # they are lines, which is faster
            return records.lines(self._file.text(together), first, places)
        texts = [self._file.text(element.data) for element in elements]
        return records.texts(texts, first, places)

    def _places(self, elements: list[Element], first: int) -> Callable[[int], Place]:
        def place(number: int) -> Place:
            element = elements[number - first]
            return Place(number, self._file.shown(element.data), element.line, element.offset)

        return place

    def _find_names(self) -> None:
        records = JsonRecords(self._fields, self._file)
        for elements in self._groups():
            if not elements[0].is_cut:
                records.find_names([self._file.text(element.data) for element in elements])


def _by_index(places: Callable[[int], Place], numbers: Sequence[int]) -> Callable[[int], Place]:
    return lambda index: places(numbers[index])
