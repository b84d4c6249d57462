"""The header once more among the records: files put one below the other, or printed page by page.

Such a line has as many fields as a record and passes for one wherever all columns are text. It is
told by its values, which are the names of the fields; not by how it is written, as it may have
quotes that the first header lacks. What is below it has the same names, and is read as before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import AnyStr, Generic

from sluice.reading.csv_grammar import parts_of
from sluice.registry import CsvDialect

# Numbers as names, as programs give them to columns that have none, may be a record as well.
LEAST_WORDS = 2

# What begins a file that was put below another, in front of its header.
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class RepeatedHeader(Generic[AnyStr]):
    """Finds records whose values are the names of the fields, in text or in a file's bytes.

    Attributes:
        record: matches such a record.
        part: stands in each of them, and seldom elsewhere: where it is not, nothing else is
            looked for.
        starts: how such a record may begin, up to its first delimiter.
        line_feed: what ends a line.
        carriage_return: what ends one in a text without line feeds.
    """

    record: re.Pattern[AnyStr]
    part: AnyStr
    starts: tuple[AnyStr, ...]
    line_feed: AnyStr
    carriage_return: AnyStr

    def is_at(self, text: AnyStr, place: int) -> bool:
        """Whether the record that begins at a place is one."""
        return text.startswith(self.starts, place) and bool(self.record.match(text, place))

    def find(self, text: AnyStr, start: int, end: int) -> int:
        """Where the first of them begins; -1 where there is none.

        Args:
            text: records of a file, with line ends of one kind.
            start: where one of them begins.
            end: where one of them ends; what is behind it is not looked at.
        """
        if text.find(self.part, start, end) < 0:
            return -1
        if self.is_at(text, start):
            return start
        has_line_feeds = text.find(self.line_feed, start, end) >= 0
        line_end = self.line_feed if has_line_feeds else self.carriage_return
        found = -1
        for begins in self.starts:
            place = self._find_start(line_end + begins, text, start, end if found < 0 else found)
            found = place if place >= 0 else found
        return found

    def _find_start(self, wanted: AnyStr, text: AnyStr, start: int, end: int) -> int:
        """The same for those that begin in one way."""
        place = text.find(wanted, start, end)
        while place >= 0 and not self.record.match(text, place + 1):
            place = text.find(wanted, place + 1, end)
        return place + 1 if place >= 0 else -1


def repeated_in_text(names: Sequence[str], dialect: CsvDialect) -> RepeatedHeader[str] | None:
    """Finds them in decoded text; None where a record may have the same values as the header."""
    if not _are_words(names):
        return None
    pattern, starts = _written(names, dialect, BYTE_ORDER_MARK)
    return RepeatedHeader(re.compile(pattern), _part(names, dialect), starts, "\n", "\r")


def repeated_in_bytes(
    names: Sequence[str], dialect: CsvDialect, encoding: str
) -> RepeatedHeader[bytes] | None:
    """The same for bytes in an encoding that extends ASCII."""
    if not _are_words(names):
        return None
    pattern, starts = _written(names, dialect, BYTE_ORDER_MARK if encoding == "utf-8" else "")
    try:
        return RepeatedHeader(
            re.compile(pattern.encode(encoding)),
            _part(names, dialect).encode(encoding),
            tuple(start.encode(encoding) for start in starts),
            b"\n",
            b"\r",
        )
    except UnicodeEncodeError:  # declared names that a file in this encoding cannot have
        return None


def _are_words(names: Sequence[str]) -> bool:
    return sum(any(map(str.isalpha, name)) for name in names) >= LEAST_WORDS


def _written(names: Sequence[str], dialect: CsvDialect, mark: str) -> tuple[str, tuple[str, ...]]:
    """The pattern of a header with these names, and how it may begin."""
    delimiter = dialect.delimiter or ","
    ways = [_ways(name, dialect) for name in names]
    between = parts_of(dialect).delimiter
    fields = between.join(f"(?:{'|'.join(map(re.escape, each))})" for each in ways)
    trailing = between if dialect.trailing_delimiter else ""
    starts = [way + delimiter for way in ways[0]]
    marked = [mark + start for start in starts] if mark else []
    return rf"(?:{mark})?{fields}{trailing}(?:[\r\n]|\Z)", (*starts, *marked)


def _ways(name: str, dialect: CsvDialect) -> list[str]:
    """How a name may be written: as it is, and within quotes."""
    quote = dialect.quote
    if quote is None:
        return [name]
    escape = dialect.escape or quote
    within = name if escape == quote else name.replace(escape, escape * 2)
    quoted = quote + within.replace(quote, escape + quote) + quote
    needs_quotes = any(sign in name for sign in (dialect.delimiter or ",", quote, "\r", "\n"))
    return [quoted] if needs_quotes else [name, quoted]


def _part(names: Sequence[str], dialect: CsvDialect) -> str:
    """The longest part of a name that is the same however the name is written."""
    signs = "".join(filter(None, {dialect.quote, dialect.escape}))
    parts = re.split(f"[{re.escape(signs)}\r\n]", "\n".join(names))
    return max(parts, key=len)
