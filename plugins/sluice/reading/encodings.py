"""Which encoding a text file is in: byte order marks, UTF-16 by its pattern, UTF-8, or a guess."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from sluice.errors import DeliveryError

# Longest first: UTF-32's mark in little endian begins with UTF-16's.
MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Delimiters, digits, spaces and line ends each leave a zero byte in UTF-16, whatever the script of
# the text around them: a table has them in more than one of twenty characters.
ZERO_SHARE = 0.05

# One damaged line is no evidence of what the others are in.
LEAST_EVIDENCE = 2

LINE_ENDS = re.compile(rb"[\r\n]")

MORE_THAN_ASCII = re.compile(rb"[\x80-\xff]")

# Bytes that windows-1252 leaves undefined, and control characters that no text file has.
NOT_WINDOWS_1252 = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]")


@dataclass(frozen=True, slots=True)
class EncodingFound:
    """What a file is written in.

    Attributes:
        encoding: its name, as Python and the registry know it; UTF-16 with its byte order.
        mark_bytes: how many bytes at the start are a byte order mark, which is no text.
        note: what was taken and why, in a sentence.
    """

    encoding: str
    mark_bytes: int
    note: str


def find_encoding(head: bytes, *, is_whole_file: bool) -> EncodingFound:
    """The encoding of a file, from its first bytes.

    A byte order mark decides. Then UTF-16 shows by its zero bytes. Otherwise it is UTF-8 if most of
    the lines with more than ASCII are valid UTF-8, which happens by chance in no other encoding, or
    if a single line is not: damaged lines do not change what the others mean. What is left is taken
    for windows-1252, and said to be a guess.

    Args:
        head: the first bytes of the file.
        is_whole_file: whether that is all of it; else its last line may be cut.

    Raises:
        DeliveryError: the file is in an encoding that is not read, or no text at all.
    """
    marked = _by_mark(head)
    if marked is not None:
        return marked
    utf_16 = _by_zeros(head)
    if utf_16 is not None:
        return utf_16
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
        order = _by_zeros(head) if encoding == "utf-16" else None
        taken = order.encoding if order else "utf-16-le" if encoding == "utf-16" else encoding
        return EncodingFound(taken, 0, f"Encoding {encoding}, as declared.")
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
        f"Encoding {_shown(encoding)}, as declared; its byte order mark is passed over.",
    )


def _by_mark(head: bytes) -> EncodingFound | None:
    for mark, encoding in MARKS:
        if head.startswith(mark):
            if encoding == "utf-32":
                raise DeliveryError(
                    "The file is in UTF-32, which is not read.",
                    code="bad_encoding",
                    remedy="Deliver it in UTF-8.",
                )
            note = f"Encoding {_shown(encoding)}: the file begins with its byte order mark."
            return EncodingFound(encoding, len(mark), note)
    return None


def _by_zeros(head: bytes) -> EncodingFound | None:
    """UTF-16 without a mark: zero bytes at every other place, on one side only."""
    units = len(head) // 2
    if not units or b"\0" not in head:
        return None
    at_even, at_odd = head[0::2].count(0), head[1::2].count(0)
    for zeros, others, encoding in (
        (at_odd, at_even, "utf-16-le"),
        (at_even, at_odd, "utf-16-be"),
    ):
        if zeros >= max(1, units * ZERO_SHARE) and others * 10 < zeros:
            note = f"Encoding {_shown(encoding)}: {zeros} of {units} characters have its zero byte."
            return EncodingFound(encoding, 0, note)
    return None


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
    if sum(NOT_WINDOWS_1252.search(line) is not None for line in telling) * 2 > len(telling):
        raise DeliveryError(
            "The file is no text in UTF-8, UTF-16 or windows-1252.",
            code="bad_encoding",
            remedy="If it is text, declare its encoding; if it is not, declare its format.",
        )
    note = (
        f"Encoding windows-1252, which is a guess: {broken} of {len(telling)} lines with more"
        " than ASCII are not valid UTF-8."
    )
    return EncodingFound("windows-1252", 0, note)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(encoding: str) -> str:
    orders = {"utf-16-le": "UTF-16 (little endian)", "utf-16-be": "UTF-16 (big endian)"}
    return orders.get(encoding, encoding.upper() if encoding.startswith("utf") else encoding)
