"""A delimited file in pieces of whole lines: read, decoded, and each character's place known."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property

from sluice.reading.csv_grammar import RECORD_BYTES, last_line_end, parts_of
from sluice.reading.csv_lines import Places, line_ends
from sluice.reading.records import Place
from sluice.registry import CsvDialect

# What bytes that are no text become in Python's ``surrogateescape``, and what PostgreSQL's text
# cannot hold.
SUSPECT = re.compile("[\0\udc80-\udcff]")
STRETCH_CHARACTERS = 2048

# How such a byte of a file that is read as UTF-8 comes: see ``lines.TextFile``.
BYTE_IN_UTF_8 = re.compile("\udced[\udcb0-\udcb3][\udc80-\udcbf]")

LINE_END_BYTES = re.compile(rb"\r\n|\n|\r")

# How much of a record that is too long is kept, to show where it is.
SHOWN_BYTES = 1 << 16

# How much is kept of what has been dropped, so that a quote and what follows it stay together.
OVERLAP_BYTES = 64


class Window:
    """Whole lines of a file, decoded.

    Attributes:
        text: the lines. A byte that is no text in the encoding is one lone surrogate.
        offset: the byte at which they begin in the file.
        line: the number of the first, from 1.
        is_last: whether the file ends with them.
    """

    def __init__(
        self,
        data: bytes,
        encoding: str,
        offset: int,
        line: int,
        *,
        is_last: bool,
        is_transcoded: bool = False,
    ) -> None:
        self._encoding = encoding
        self._is_transcoded = is_transcoded
        self.offset = offset
        self.line = line
        self.is_last = is_last
        self._suspects: list[int] = []
        try:
            self.text = data.decode(encoding)
            is_clean = "\0" not in self.text
        except UnicodeDecodeError:
            self.text = data.decode(encoding, "surrogateescape")
            is_clean = False
        if not is_clean:
            self._suspects = list(_suspects(self.text))
        self._is_one_byte_each = len(self.text) == len(data)
        self._known = (0, offset)

    def next_suspect(self, start: int) -> int:
        """The next character that is no text, or NUL; after the end of the text if there is none.

        Beyond the end by one, so that no record reaches it.
        """
        index = bisect_left(self._suspects, start) if self._suspects else 0
        return self._suspects[index] if index < len(self._suspects) else len(self.text) + 1

    def size(self, start: int, end: int) -> int:
        """How many bytes of the file some text stands for."""
        return end - start if self._is_one_byte_each else len(self.data(start, end))

    def data(self, start: int, end: int) -> bytes:
        """The bytes of the file that some text stands for."""
        return self.text[start:end].encode(self._encoding, "surrogateescape")

    def locate(self, start: int) -> tuple[int, int]:
        """The offset and the line at which a record begins.

        Asked in ascending order, all records of a window cost one look at its text.
        """
        known, offset = self._known
        if start < known:
            known, offset = 0, self.offset
        offset += self.size(known, start)
        self._known = (start, offset)
        return offset, self.line + int(self._line_ends.searchsorted(start))

    @cached_property
    def _line_ends(self) -> Places:
        return line_ends(self.text)

    def place(self, number: int, start: int, end: int) -> Place:
        """The place of a record; ``end`` is where its line end begins."""
        offset, line = self.locate(start)
        return Place(number, self.shown(start, end), line=line, offset=offset)

    def shown(self, start: int, end: int) -> str:
        r"""Text to show: what is no text, and NUL, is written as ``\xNN``."""
        piece = self.text[start:end]
        if self.next_suspect(start) >= end:
            return piece
        return self.escaped(piece)

    def escaped(self, piece: str) -> str:
        r"""Text to show, part of a window's: what is no text, and NUL, is written as ``\xNN``."""
        if self._is_transcoded:
            piece = BYTE_IN_UTF_8.sub(lambda match: f"\\x{_byte_in_utf_8(match[0]):02x}", piece)
        return SUSPECT.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", piece)


class Blocks:
    """The bytes of a file in blocks of whole lines.

    Attributes:
        is_overlong: whether a line follows that is longer than a record may be.
    """

    def __init__(self, pieces: Iterator[bytes], dialect: CsvDialect) -> None:
        self._pieces = pieces
        self._pending = b""
        self._is_read = False
        self.is_overlong = False
        parts = parts_of(dialect)
        quote = parts.quote or "(?!)"
        self._open = re.compile(
            rf"(?:{parts.field}{parts.delimiter})*+{quote}{parts.content}\Z".encode()
        )
        self._closing = re.compile(
            rf"(?<!{quote}){quote}(?:{quote}{quote})*{parts.before}".encode()
        )

    @property
    def is_done(self) -> bool:
        """Whether nothing follows."""
        return self._is_read and not self._pending

    def read(self, least: int) -> bytes:
        """Whole lines, of at least so many bytes if there are; empty at the end.

        Empty too where ``is_overlong``: then ``drop_record`` goes on.
        """
        data = self._pending
        cut = last_line_end(data)
        while cut < least:
            if len(data) - cut > RECORD_BYTES:
                self.is_overlong = not cut
                break
            piece = next(self._pieces, b"")
            if not piece:
                self._is_read = True
                cut = len(data)
                break
            data += piece
            cut = last_line_end(data)
        self._pending = data[cut:]
        return data[:cut]

    def drop_record(self, *, is_quoted: bool | None) -> tuple[bytes, int, int]:
        """Pass over the rest of a record that is too long.

        Args:
            is_quoted: whether it goes on within a quoted field; None where it begins here.

        Returns:
            How it goes on, as far as it was read; how many bytes were dropped, and how many lines.
        """
        self.is_overlong = False
        data, beginning = self._pending, self._pending[:SHOWN_BYTES]
        if is_quoted is None:
            is_quoted = self._open.match(data) is not None
        size = lines = 0
        while True:
            start: int | None = 0
            if is_quoted:
                match = self._closing.search(data)
                start = match.end() if match else None
            if start is not None:
                is_quoted = False
                match = LINE_END_BYTES.search(data, start)
                # A CR that is the last byte may be half of a CRLF.
                if match and (self._is_read or match.end() < len(data) or match[0] != b"\r"):
                    return beginning, *self._drop(data, match.end(), size, lines)
            piece = next(self._pieces, b"")
            if not piece:
                if self._is_read:
                    return beginning, *self._drop(data, len(data), size, lines)
                self._is_read = True
                continue
            keep = min(OVERLAP_BYTES, len(data))
            gone = data[: len(data) - keep]
            if gone.endswith(b"\r"):
                gone = gone[:-1]
            size += len(gone)
            lines += len(LINE_END_BYTES.findall(gone))
            data = data[len(gone) :] + piece

    def _drop(self, data: bytes, end: int, size: int, lines: int) -> tuple[int, int]:
        self._pending = data[end:]
        return size + end, lines + len(LINE_END_BYTES.findall(data, 0, end))


def _byte_in_utf_8(surrogates: str) -> int:
    """The byte that was no text where three bytes stand for its surrogate."""
    high, low = (ord(one) & 0x3F for one in surrogates[1:])
    return (0xD000 | high << 6 | low) - 0xDC00


def _suspects(text: str) -> Iterator[int]:
    """The places of what is no text, and of NUL.

    Encoding a stretch to see whether there are any is ten times as fast as looking for them.
    """
    for start in range(0, len(text), STRETCH_CHARACTERS):
        stretch = text[start : start + STRETCH_CHARACTERS]
        try:
            stretch.encode()
        except UnicodeEncodeError:
            is_clean = False
        else:
            is_clean = "\0" not in stretch
        if not is_clean:
            yield from (start + match.start() for match in SUSPECT.finditer(stretch))
