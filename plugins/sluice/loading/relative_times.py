"""Words that PostgreSQL reads as a time, and that mean another one each day.

A file that says ``now`` or ``today`` says nothing about when: its bytes loaded again would bring
other rows. PostgreSQL has no setting that refuses them, so they are looked for.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from sluice.errors import DeliveryError
from sluice.reading.csv_grammar import parts_of
from sluice.registry import CsvDialect, Source

_WORDS = ("now", "today", "tomorrow", "yesterday")
_SOUGHT = [word.encode() for word in _WORDS]
_WORD = re.compile(rf"(?<![a-z])(?:{'|'.join(_WORDS)})(?![a-z])", re.IGNORECASE)
_TYPES = frozenset({"date", "time", "timestamp"})


def time_positions(source: Source, columns: Sequence[str]) -> list[int]:
    """Where among these columns those are that hold times."""
    return [
        position
        for position, name in enumerate(columns)
        if name in source.columns and source.columns[name].data_type in _TYPES
    ]


def is_relative(value: str) -> bool:
    """Whether a value of a column that holds times has one of the words."""
    return _WORD.search(value) is not None


def may_be_relative(data: bytes) -> bool:
    """Whether any of the words is in some data, within another word or not: 400 MB/s."""
    lowered = data.lower()
    return any(word in lowered for word in _SOUGHT)


def relative_rows(rows: Iterable[Sequence[str | None]], positions: Collection[int]) -> list[int]:
    """The indexes of the rows that have such a time at one of the positions."""
    return [
        index
        for index, row in enumerate(rows)
        if any(
            (value := row[position]) is not None and is_relative(value) for position in positions
        )
    ]


def refuse_relative(
    parts: Iterable[bytes], dialect: CsvDialect, positions: Collection[int]
) -> Iterator[bytes]:
    """The parts of a delimited file, as far as no record has such a time.

    Args:
        parts: whole records each, in an encoding that extends ASCII.
        dialect: how the file is written.
        positions: of the fields that hold times.

    Raises:
        DeliveryError: a record may have one; the tolerant path finds out.
    """
    for part in parts:
        if positions and may_be_relative(part) and _has_one(part, dialect, positions):
            raise DeliveryError(
                f"A time may be one of the words {', '.join(_WORDS)}.", code="wrong_type"
            )
        yield part


def _has_one(part: bytes, dialect: CsvDialect, positions: Collection[int]) -> bool:
    """Whether a line with one of the words has it in a time, or cannot be taken apart here."""
    delimiter, quote = dialect.delimiter or ",", dialect.quote
    parts = parts_of(dialect)
    whole = re.compile(rf"{parts.line_field}(?:{parts.delimiter}{parts.line_field})*")
    for line in _lines_with_words(part):
        text = line.decode("latin-1")
        if _WORD.search(text) is None:
            continue
        is_simple = quote is None or quote not in text
        if not is_simple and (dialect.escape not in (None, quote) or not whole.fullmatch(text)):
            return True  # it is a part of a record, or may be one
        try:
            fields = next(csv.reader([text], delimiter=delimiter, quotechar=quote))
        except csv.Error:  # line ends of another kind, or more than a line should hold
            return True
        if any(is_relative(fields[place]) for place in positions if place < len(fields)):
            return True
    return False


def _lines_with_words(part: bytes) -> Iterator[bytes]:
    lowered = part.lower()
    for word in _SOUGHT:
        place = lowered.find(word)
        while place >= 0:
            start, end = part.rfind(b"\n", 0, place) + 1, part.find(b"\n", place)
            end = len(part) if end < 0 else end
            yield part[start:end].rstrip(b"\r")
            place = lowered.find(word, end)
