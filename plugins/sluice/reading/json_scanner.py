"""Walks through a JSON document of any size: finds an array in it, and where its elements end.

Of the elements, only brackets, strings and commas are looked at here; whether one is JSON at all is
judged when it is taken apart, so that a bad one does not take the others along. What stands around
the array has nobody else to judge it, and has to be JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sluice.errors import DeliveryError, printable
from sluice.reading.lines import RECORD_BYTES, SHOWN_BYTES

SPACE = re.compile(rb"[ \t\r\n]*+")
STRING_BODY = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
NO_BRACKET = re.compile(rb'[^"{}\[\]]*+')
SCALAR = re.compile(rb'[^ \t\r\n,:"{}\[\]]*+')

# Deeper than any record may be; this bounds what a file of nothing but brackets can ask for.
MOST_OPEN = 1 << 20

CLOSERS = {ord("{"): ord("}"), ord("["): ord("]")}


def _nested(depth: int) -> bytes:
    """Objects and arrays with balanced brackets, up to a depth; possessive, so it is linear."""
    deeper = b"|" + _nested(depth - 1) if depth else b""
    plain = rb'[^"{}\[\]]*+'
    inner = plain + rb'(?:(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"' + deeper + b")" + plain + b")*+"
    return rb"(?:\{" + inner + rb"\}|\[" + inner + rb"\])"


ELEMENT = re.compile(_nested(3), re.DOTALL)

# Nearly every element with the comma after it, in one call.
ELEMENT_AND_COMMA = re.compile(
    rb"[ \t\r\n]*+(" + _nested(3) + rb")[ \t\r\n]*+,(?![ \t\r\n]*+\])", re.DOTALL
)


STRICT_BODY = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
STRICT_SCALAR = re.compile(
    rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null"
)


def _strict(depth: int) -> tuple[bytes, bytes, bytes]:
    """A value of JSON up to a depth; members of an object and of an array, with their commas."""
    space, string = rb"[ \t\r\n]*+", b'"' + STRICT_BODY.pattern + b'"'
    value = string + b"|" + STRICT_SCALAR.pattern
    if depth:
        _, members, elements = _strict(depth - 1)
        value += rb"|\{" + space + members + rb"\}|\[" + space + elements + rb"\]"
    value = b"(?:" + value + b")" + space
    member = string + space + b":" + space + value
    return (
        value,
        b"(?:" + member + b"(?:," + space + rb'(?=")|(?=\})))*+',
        b"(?:" + value + b"(?:," + space + rb"(?=[^\]])|(?=\])))*+",
    )


# What most members are that hold no records, in one call for as many as follow each other.
_, MEMBERS, ELEMENTS = map(re.compile, _strict(2))


class Element(NamedTuple):
    """One element of the array.

    Attributes:
        data: its bytes, or their beginning where it is cut.
        line: the line on which it begins, from 1.
        offset: the byte at which it begins.
        is_cut: whether it is longer than ``RECORD_BYTES``.
    """

    data: bytes
    line: int
    offset: int
    is_cut: bool


class JsonScanner:
    """A position in a document that is read piece by piece."""

    def __init__(self, pieces: Iterator[bytes], offset: int, text: Callable[[bytes], str]) -> None:
        """Stand at the document's start.

        Args:
            pieces: its bytes.
            offset: where its first byte stands in the file.
            text: decodes its keys.
        """
        self._text = text
        self._pieces = pieces
        self._buffer = b""
        self._at = 0
        self._dropped = offset  # bytes of the file before the buffer
        self._line = 1
        self._counted = 0  # up to where in the buffer line ends are counted

    def elements(self, path: list[str]) -> Iterator[Element]:
        """The elements of the array at a path of keys; reads the document to its end.

        Raises:
            DeliveryError: there is no such array, or brackets and commas are not as they must be.
        """
        if not path:
            yield from self._array()
            return
        key, *rest = path
        if self._next() != b"{":
            raise self._wrong(f"an object with the key {printable(key)!r} is expected")
        found = False
        self._at += 1
        while self._next() != b"}":
            name = self._key()
            if name == key and found:
                raise self._wrong(f"the key {printable(key)!r} stands twice")
            if name == key:
                found = True
                yield from self.elements(rest)
            else:
                self._skip()
            self._comma(b"}")
        self._at += 1
        if not found:
            raise self._wrong(f"the object before it has no key {printable(key)!r}")

    def end(self) -> None:
        """Refuse anything after the document.

        Raises:
            DeliveryError: there is more.
        """
        if self._next():
            raise self._wrong("the end of the file is expected")

    def _array(self) -> Iterator[Element]:
        if self._next() != b"[":
            raise self._wrong("an array of records is expected")
        self._at += 1
        while self._next() != b"]":
            yield from self._plain_elements()
            self._next()
            line, offset = self._place()
            data, is_cut = self._value(RECORD_BYTES)
            yield Element(data, line, offset, is_cut)
            self._comma(b"]")
        self._at += 1

    def _plain_elements(self) -> Iterator[Element]:
        """Those that lie whole in what has been read, up to the last but one."""
        while (found := ELEMENT_AND_COMMA.match(self._buffer, self._at)) is not None:
            data = found[1]
            if len(data) > RECORD_BYTES:
                return
            self._at = found.start(1)
            self._count_lines()
            yield Element(data, self._line, self._dropped + self._at, False)
            self._at = found.end()

    def _comma(self, closer: bytes) -> None:
        """Pass over the comma before another member; stay before the closing bracket."""
        found = self._next()
        if found == closer:
            return
        if found != b",":
            raise self._wrong(f"a comma or {closer.decode()} is expected")
        self._at += 1
        if self._next() == closer:
            raise self._wrong("a value is expected after the comma")

    def _key(self) -> str:
        if self._next() != b'"':
            raise self._wrong("a key in quotes is expected")
        data, is_cut = self._value(SHOWN_BYTES)
        try:
            name = json.loads(self._text(data)) if not is_cut else ""
        except ValueError:
            raise self._wrong("the key before it is no string") from None
        if self._next() != b":":
            raise self._wrong("a colon is expected")
        self._at += 1
        return str(name)

    def _skip(self) -> None:
        """Pass over a value that holds no records."""
        closers: list[bytes] = []
        is_value = True  # whether one begins here
        while is_value or closers:
            if is_value:
                is_value = self._begin(closers)
            elif self._next() == closers[-1]:
                self._at += 1
                closers.pop()
            else:
                self._comma(closers[-1])
                is_value = self._go_to_value(closers[-1])

    def _begin(self, closers: list[bytes]) -> bool:
        """Pass over a string or a scalar, or into what has members; whether one follows."""
        here = self._next()
        if here == b'"':
            self._strict_string()
        elif here in (b"{", b"["):
            self._at += 1
            closers.append(bytes([CLOSERS[here[0]]]))
            if len(closers) > MOST_OPEN:
                raise self._wrong("an end of all these brackets is expected")
            return self._go_to_value(closers[-1])
        else:
            kept = _Kept(RECORD_BYTES)
            self._pass_over(SCALAR, kept)
            if not STRICT_SCALAR.fullmatch(kept.data):
                raise self._wrong("a value is expected")
        return False

    def _go_to_value(self, closer: bytes) -> bool:
        """Pass over members that are whole and sound; whether there is another."""
        self._next()
        found = (MEMBERS if closer == b"}" else ELEMENTS).match(self._buffer, self._at)
        self._at = found.end() if found else self._at
        if self._next() == closer:
            return False
        if closer == b"}":
            self._key()
        return True

    def _strict_string(self) -> None:
        kept = _Kept(0)
        self._take(kept, 1)
        while True:
            self._pass_over(STRICT_BODY, kept)
            here = self._buffer[self._at : self._at + 6]
            if here[:1] == b'"':
                self._at += 1
                return
            # An escape at the end of what has been read may go on.
            if (here and here[:1] != b"\\") or len(here) == 6:
                raise self._wrong("a character of a string or an escape of JSON is expected")
            if not self._fill():
                raise self._wrong("the string is never closed")

    def _value(self, limit: int) -> tuple[bytes, bool]:
        """Pass over a value; gives its bytes, or their beginning where it is over the limit."""
        self._next()
        whole = ELEMENT.match(self._buffer, self._at)
        if whole is not None:
            self._at = whole.end()
            return (whole[0], False) if len(whole[0]) <= limit else (whole[0][:SHOWN_BYTES], True)
        kept = _Kept(limit)
        open_brackets: list[int] = []
        while True:
            is_done = self._step(kept, open_brackets)
            if is_done:
                return kept.data, kept.is_cut
            if len(open_brackets) > MOST_OPEN:
                raise self._wrong("an end of all these brackets is expected")

    def _step(self, kept: _Kept, open_brackets: list[int]) -> bool:
        """Pass over what stands before the next bracket or string, and over that."""
        pattern = NO_BRACKET if open_brackets else SCALAR
        self._pass_over(pattern, kept)
        here = self._buffer[self._at : self._at + 1]
        if here == b'"':
            self._take(kept, 1)
            self._string(kept)
            return not open_brackets
        if here in (b"{", b"["):
            open_brackets.append(CLOSERS[here[0]])
            self._take(kept, 1)
            return False
        if not open_brackets:  # a number or a word ends where anything else begins
            if not kept.size:
                raise self._wrong("a value is expected")
            return True
        if not here or open_brackets.pop() != here[0]:
            raise self._wrong("a bracket does not close the one that was opened")
        self._take(kept, 1)
        return not open_brackets

    def _string(self, kept: _Kept) -> None:
        while True:
            self._pass_over(STRING_BODY, kept)
            here = self._buffer[self._at : self._at + 2]
            if here[:1] == b'"':
                self._take(kept, 1)
                return
            # A backslash at the end of what has been read: its other half comes next.
            if len(here) == 2 or not self._fill():
                raise self._wrong("the string is never closed")

    def _pass_over(self, pattern: re.Pattern[bytes], kept: _Kept) -> None:
        while True:
            found = pattern.match(self._buffer, self._at)
            self._take(kept, found.end() - self._at if found else 0)
            if self._at < len(self._buffer) or not self._fill():
                return

    def _take(self, kept: _Kept, size: int) -> None:
        kept.add(self._buffer[self._at : self._at + size])
        self._at += size

    def _next(self) -> bytes:
        """The byte after white space, without passing over it; empty at the end."""
        while True:
            found = SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill():
                return b""

    def _fill(self) -> bool:
        """Read on; what has been passed over is dropped."""
        piece = next(self._pieces, b"")
        self._count_lines()
        self._dropped += self._at
        self._buffer = self._buffer[self._at :] + piece
        self._at = self._counted = 0
        return bool(piece)

    def _count_lines(self) -> None:
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._counted = self._at

    def _place(self) -> tuple[int, int]:
        self._count_lines()
        return self._line, self._dropped + self._at

    def _wrong(self, what: str) -> DeliveryError:
        line, offset = self._place()
        where = "at its end" if not self._next() else f"on line {line}, byte {offset}"
        return DeliveryError(
            f"The file cannot be read as JSON: {where}, {what}.",
            code="bad_structure",
            remedy="Correct the file; or json.path in the registry, if the records are elsewhere.",
        )


class _Kept:
    """The bytes of a value as they are passed over, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        if self.size <= self._limit:
            self._parts.append(part)
        self.size += len(part)

    @property
    def is_cut(self) -> bool:
        return self.size > self._limit

    @property
    def data(self) -> bytes:
        data = b"".join(self._parts)
        return data[:SHOWN_BYTES] if self.is_cut else data
