"""Text by lines, for the formats that have a record a line: whole lines at a time, as bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from sluice.reading.encodings import declared_encoding, find_encoding
from sluice.reading.records import BATCH_BYTES, BadRecord, Opener, Place
from sluice.registry.encodings import codec_of, is_transcoded

# A longer record is refused: it would take memory many times over on its way to PostgreSQL.
RECORD_BYTES = 16 << 20

# How much of a refused record is kept, to show where it is.
SHOWN_BYTES = 1 << 16

# A line of nothing else is no record.
BLANK = " \t\r"

# Enough lines for a verdict on the encoding.
HEAD_BYTES = 1 << 18

# What bytes that are no text become in Python's ``surrogateescape``; no UTF-8 decodes to these.
NO_TEXT = re.compile("[\udc80-\udcff]")

# What they become where a file is handed on as UTF-8: there it may be any byte.
BYTE = re.compile("[\udc00-\udcff]")


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines of a file.

    Attributes:
        data: the lines with their ends; the file's last may have none.
        line: the number of the first, from 1.
        offset: the byte at which the first begins.
        is_cut: whether this is the beginning of one line that is longer than ``RECORD_BYTES``.
    """

    data: bytes
    line: int
    offset: int
    is_cut: bool = False


class TextFile:
    """The bytes of a text file, without its byte order mark, in an encoding that extends ASCII.

    An encoding that does not, such as UTF-16 and Shift-JIS, is handed on as UTF-8, and offsets
    count in that.

    Attributes:
        encoding: the encoding of what is handed on.
        note: which encoding the file has, and why it was taken for that.
        transcoded_from: the file's encoding, where another one is handed on; else empty.
        start: the offset of the first byte that is handed on.
    """

    def __init__(self, opener: Opener, encoding: str) -> None:
        """Look at the file's first bytes.

        Raises:
            DeliveryError: its byte order mark says something else, or it is no text.
        """
        self._opener = opener
        with opener() as stream:
            head = read_fully(stream, HEAD_BYTES)
        if encoding == "auto":
            found = find_encoding(head, is_whole_file=len(head) < HEAD_BYTES)
        else:
            found = declared_encoding(head, encoding)
        self._found = found
        self.transcoded_from = found.encoding if is_transcoded(found.encoding) else ""
        self.encoding = "utf-8" if self.transcoded_from else found.encoding
        self.note = found.note
        self.start = 0 if self.transcoded_from else found.mark_bytes

    def pieces(self) -> Generator[bytes, None, None]:
        """The bytes from the start, in pieces of about ``BATCH_BYTES``."""
        with self._opener() as stream:
            read_fully(stream, self._found.mark_bytes)
            pieces = iter(lambda: stream.read(BATCH_BYTES), b"")
            yield from _as_utf_8(pieces, self._found.encoding) if self.transcoded_from else pieces

    def lines(self) -> Iterator[Lines]:
        """The file's lines, in groups of about ``BATCH_BYTES``; they end with LF or CRLF."""
        line = 1
        offset = self.start
        for data, is_cut, size in _whole_lines(self.pieces()):
            yield Lines(data, line, offset, is_cut)
            line += 1 if is_cut else data.count(b"\n")
            offset += size

    def text(self, data: bytes) -> str:
        """Bytes as text; each byte that is none becomes one character of ``NO_TEXT``."""
        return data.decode(self.encoding, "surrogateescape")

    def shown(self, data: bytes) -> str:
        r"""Text to show; bytes that are none are written as ``\xNN``."""
        if not self.transcoded_from:
            return data.decode(self.encoding, "backslashreplace")
        try:
            text = data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # cut within a character
            text = data.decode("utf-8", "backslashreplace")
        return BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)

    def undecodable(self, text: str) -> str | None:
        """What is wrong with decoded text as a sentence; None where it is text throughout."""
        found = None if text.isascii() else NO_TEXT.search(text)
        if found is None:
            return None
        if self.transcoded_from:
            return f"what follows {found.start()} characters is no text in {self.transcoded_from}"
        byte = ord(found[0]) - 0xDC00
        return f"byte 0x{byte:02X} after {found.start()} characters is no text in {self.encoding}"


def read_fully(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as asked for, or all that there are: one ``read`` may give fewer."""
    pieces: list[bytes] = []
    while size > 0 and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def too_long(place: Place) -> BadRecord:
    """The verdict on a record over ``RECORD_BYTES``, of which only the beginning is kept."""
    reason = (
        f"The record is longer than {RECORD_BYTES >> 20} MB;"
        f" only its first {SHOWN_BYTES >> 10} kB are kept here."
    )
    return BadRecord(place, "too_long", reason)


def _bytes_as_surrogates(error: UnicodeError) -> tuple[str, int]:
    """What bytes that are no text become: a surrogate each, so that they can be shown.

    In UTF-16 and UTF-32 all bytes of a character that is none. Of several bytes a character
    elsewhere, the first alone: a delimiter or a line end after it stays what it is.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    end = error.end if error.encoding.startswith("utf") else error.start + 1
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : end]), end


codecs.register_error("sluice-bytes", _bytes_as_surrogates)


def _as_utf_8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Text as UTF-8; bytes that are no text come out as surrogates, which are not UTF-8."""
    codec = codec_of(encoding)
    decoder = codecs.getincrementaldecoder(codec)("sluice-bytes")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")
    # At the end, Python's decoders of several bytes a character give up after the first of them.
    rest, _ = decoder.getstate()
    yield rest.decode(codec, "sluice-bytes").encode("utf-8", "surrogatepass")


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool, int]]:
    """Whole lines, whether they are the cut beginning of a long one, and the bytes they stand for.

    The file's last line comes without a line end where it has none.
    """
    pending = b""
    for piece in pieces:
        pending += piece
        if len(pending) > RECORD_BYTES:
            end = pending.find(b"\n") + 1
            if not end or end > RECORD_BYTES:
                head = pending[:SHOWN_BYTES]
                size, pending = _skip_line(pending, end, pieces)
                yield head, True, size
        cut = pending.rfind(b"\n") + 1
        if cut:
            yield pending[:cut], False, cut
            pending = pending[cut:]
    if pending:
        yield pending, False, len(pending)


def _skip_line(pending: bytes, end: int, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Pass over one long line; gives how long it was, and the bytes read after it."""
    size = 0
    while not end:
        size += len(pending)
        pending = next(pieces, b"")
        if not pending:
            return size, b""
        end = pending.find(b"\n") + 1
    return size + end, pending[end:]


@dataclass(slots=True)
class RecordLines:
    """Where the records of a group of lines stand: every line that is not blank is one.

    Attributes:
        lines: the group.
        first: the number of its first record.
        shown: how its bytes are shown as text.
    """

    lines: Lines
    first: int
    shown: Callable[[bytes], str]
    _starts: list[tuple[int, int]] | None = field(default=None, init=False)

    def of(self, number: int) -> Place:
        """The place of a record of the group."""
        if self._starts is None:
            self._starts = list(self._find_records())
        line, start = self._starts[number - self.first]
        end = self.lines.data.find(b"\n", start)
        raw = self.lines.data[start : end if end >= 0 else None]
        return Place(
            number,
            self.shown(raw.removesuffix(b"\r")),
            line=self.lines.line + line,
            offset=self.lines.offset + start,
        )

    def _find_records(self) -> Iterator[tuple[int, int]]:
        start = 0
        for line, text in enumerate(self.lines.data.split(b"\n")):
            if text.strip(BLANK.encode()):
                yield line, start
            start += len(text) + 1
