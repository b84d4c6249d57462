"""Which encoding a text file is in: by its byte order mark, its zero bytes, or as valid UTF-8.

Nothing is guessed: what is none of these has to be declared, but where windows-1252 is the only
text that the file can be (docs/adr/0022).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from sluice.errors import DeliveryError
from sluice.reading.code_pages import Readings, readings_of

# Longest first: UTF-32's mark in little endian begins with UTF-16's.
MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    ("\ufeff".encode("gb18030"), "gb18030"),
)

# Delimiters, digits, spaces and line ends each leave a zero byte in UTF-16, whatever the script of
# the text around them: a table has them in more than one of twenty characters.
ZERO_SHARE = 0.05

# One of UTF-32's four bytes is zero, and the next the number of a plane in use: in all characters
# but those of damaged places.
UTF_32_SHARE = 0.95
LAST_PLANE = 3

# One damaged line is no evidence of what the others are in.
LEAST_EVIDENCE = 2

LINE_ENDS = re.compile(rb"[\r\n]")

MORE_THAN_ASCII = re.compile(rb"[\x80-\xff]")

# Control characters that no text file has.
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")

# As many ways to read a word are shown.
SHOWN_READINGS = 4

REMEDY = (
    "Declare its encoding in the registry (sluice inspect FILE --encoding NAME shows the file in"
    " one), or deliver it in UTF-8."
)


@dataclass(frozen=True, slots=True)
class EncodingFound:
    """What a file is written in.

    Attributes:
        encoding: its name, as the registry has it; UTF-16 and UTF-32 with their byte order.
        mark_bytes: how many bytes at the start are a byte order mark, which is no text.
        note: what was taken and why, in a sentence.
    """

    encoding: str
    mark_bytes: int
    note: str


def find_encoding(head: bytes, *, is_whole_file: bool) -> EncodingFound:
    """The encoding of a file, from its first bytes.

    A byte order mark decides. Then UTF-32 and UTF-16 show by their zero bytes. Otherwise it is
    UTF-8 if most of the lines with more than ASCII are valid UTF-8, which happens by chance in no
    other encoding, or if a single line is not: damaged lines do not change what the others mean.
    What is left is windows-1252 where no other encoding makes another text of it, which is known
    of a file only that was looked at as a whole; else it is refused.

    Args:
        head: the first bytes of the file.
        is_whole_file: whether that is all of it; else its last line may be cut.

    Raises:
        DeliveryError: nothing tells its encoding, or it is no text at all.
    """
    marked = _by_mark(head)
    if marked is not None:
        return marked
    wide = _by_zeros(head)
    if wide is not None:
        return wide
    return _by_lines(head, is_whole_file=is_whole_file)


def declared_encoding(head: bytes, encoding: str) -> EncodingFound:
    """The declared encoding, held against the file's byte order mark.

    Args:
        head: the first bytes of the file.
        encoding: what the registry says, other than ``auto``.

    Raises:
        DeliveryError: the file's mark says that it is in another encoding.
    """
    marked = _by_mark(head)
    if marked is None:
        order = _byte_order(head, encoding)
        return EncodingFound(encoding + order, 0, f"Encoding {_declared(encoding)}.")
    if not marked.encoding.startswith(encoding):
        raise DeliveryError(
            f"The file begins with the byte order mark of {_shown(marked.encoding)}, but is"
            f" declared to be {encoding}.",
            code="bad_encoding",
            remedy="Correct encoding in the registry, or let it be auto.",
        )
    return EncodingFound(
        marked.encoding,
        marked.mark_bytes,
        f"Encoding {_declared(encoding)}; its byte order mark is passed over.",
    )


def _declared(encoding: str) -> str:
    """An encoding that the registry says; what it is by default nobody has declared."""
    return encoding if encoding == "utf-8" else f"{_shown(encoding)}, as declared"


def _by_mark(head: bytes) -> EncodingFound | None:
    for mark, encoding in MARKS:
        if head.startswith(mark):
            note = f"Encoding {_shown(encoding)}: the file begins with its byte order mark."
            return EncodingFound(encoding, len(mark), note)
    return None


def _byte_order(head: bytes, encoding: str) -> str:
    """The byte order of a file that is declared to be UTF-16 or UTF-32, and has no mark."""
    if encoding == "utf-32":
        return "-le" if head[3::4].count(0) >= head[0::4].count(0) else "-be"
    if encoding == "utf-16":
        return "-le" if head[1::2].count(0) >= head[0::2].count(0) else "-be"
    return ""


def _by_zeros(head: bytes) -> EncodingFound | None:
    """UTF-32 or UTF-16 without a mark: zero bytes at the same places of all characters."""
    return (_as_utf_32(head) or _as_utf_16(head)) if b"\0" in head else None


def _as_utf_32(head: bytes) -> EncodingFound | None:
    units = len(head) // 4
    for highest, plane, encoding in ((3, 2, "utf-32-le"), (0, 1, "utf-32-be")):
        zeros = head[highest : units * 4 : 4].count(0)
        planes = sum(byte <= LAST_PLANE for byte in head[plane : units * 4 : 4])
        if units >= LEAST_EVIDENCE and min(zeros, planes) >= units * UTF_32_SHARE:
            note = f"Encoding {_shown(encoding)}: {zeros} of {units} characters have its zero byte."
            return EncodingFound(encoding, 0, note)
    return None


def _as_utf_16(head: bytes) -> EncodingFound | None:
    """UTF-16, by zero bytes at every other place, on one side only."""
    units = len(head) // 2
    at_even, at_odd = head[0::2].count(0), head[1::2].count(0)
    for zeros, others, encoding in (
        (at_odd, at_even, "utf-16-le"),
        (at_even, at_odd, "utf-16-be"),
    ):
        is_likely = zeros >= max(LEAST_EVIDENCE, units * ZERO_SHARE) and others * 10 < zeros
        if is_likely and (zeros * 2 > units or _is_no_other(head)) and _ends_lines(head, encoding):
            note = f"Encoding {_shown(encoding)}: {zeros} of {units} characters have its zero byte."
            return EncodingFound(encoding, 0, note)
    return None


def _is_no_other(head: bytes) -> bool:
    """Whether a few zero bytes cannot be those of some damaged records in another encoding."""
    lines = [line for line in LINE_ENDS.split(head) if line]
    if sum(b"\0" in line for line in lines) * 2 <= len(lines):
        return False
    rest = head.replace(b"\0", b"")
    return not _is_utf_8(rest) or CONTROL.search(rest) is not None


def _ends_lines(head: bytes, encoding: str) -> bool:
    """Whether bytes that are a line end elsewhere are one, in UTF-16, at least once."""
    text = head.decode(encoding, "replace")
    return LINE_ENDS.search(head) is None or "\n" in text or "\r" in text


def _by_lines(head: bytes, *, is_whole_file: bool) -> EncodingFound:
    """UTF-8 or windows-1252, by the majority of the lines that differ between them."""
    lines = LINE_ENDS.split(head)
    if not is_whole_file and len(lines) > 1:
        lines.pop()  # may end within a character
    telling = [line for line in lines if MORE_THAN_ASCII.search(line)]
    if not telling:
        return EncodingFound("utf-8", 0, "Encoding UTF-8: everything looked at is ASCII.")
    valid = sum(_is_utf_8(line) for line in telling)
    broken = len(telling) - valid
    if valid > broken or broken < LEAST_EVIDENCE:
        damaged = f"; {broken} are damaged" if broken else ""
        note = f"Encoding UTF-8: valid in {valid} of {len(telling)} lines with more than ASCII"
        return EncodingFound("utf-8", 0, f"{note}{damaged}.")
    seen = f"{broken} of {len(telling)} lines with more than ASCII are not valid UTF-8"
    readings = readings_of(telling)
    if "windows-1252" in readings.encodings and not readings.example and not valid:
        if is_whole_file:
            note = f"Encoding windows-1252: {seen}, and no other encoding makes another text."
            return EncodingFound("windows-1252", 0, note)
        raise _untold(f"{seen}, and the file is longer than what is looked at")
    if not readings.encodings and not valid:
        raise DeliveryError(
            f"The file is no text in UTF-8, nor in any encoding of one byte a character: {seen}.",
            code="bad_encoding",
            remedy="If it is text, declare its encoding; if it is not, declare its format.",
        )
    raise _untold(f"{seen}{_ways_to_read(readings)}")


def _untold(seen: str) -> DeliveryError:
    return DeliveryError(
        f"Nothing tells the encoding of the file: {seen}.", code="bad_encoding", remedy=REMEDY
    )


def _ways_to_read(readings: Readings) -> str:
    """How a word reads in the encodings that make text of the file."""
    texts: dict[str, str] = {}
    for encoding, text in readings.example.items():
        texts.setdefault(text, encoding)
    ways = [f"{text!r} in {encoding}" for text, encoding in texts.items()][:SHOWN_READINGS]
    if ways:
        return f"; a word in it is {', '.join(ways)}"
    fitting = " and ".join(readings.encodings)
    return f"; its words make text in {fitting} only" if fitting else ""


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(encoding: str) -> str:
    for ending, order in (("-le", "little"), ("-be", "big")):
        if encoding.endswith(ending):
            return f"{encoding.removesuffix(ending).upper()} ({order} endian)"
    return encoding.upper() if encoding.startswith("utf") else encoding
