"""What every reader of a format gives: records in batches, each with its place in the file.

A reader never pads, cuts or guesses: a record that it cannot take apart becomes a ``BadRecord``
with its number, its place, a code and a sentence, and takes no other record along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

# Opens a delivery's decompressed content at its start, each time that it is called. Seekable where
# the format needs it (parquet, excel): see ``needs_seeking``.
Opener = Callable[[], BinaryIO]

# A raw record is kept up to here; longer ones are cut, and say so.
RAW_CHARACTERS = 10_000

# How many bytes a reader of text takes at once: bounds its memory, and that of a batch.
BATCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    r"""Where a record stands in its file.

    Attributes:
        number: its number, the first after the header is 1; as in ``_source_row_number``.
        raw: the record as text, line ends within it included, the one after it not. Bytes that
            are not text in the file's encoding are written as ``\xNN``. Not capped.
        line: the line on which it begins, from 1 and counting the header; None where the format
            has no lines.
        offset: the byte at which it begins in the decompressed content; None where unknown.
    """

    number: int
    raw: str
    line: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be loaded, and why.

    Attributes:
        place: where it stands.
        code: the stable word for the reason: ``REJECT_CODES`` in this module has all.
        reason: the reason in a sentence, with the value where there is one.
        column: the column concerned, if one is.
        fields: the record's fields as far as it could be taken apart; None where it could not.
    """

    place: Place
    code: str
    reason: str
    column: str | None = None
    fields: tuple[str | None, ...] | None = None


@dataclass(slots=True)
class Batch:
    """Consecutive records.

    Attributes:
        numbers: the numbers of the records that could be taken apart, ascending.
        fields: their values, as many as the reader has names; None is a missing value, and every
            other value is text as the file has it.
        bad: the records between them that could not.
        places: gives the place of the i-th of ``numbers``; only asked for where it is needed, so
            that finding it may cost time.
    """

    numbers: Sequence[int]
    fields: Sequence[Sequence[str | None]]
    places: Callable[[int], Place]
    bad: list[BadRecord] = field(default_factory=list)


class Reader(Protocol):
    """The records of one file.

    Attributes:
        names: the names of the fields as the file gives them, in its order; the registry's where
            the file names none.
        notes: what was taken and why, in sentences: the encoding, the dialect, lines passed over.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last; may be called again for a second pass.

        Raises:
            DeliveryError: the rest of the file cannot be read at all.
        """
        ...


# Every code that a rejected record or file may have, and what it means. Codes are stable: users
# count and alert by them.
REJECT_CODES: dict[str, str] = {
    "ragged_row": "the record has more or fewer fields than the file has columns",
    "repeated_header": "the header once more: its values are the names of the columns",
    "bad_quotes": "a quote stands where none may, or is never closed",
    "bad_encoding": "bytes that are no text in the file's encoding",
    "nul_byte": "a NUL byte, which PostgreSQL's text cannot hold",
    "bad_structure": "the record is not one of the file's format",
    "wrong_type": "a value that the column's type does not take",
    "out_of_range": "a value outside of what the column's type holds",
    "not_exact": "a value that PostgreSQL would round, cut or take apart differently",
    "missing_value": "a value that must not be missing",
    "not_finite": "NaN or infinity where a number or a time must be",
    "not_accepted": "a value that is none of accepted_values",
    "below_minimum": "a value below minimum",
    "above_maximum": "a value above maximum",
    "pattern_mismatch": "a value that does not match pattern",
    "not_unique": "a value that stood in an earlier record of the file",
    "unknown_value": "a value in a column that the registry does not have",
    "too_long": "a record or a value longer than PostgreSQL or Sluice takes",
}
