"""What a record of a delimited file is: RFC 4180 in the declared dialect, as patterns.

Everything that reads CSV asks here, so that the header, the fast path's guard and the tolerant
reader cannot differ. A field is quoted as a whole or has no quote at all; an empty field without
quotes is a missing value; LF, CRLF and CR each end a record outside of quotes.

The patterns are possessive throughout: each character is looked at once, however broken it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.registry import CsvDialect

if TYPE_CHECKING:
    from sluice.reading.csv_lines import Lines

# A longer record is refused: it would take memory many times over on its way to PostgreSQL.
RECORD_BYTES = 16 << 20

LINE_END = re.compile(r"\r\n|\n|\r")
LINE_ENDS = {"\n": r"\n", "\r\n": r"\r\n", "\r": r"\r(?!\n)"}
SPACES = re.compile(r"\ *+")
LINE = re.compile(r"[^\r\n]*+")

# What ends sooner is found by a pattern; a quote that closes a field may be a megabyte away, where
# patterns are slow.
NEAR_CHARACTERS = 1 << 12

# How much of a value is shown in a reason.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a dialect's patterns, for text and for bytes that extend ASCII.

    Attributes:
        after: holds where a field may begin: at the start, after a delimiter or a line end.
        before: holds where a field may end: before a delimiter or a line end.
        quote: the quote; empty where the dialect has none.
        content: what may stand between two quotes of a field.
        plain: the characters of a field without quotes.
        field: a field.
        line_field: a field on one line.
        delimiter: the delimiter, and the spaces that belong to it.
        sign: the delimiter alone.
    """

    after: str
    before: str
    quote: str
    content: str
    plain: str
    field: str
    line_field: str
    delimiter: str
    sign: str


def parts_of(dialect: CsvDialect) -> Parts:
    """The parts of a dialect's patterns."""
    delimiter = re.escape(dialect.delimiter or ",")
    quote = re.escape(dialect.quote or "")
    escape = re.escape(dialect.escape or dialect.quote or "")
    plain = rf"[^{quote}{delimiter}\r\n]*+"
    content = rf"(?:[^{quote}{escape}]++|{escape}[{quote}{escape}]?+)*+"
    if escape == quote:
        content = rf"(?:[^{quote}]++|{quote}{quote})*+"
    field = rf"(?:{quote}{content}{quote}|{plain})" if quote else plain
    line_field = field.replace("[^", r"[^\r\n") if quote else plain
    return Parts(
        after=rf"(?<![^{delimiter}\r\n])",
        before=rf"(?=[{delimiter}\r\n])",
        quote=quote,
        content=content if quote else "",
        plain=plain,
        field=field,
        line_field=line_field,
        delimiter=rf"{delimiter}\ *+" if dialect.space_after_delimiter else delimiter,
        sign=delimiter,
    )


class Grammar:
    """The records of a dialect with a known number of fields, in decoded text.

    Attributes:
        dialect: the dialect.
        width: how many fields a record has.
        quote: the quote; empty where the dialect has none.
        doubled: the quote twice, where that stands for one within quotes; else empty.
        delimiter: the delimiter.
        bare: the same without spaces after delimiters, which records are passed on in.
        record: a record with as many fields as it must have, a group for each field as it is
            written and one for the line end; matches nothing, with no group, where there is none.
        any_record: a record with any number of fields, a group for its line end.
        to_field_end: the rest of a field in which quotes mean nothing.
    """

    def __init__(self, dialect: CsvDialect, width: int) -> None:
        parts = parts_of(dialect)
        self.dialect = dialect
        self.width = width
        self.quote = dialect.quote or ""
        self.doubled = self.quote * 2 if dialect.escape in (None, dialect.quote) else ""
        self.delimiter = dialect.delimiter or ","
        self.bare = self
        if dialect.space_after_delimiter:
            changed = {"space_after_delimiter": False}
            self.bare = Grammar(dialect.model_copy(update=changed), width)
        fields = parts.delimiter.join([f"({parts.field})"] * width)
        end = r"(\r\n|\n|\r|\Z)"
        trailing = parts.delimiter if dialect.trailing_delimiter else ""
        self.record = re.compile(f"{fields}{trailing}{end}|")
        self.any_record = re.compile(f"(?:{parts.field}{parts.delimiter})*+{parts.field}{end}")
        line = parts.delimiter.join([parts.line_field] * width) + trailing
        comment = f"(?!{re.escape(dialect.comment)})" if dialect.comment else ""
        self._line_runs = {
            line_end: re.compile(f"(?:{comment}{line}{pattern})*+")
            for line_end, pattern in LINE_ENDS.items()
        }
        self._is_counted = not (trailing or comment)
        self._text = ""
        self._lines: Lines | None = None
        self._plain = re.compile(parts.plain)
        self._written = re.compile(fields)
        self._whole_fields = re.compile(f"(?:{parts.field}{parts.delimiter})*+")
        self._content = re.compile(parts.content)
        self.to_field_end = re.compile(rf"[^{parts.sign}\r\n]*+")
        self._delimiter = re.compile(parts.delimiter)
        self._field = re.compile(rf"({parts.field})({parts.delimiter}|[\r\n]|\Z)")
        self.value = _value_of(dialect)
        # How many fields a record seems to have, counted by its delimiters.
        self.written_width = width + dialect.trailing_delimiter

    def fields(self, text: str, start: int) -> list[str | None]:
        """The values of a record's fields, however many; up to the first that is broken."""
        fields = []
        while match := self._field.match(text, start):
            fields.append(self.value(match[1]))
            if not match[2].startswith(self.delimiter):
                break
            start = match.end()
        return fields

    def record_at(self, text: str, start: int) -> re.Match[str] | None:
        """The record with as many fields as it must have that begins at a place; None for none."""
        limit = start + NEAR_CHARACTERS
        match = self.record.match(text, start, limit)
        is_found = bool(match and match.lastindex)
        # At the limit, its last field or its line end may be a part of one.
        if match and is_found and match.end() < limit:
            return match
        last = self.broken_at(text, start)
        closing = self.closing_quote(text, last)
        if closing is None:
            is_whole = is_found or self._plain_end(text, last) >= limit - 1
        else:
            is_whole = self.is_closed(text, closing)
        if not is_whole:
            return None
        match = self.record.match(text, start)
        return match if match and match.lastindex else None

    def broken_at(self, text: str, start: int) -> int:
        """Where the first field begins that is not whole with a delimiter after it."""
        while True:
            match = self._whole_fields.match(text, start, start + NEAR_CHARACTERS)
            if match and match.end() > start:
                # Spaces that belong to a delimiter may go on beyond the limit.
                is_cut = match.end() == start + NEAR_CHARACTERS and self.bare is not self
                start = self._spaces_end(text, match.end()) if is_cut else match.end()
                continue
            closing = self.closing_quote(text, start)
            if closing == len(text):
                return start
            end = self._plain_end(text, start) if closing is None else closing + 1
            after = self.after_delimiter(text, end)
            if after == end:
                return start
            start = after

    def _spaces_end(self, text: str, start: int) -> int:
        match = SPACES.match(text, start)
        return match.end() if match else start

    def _plain_end(self, text: str, start: int) -> int:
        """Where a field without quotes ends."""
        match = self._plain.match(text, start)
        return match.end() if match else start

    def closing_quote(self, text: str, place: int) -> int | None:
        """Where the quoted field that begins at a place has its last quote; None if none begins.

        The end of the text, if the field has no last quote.
        """
        if not self.quote or not text.startswith(self.quote, place):
            return None
        return self.content_end(text, place + 1, len(text))

    def is_closed(self, text: str, closing: int) -> bool:
        """Whether the field ends after its last quote."""
        return closing < len(text) and self.ends_field(text, closing + 1)

    def content_end(self, text: str, start: int, limit: int) -> int:
        """Where what stands within a quoted field ends: at a quote that is its last, or the limit.

        A quote may be a long way off, and is looked for in several ways: hence not by a pattern.

        Args:
            text: lines of a file.
            start: the place after the field's first quote.
            limit: as if the text ended there.
        """
        if not self.doubled:
            match = self._content.match(text, start, limit)
            return match.end() if match else start
        while (quote := text.find(self.quote, start, limit)) >= 0:
            if not text.startswith(self.doubled, quote, limit):
                return quote
            start = quote + 2
        return limit

    def lines_in(self, text: str) -> Lines:
        """The lines of a text; the same object as long as the text is."""
        if self._lines is None or text is not self._text:
            # Imported where it is needed: numpy takes 0.1 s, and a header's reader needs none.
            from sluice.reading.csv_lines import Lines

            count = self.width - 1 if self._is_counted else None
            self._text = text
            self._lines = Lines(
                text, self._line_runs, delimiter=self.delimiter, count=count, quote=self.quote
            )
        return self._lines

    def values(self, written: str) -> list[str | None]:
        """The values of a whole record as it is written, without what ends it."""
        if not self.quote or self.quote not in written:
            return [value or None for value in written.split(self.delimiter)]
        match = self._written.fullmatch(written)
        return [self.value(one) for one in match.groups()] if match else []

    def after_delimiter(self, text: str, position: int) -> int:
        """The place after the delimiter at a place; the same place where none is."""
        match = self._delimiter.match(text, position)
        return match.end() if match else position

    def ends_field(self, text: str, position: int) -> bool:
        """Whether a field may end before the character at a place."""
        return position >= len(text) or text[position] in (self.delimiter, "\r", "\n")

    def begins_field(self, text: str, position: int) -> bool:
        """Whether a field may begin at a place."""
        if self.dialect.space_after_delimiter:
            before = text.rfind(self.delimiter, 0, position)
            if before >= 0 and self.after_delimiter(text, before) == position:
                return True
        return position == 0 or text[position - 1] in (self.delimiter, "\r", "\n")


def _value_of(dialect: CsvDialect) -> Callable[[str], str | None]:
    """Gives the value of a field as it is written; None for a missing one."""
    quote = dialect.quote
    if quote is None:
        return lambda written: written or None
    if dialect.escape in (None, quote):
        return lambda written: (
            (written[1:-1].replace(quote * 2, quote) if written[0] == quote else written)
            if written
            else None
        )
    escape = dialect.escape or quote
    escaped = re.compile(f"{re.escape(escape)}([{re.escape(quote)}{re.escape(escape)}])")
    return lambda written: (
        (escaped.sub(r"\1", written[1:-1]) if written[0] == quote else written) if written else None
    )


def shown(value: str) -> str:
    """A value for a reason: quoted, on one line, cut where it is long."""
    cut = value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "…"
    return repr(cut).replace("\\udc", "\\x")  # a byte that is no text, not the surrogate for it


def lack_of_lines(text: str, skipped: int) -> str:
    """Why a file has no header that ends within the lines to pass over, in a sentence."""
    if not skipped or not text:
        return "The file is empty: it has no header."
    count = len(LINE_END.findall(text)) + (not text.endswith(("\r", "\n")))
    return (
        f"The file has only {count} lines, and skip_lines passes over {skipped}: no header is left."
    )


def line_end_before(text: str, place: int) -> str:
    """The line end that stands before a place; empty where none does."""
    if text.endswith("\r\n", 0, place):
        return "\r\n"
    return text[place - 1] if place and text[place - 1] in "\r\n" else ""


def last_line_end(data: bytes) -> int:
    """How many bytes the whole lines have; a CR at the very end may be half of a CRLF."""
    line_feed = data.rfind(b"\n")
    return max(line_feed, data.rfind(b"\r", line_feed + 1, len(data) - 1)) + 1
