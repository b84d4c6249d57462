"""The fast path's guard: what PostgreSQL reads as CSV, and is none.

COPY lets a quote begin and end anywhere in a field: ``ab"cd"ef`` becomes ``abcdef``, without a
word. And a header that stands among the records is a record to PostgreSQL. The guard holds both
back and refuses the file, which the tolerant reader then takes apart; everything else passes as it
is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sluice.errors import DeliveryError
from sluice.reading.csv_grammar import RECORD_BYTES, Parts, last_line_end, parts_of
from sluice.reading.csv_repeats import RepeatedHeader
from sluice.registry import CsvDialect


def strictly(
    chunks: Iterable[bytes], dialect: CsvDialect, repeated: RepeatedHeader[bytes] | None = None
) -> Iterator[bytes]:
    """The bytes of a delimited file, as far as its records are those of RFC 4180.

    What is given on ends with a record each time, so that no byte of a broken one gets to
    PostgreSQL. A byte order mark and the lines that the dialect passes over must not be among the
    chunks: see ``headers.read_header``.

    Args:
        chunks: the file's bytes, in an encoding that extends ASCII, from the start of a record.
        dialect: how the file is written.
        repeated: finds the header among the records; None where it is not looked for.

    Raises:
        DeliveryError: a record has a quote where none may be, is longer than 16 MB, or is the
            header once more.
    """
    if dialect.quote is None:
        yield from chunks
        return
    guard = _Guard(parts_of(dialect))
    for chunk in chunks:
        passed = guard.take(chunk)
        if passed:
            _refuse_header(passed, repeated)
            yield passed
    rest = guard.finish()
    if rest:
        _refuse_header(rest, repeated)
        yield rest


class _Guard:
    """Holds back what is not known to be whole records."""

    def __init__(self, parts: Parts) -> None:
        quote = parts.quote
        self._quote = parts.quote.encode()[-1:]  # without the backslash of a pattern
        others = rf"[^{quote}\r\n]*+"
        opening = rf"{parts.after}{quote}{parts.content}"
        quoted = rf"{opening}{quote}{parts.before}"
        record = f"{others}(?:{quoted}{others})*+"
        self._record = re.compile(rf"{record}(?:\r\n|\n|\r)".encode())
        # 100-280 MB/s on one core; the patterns of whole fields would be half as fast.
        self._records = re.compile(rf"(?:{record}(?:\r\n|\n|\r(?!\n|\Z)))*+".encode())
        self._last = re.compile(
            rf"{others}(?:{opening}{quote}(?:{parts.before}|\Z){others})*+\r?\Z".encode()
        )
        self._begun = re.compile(rf"{record}(?:{opening}(?P<end>{quote}?))?\r?\Z".encode())
        self._held: list[bytes] = []
        self._size = 0
        self._is_open = False

    def take(self, chunk: bytes) -> bytes:
        """The whole records that there are, with a chunk more."""
        if self._is_open and self._quote not in chunk:
            self._hold(chunk)  # within a quoted field: nothing can have ended
            return b""
        data = b"".join([*self._held, chunk])
        if self._quote not in data:
            end = last_line_end(data)
            self._is_open = False
        else:
            end = self._end_of_records(data)
        if len(data) > RECORD_BYTES and self._first_end(data, end) > RECORD_BYTES:
            raise _too_long()
        self._held, self._size = [], 0
        self._hold(data[end:])
        return data[:end]

    def _end_of_records(self, data: bytes) -> int:
        match = self._records.match(data)
        end = match.end() if match else 0
        begun = self._begun.match(data, end)
        if begun is None:
            raise _broken()
        self._is_open = begun["end"] == b""
        return end

    def _first_end(self, data: bytes, end: int) -> int:
        """Where the first record of some ends, of which all but it are within one chunk."""
        match = self._record.match(data, 0, end)
        return match.end() if match else 0

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > RECORD_BYTES:
            raise _too_long()

    def finish(self) -> bytes:
        """The last record, if it has no line end."""
        data = b"".join(self._held)
        if not self._last.match(data):
            raise _broken()
        return data


def _refuse_header(records: bytes, repeated: RepeatedHeader[bytes] | None) -> None:
    if repeated is not None and repeated.find(records, 0, len(records)) >= 0:
        raise DeliveryError(
            "The header stands among the records once more.", code="repeated_header"
        )


def _too_long() -> DeliveryError:
    return DeliveryError(f"A record is longer than {RECORD_BYTES >> 20} MB.", code="too_long")


def _broken() -> DeliveryError:
    return DeliveryError(
        "A quote stands where none may, or is never closed.",
        code="bad_quotes",
        remedy="Quote the whole value, and double the quotes within it.",
    )
