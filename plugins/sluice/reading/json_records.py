"""Records of JSON text, most of them by a template; what `jsonl` and `json` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from sluice.reading.fields import Fields
from sluice.reading.json_fields import JsonFields, RecordRefusedError, decode_object
from sluice.reading.json_template import Template, make_template
from sluice.reading.lines import BLANK, TextFile
from sluice.reading.records import BadRecord, Place

# So many records show the kinds of the values, also of those that are often missing.
EXAMPLES = 200
EXAMPLE_CHARACTERS = 1 << 17

# A file whose records differ in shape is left to the parser after so many tries.
MOST_TEMPLATES = 5

Places = Callable[[int], Place]


@dataclass(slots=True)
class Taken:
    """Records as they are taken apart, in the file's order.

    Attributes:
        numbers: the numbers of those that could be.
        fields: their values.
        bad: those that could not.
    """

    numbers: Sequence[int]
    fields: Sequence[Fields]
    bad: list[BadRecord]


@dataclass(slots=True)
class _Taking:
    """The same while it grows."""

    numbers: list[int] = field(default_factory=list)
    fields: list[Fields] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)

    def done(self) -> Taken:
        return Taken(self.numbers, self.fields, self.bad)

    def extend(self, rows: Sequence[Fields], number: int) -> int:
        """Add records from a number on; gives the number after them."""
        after = number + len(rows)
        self.numbers.extend(range(number, after))
        self.fields.extend(rows)
        return after


class JsonRecords:
    """Takes the records of one file apart; learns their shape on the way."""

    def __init__(self, fields: JsonFields, file: TextFile) -> None:
        self._fields = fields
        self._file = file
        self._template: Template | None = None
        self._is_learning = True
        self._templates = 0

    def lines(self, text: str, first: int, places: Places) -> Taken:
        """Take lines apart, a record a line; blank lines are none.

        Args:
            text: the lines, each with its end.
            first: the number of the first record.
            places: the place of a record by its number.
        """
        pieces, records = self._split(text)
        if records and not any(pieces):  # nearly always
            self._judge(len(records), 0)
            return Taken(range(first, first + len(records)), records, [])
        taken = _Taking()
        number, done, rows = first, 0, list(records)
        unfit = [index for index, piece in enumerate(pieces) if piece]
        for index in unfit:
            number = taken.extend(rows[done:index], number)
            done = index
            for line in _records_of(pieces[index]):
                self._parse(line, number, places, taken)
                number += 1
        number = taken.extend(rows[done:], number)
        self._judge(number - first, number - first - len(rows))
        return taken.done()

    def texts(self, texts: Sequence[str], first: int, places: Places) -> Taken:
        """Take records apart, each a text of its own.

        Args:
            texts: the records.
            first: the number of the first.
            places: the place of a record by its number.
        """
        self._learn(texts)
        taken = _Taking()
        parsed = 0
        for number, text in enumerate(texts, start=first):
            values = self._match(text)
            if values is None:
                parsed += 1
                self._parse(text, number, places, taken)
            else:
                taken.numbers.append(number)
                taken.fields.append(values)
        self._judge(len(texts), parsed)
        return taken.done()

    def find_names_in_lines(self, text: str) -> None:
        """Add the unknown members of lines to the fields' names; see ``JsonFields.collect``."""
        pieces, rows = self._split(text)
        records = [record for piece in pieces if piece for record in _records_of(piece)]
        self._find_names(records)
        self._judge(len(records) + len(rows), len(records))

    def find_names(self, texts: Sequence[str]) -> None:
        """Add the unknown members of records to the fields' names; see ``JsonFields.collect``."""
        self._learn(texts)
        records = [text for text in texts if self._match(text) is None]
        self._find_names(records)
        self._judge(len(texts), len(records))

    def _split(self, text: str) -> tuple[list[str], Sequence[Fields]]:
        if self._is_learning:
            self._learn(_records_of(text[:EXAMPLE_CHARACTERS]))
        if self._template is None:
            return [text], []
        # The file's last line may come without its end.
        lines = text if text.endswith("\n") else text + "\n"
        return self._template.split(lines, len(self._fields.names))

    def _match(self, text: str) -> tuple[str | None, ...] | None:
        if self._template is None:
            return None
        return self._template.match(text, len(self._fields.names))

    def _parse(self, text: str, number: int, places: Places, taken: _Taking) -> None:
        try:
            self._refuse_undecodable(text)
            values = self._fields.take_apart(text, number)
        except RecordRefusedError as error:
            verdict = (error.code, error.reason, error.column, error.fields)
            taken.bad.append(BadRecord(places(number), *verdict))
            return
        taken.numbers.append(number)
        taken.fields.append(values)

    def _find_names(self, records: Iterable[str]) -> None:
        for text in records:
            try:
                self._refuse_undecodable(text)
                self._fields.collect(text)
            except RecordRefusedError:  # it is rejected when it is read
                continue

    def _refuse_undecodable(self, text: str) -> None:
        wrong = self._file.undecodable(text)
        if wrong is not None:
            reason = f"The record is not in {self._file.encoding}: {wrong}."
            raise RecordRefusedError("bad_encoding", reason)

    def _learn(self, texts: Iterable[str]) -> None:
        """Make a template of the first records, where the last ones did not fit."""
        if not self._is_learning:
            return
        examples = []
        for text in islice(texts, EXAMPLES):
            with suppress(RecordRefusedError):
                examples.append(decode_object(text))
        self._template = make_template(examples, self._fields)
        self._templates += 1
        self._is_learning = False

    def _judge(self, records: int, parsed: int) -> None:
        """Learn again where most records had to be parsed."""
        self._is_learning = parsed * 2 > records and self._templates < MOST_TEMPLATES


def _records_of(lines: str) -> Iterator[str]:
    return (line for line in lines.split("\n") if line.strip(BLANK))
