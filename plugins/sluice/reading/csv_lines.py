"""The lines of a text, found all at once, and which of them are plain records.

A plain record has no quote and as many delimiters as it must have, which are counted for all lines
together: a seventh of the time that it takes line by line. Records with quotes are matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

# Records with quotes are matched in so much text at once.
MATCHED_CHARACTERS = 1 << 12


def line_ends(text: str) -> Places:
    """Where the last character of each line end (LF, CRLF or CR) is."""
    codes = _codes(text)
    feeds = codes == ord("\n")
    if "\r" in text:
        before_feed = np.append(feeds[1:], False)
        feeds |= (codes == ord("\r")) & ~before_feed
    return np.flatnonzero(feeds)


def _codes(text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """The characters' numbers."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


class Lines:
    """The lines of one text, as records of a dialect.

    What was found out is remembered: lines after a broken record are looked at to see where that
    ends, and then for themselves.
    """

    def __init__(
        self,
        text: str,
        patterns: Mapping[str, re.Pattern[str]],
        *,
        delimiter: str,
        count: int | None,
        quote: str,
    ) -> None:
        """Look at nothing yet.

        Args:
            text: lines of a file.
            patterns: for each line end what matches records of one line each, any number.
            delimiter: what divides their fields.
            count: how many of them a record has; None where that is not all that a record without
                quotes must have.
            quote: the quote; empty where there is none.
        """
        self._text = text
        self._patterns = patterns
        self._delimiter = delimiter
        self._count = count
        self._quote = quote
        codes = _codes(text)
        # Where each line begins; and where the last one ends. Lines end with LF here.
        self._begins: Places = np.append(0, np.flatnonzero(codes == ord("\n")) + 1)
        self._codes = codes
        self._starts_at = self._begins.data  # Python's integers, and ten times as fast for one
        self._last_line = 0
        self._others: dict[str, bytes] = {}
        self._runs: dict[tuple[int, str], int] = {}

    def end(self, start: int, line_end: str, limit: int) -> int:
        """Where records that are one line each, with the right number of fields, end.

        Args:
            start: where the first record begins.
            line_end: what ends each of them.
            limit: the last of them ends no later.
        """
        place, is_over = start, False
        while place < limit and not is_over:
            end = self._plain_end(place, line_end)
            if end == place:
                end, is_over = self._matched(place, line_end)
            place = end
        if place <= limit:
            return place
        cut = self._text.rfind(line_end, start, limit)
        return cut + len(line_end) if cut >= 0 else start

    def _plain_end(self, start: int, line_end: str) -> int:
        """Where plain records end."""
        if self._count is None or line_end == "\r":
            return start
        line = self._line(start)
        if line >= len(self._starts_at) or self._starts_at[line] != start:
            return start
        are_others = self._others.get(line_end)
        if are_others is None:
            are_others = self._others[line_end] = self._not_plain(line_end)
        after = are_others.find(1, line)
        return self._starts_at[after if after >= 0 else -1]

    def _not_plain(self, line_end: str) -> bytes:
        """For each line whether it is no plain record: 1 or 0."""
        is_other = self._counted(self._delimiter) != self._count
        if self._quote and self._quote in self._text:
            is_other |= self._counted(self._quote) > 0
        if line_end == "\r\n":
            # Each line but an empty one has a last character before its LF.
            before = np.maximum(self._begins[1:] - 2, 0)
            is_other |= (self._codes[before] != ord("\r")) | (self._counted("\r") != 1)
        elif "\r" in self._text:
            is_other |= self._counted("\r") > 0
        return bytes(is_other)

    def _counted(self, sign: str) -> Places:
        """How often a character stands in each line."""
        places = np.flatnonzero(self._codes == ord(sign))
        return np.diff(places.searchsorted(self._begins))

    def _matched(self, start: int, line_end: str) -> tuple[int, bool]:
        """Where records with quotes among them end, or a part of them; and whether all do."""
        limit = self._text.rfind(line_end, start, start + MATCHED_CHARACTERS)
        if limit < 0:
            limit = self._text.find(line_end, start)
        if limit < 0:
            return start, True
        # What follows a CR says whether it is half of a CRLF.
        limit = len(self._text) if line_end == "\r" else limit + len(line_end)
        end = self._runs.get((start, line_end))
        if end is None:
            match = self._patterns[line_end].match(self._text, start, limit)
            end = self._runs[start, line_end] = match.end() if match else start
        return end, end < limit

    def _line(self, place: int) -> int:
        """The number of the line that begins at a place, from 0; or of the one that follows."""
        # Most often it is one of the next, as lines are asked for one after the other.
        for line in range(self._last_line, min(self._last_line + 3, len(self._starts_at))):
            if self._starts_at[line] == place:
                self._last_line = line
                return line
        self._last_line = int(self._begins.searchsorted(place))
        return self._last_line

    def count(self, start: int, end: int, line_end: str) -> int:
        """How many lines are between the starts of two."""
        if line_end == "\r":
            return self._text.count(line_end, start, end)
        return len(self._starts(start, end)) - 1

    def spans(self, start: int, end: int, line_end: str) -> tuple[Places, Places]:
        """Where the lines between the starts of two begin, and where their line ends do."""
        if line_end == "\r":
            sizes = [len(line) + 1 for line in self._text[start:end].split(line_end)[:-1]]
            starts = start + np.append(0, np.cumsum(sizes, dtype=np.int64))
        else:
            starts = self._starts(start, end)
        return starts[:-1], starts[1:] - len(line_end)

    def _starts(self, start: int, end: int) -> Places:
        """Where each of them begins, and the one after the last."""
        starts = self._begins[self._line(start) : self._line(end) + 1]
        return starts if starts[0] == start else np.append(start, starts)
