"""Where a broken record of a delimited file ends, and what is wrong with it.

What RFC 4180 reads as one record is one record, even with the wrong number of fields. Where it
finds none, because of a quote, two readings compete for the lines that follow: the quote that is
open was never closed, and they are records of their own; or they belong to a value of several
lines in which another quote went wrong. Then the next quotes decide, see ``_Walk``. In doubt lines
belong to the broken record: a record that is rejected too much is seen and can be sent again; one
that never was in the file is seen by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sluice.reading.csv_grammar import (
    LINE,
    RECORD_BYTES,
    Grammar,
    line_end_before,
    shown,
)

# More line ends than this within one record are not taken for one broken record.
STRAY_LINE_ENDS = 100
# A value of more lines than this, none of which looks like a record, is none.
VALUE_LINES = 100

# How far on a quote is looked for that closes a field whose line has its quotes in pairs.
PAIRED_CHARACTERS = 1 << 13

LINE_END_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}


class NeedsMoreError(Exception):
    """The text ends before it can be said; the caller comes again with more of the file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a broken record is.

    Attributes:
        end: where the next record begins.
        code: the reason's code.
        reason: the reason in a sentence.
        field: the index of the field concerned, if one is.
        fields: the record's fields, where it can be taken apart.
        is_open: whether the text ends within one of its quoted fields.
    """

    end: int
    code: str
    reason: str
    field: int | None = None
    fields: tuple[str | None, ...] | None = None
    is_open: bool = False


def judge(
    grammar: Grammar,
    names: Sequence[str],
    text: str,
    start: int,
    *,
    is_end: bool,
    goes_on: bool = False,
) -> Verdict:
    """What is wrong with the record at a place, and where it ends.

    Args:
        grammar: of the file; it reads no record with the right number of fields there.
        names: the names of the fields, for the reason.
        text: whole lines of the file.
        start: where the record begins.
        is_end: whether what there is of the text must do.
        goes_on: whether the file does not end with it all the same.

    Raises:
        NeedsMoreError: what follows the text decides.
    """
    last = grammar.broken_at(text, start)
    closing = grammar.closing_quote(text, last)
    is_open = closing == len(text)
    # Where a field is not closed there is no record, and to look for one is dear.
    if closing is None or grammar.is_closed(text, closing):
        match = grammar.any_record.match(text, start)
        if match is not None:
            fields = tuple(grammar.fields(text, start))
            return Verdict(match.end(), "ragged_row", _count_reason(grammar, fields), fields=fields)
    if is_open and not is_end:
        raise NeedsMoreError
    index, reason = _quote_reason(grammar, names, text, start, last, closing)
    walk = _Walk(grammar, text, is_end=is_end, goes_on=goes_on)
    end = walk.record_end(start)
    return Verdict(end, "bad_quotes", reason, field=index, is_open=walk.is_open)


def stray_line_end(
    grammar: Grammar, text: str, end: int, count: int, *, before: str, is_end: bool
) -> Verdict | None:
    """One broken record, if a line end of another kind than those around it has divided it.

    It has, where the parts together have the right number of fields and the last one ends as the
    record before did. Read as records, the first part could pass for a whole one.

    Args:
        grammar: of the file.
        text: whole lines of the file.
        end: where the first part ends, its line end included; not one like ``before``.
        count: how many fields the first part has.
        before: what ended the record before.
        is_end: whether nothing follows the text.

    Raises:
        NeedsMoreError: what follows the text decides.
    """
    kind = LINE_END_NAMES["\r\n" if text.endswith("\r\n", 0, end) else text[end - 1]]
    for _ in range(STRAY_LINE_ENDS):
        if end >= len(text) and not is_end:
            raise NeedsMoreError
        match = grammar.any_record.match(text, end)
        if match is None and not is_end and _is_open(grammar, text, end):
            raise NeedsMoreError
        if match is None or match.end() - end == len(match[1]):
            return None
        count += len(grammar.fields(text, end)) - 1
        if count > grammar.written_width:
            return None
        end = match.end()
        if match[1] in (before, ""):
            break
    if count != grammar.written_width:
        return None
    reason = (
        f"A line end of another kind ({kind}) than those around the record"
        f" ({LINE_END_NAMES[before]}) stands in it."
    )
    return Verdict(end, "bad_structure", reason)


def too_long_reason(why: str = "") -> str:
    """Why a record is refused for its length."""
    limit = f"The record is longer than {RECORD_BYTES >> 20} MB"
    return f"{limit}. {why}".rstrip() if why else f"{limit}."


def _count_reason(grammar: Grammar, fields: Sequence[str | None]) -> str:
    count = len(fields)
    if grammar.dialect.trailing_delimiter:
        if fields[-1] is None:
            count -= 1
        elif count == grammar.width:
            return f"The record lacks the {grammar.delimiter!r} that each record ends with."
    has = "1 field" if count == 1 else f"{count} fields"
    columns = "1 column" if grammar.width == 1 else f"{grammar.width} columns"
    return f"The record has {has}; the file has {columns}."


def _quote_reason(
    grammar: Grammar, names: Sequence[str], text: str, start: int, place: int, closing: int | None
) -> tuple[int, str]:
    """The index of the first field that is broken, which begins at a place, and how it is."""
    index = len(grammar.fields(text[start:place], 0)) - 1 if place > start else 0
    field = f"Field {index + 1}"
    if index < len(names) and names[index]:
        field += f" ({names[index]})"
    if closing is None:
        line = LINE.match(text, place)
        value = line[0] if line else ""
        return index, f"{field} has a quote but does not begin with it: {shown(value)}."
    if closing >= len(text):
        line = LINE.match(text, place)
        value = line[0] if line else ""
        return index, f"{field} begins with a quote that is never closed: {shown(value)}."
    after = LINE.match(text, closing + 1)
    rest = after[0] if after else ""
    return index, f"{field} goes on after its closing quote, with {shown(rest)}."


def _is_open(grammar: Grammar, text: str, start: int) -> bool:
    """Whether a text ends within a quoted field of the record at a place."""
    return grammar.closing_quote(text, grammar.broken_at(text, start)) == len(text)


class _Walk:
    """Finds the end of a broken record.

    Fields are read as their sender may have meant them: a quote closes a field where a delimiter or
    line end follows it, and is part of the value elsewhere. Only a field that is open at the end of
    its line is in doubt. Then, at each of the following quotes,

    1. if the line that has it reads well as a record by itself, the field was never closed;
    2. if the quote closes a field, it closes this one, and the lines between are part of it;
    3. if it opens one, and most of the lines between read well, the field was never closed;
    4. otherwise it is part of the value.

    A field that was never closed ends with its line. The following lines up to the first that reads
    well are still its value, except that all of them are where most of them do not read well. If
    no quote follows at all, it has no more than ``VALUE_LINES`` of them. A line with an even number
    of quotes, such as ``1,""a"",2``, is a record by itself unless a quote closes it soon.
    """

    def __init__(self, grammar: Grammar, text: str, *, is_end: bool, goes_on: bool) -> None:
        self._grammar = grammar
        self._text = text
        self._is_end = is_end
        self._goes_on = goes_on
        self.is_open = False

    def record_end(self, start: int) -> int:
        """Where the record after the broken one begins."""
        text, grammar = self._text, self._grammar
        while True:
            if text.startswith(grammar.quote, start):
                start, is_over = self._close(start)
                if is_over:
                    return start
            else:
                match = grammar.to_field_end.match(text, start)
                start = match.end() if match else len(text)
            if not text.startswith(grammar.delimiter, start):
                return after_line_end(text, start)
            start = grammar.after_delimiter(text, start)

    def _close(self, opened: int) -> tuple[int, bool]:
        """Where the field that a quote opens ends; or the next record begins, and True."""
        text, grammar = self._text, self._grammar
        next_line = after_line(text, opened)
        place = opened + 1
        while (quote := self._next_quote(place, next_line)) < next_line:
            if grammar.ends_field(text, quote + 1):
                return quote + 1, False
            place = quote + 1
        is_paired = self._has_pairs(opened)
        return self._close_later(place, next_line, is_paired=is_paired)

    def _close_later(self, place: int, next_line: int, *, is_paired: bool) -> tuple[int, bool]:
        """The same for a field that goes on after its line, as far as its quotes say."""
        text, grammar = self._text, self._grammar
        between = _LinesBetween(grammar, text, next_line)
        limit = min(len(text), next_line + PAIRED_CHARACTERS) if is_paired else len(text)
        while (quote := self._next_quote(place, limit)) < limit:
            between.go_to(quote)
            if self._reads_well(between.line):
                break
            begins = grammar.begins_field(text, quote)
            may_close = not (begins and is_paired and self._has_pairs(between.line))
            if may_close and grammar.ends_field(text, quote + 1):
                return quote + 1, False
            if begins and between.read_well:
                break
            place = quote + 1
        else:
            if limit == len(text) and not self._is_end:
                raise NeedsMoreError
            if not is_paired:
                return self._never_closed(between), True
        return next_line if is_paired else between.next_record(), True

    def _has_pairs(self, place: int) -> bool:
        """Whether the line that has a place has an even number of quotes from there on."""
        end = after_line(self._text, place)
        return self._text.count(self._grammar.quote, place, end) % 2 == 0

    def _next_quote(self, place: int, limit: int) -> int:
        """The next quote within a quoted field that is not escaped; the limit if there is none."""
        quote = self._grammar.content_end(self._text, place, limit)
        # Just before the limit, it may be the first half of an escaped one.
        return limit if quote + 1 == limit < len(self._text) else quote

    def _never_closed(self, between: _LinesBetween) -> int:
        """Where the record ends if there is no further quote."""
        next_line = between.line
        between.go_to(len(self._text))
        if between.count > VALUE_LINES and not between.read_well and not self._goes_on:
            return next_line
        end = between.next_record()
        self.is_open = end == len(self._text)
        return end

    def _reads_well(self, start: int) -> bool:
        """Whether a record with the right number of fields begins at a place."""
        text, grammar = self._text, self._grammar
        if grammar.record_at(text, start):
            return True
        if not self._is_end and _is_open(grammar, text, start):
            raise NeedsMoreError
        return False


class _LinesBetween:
    """The lines after the one on which a quoted field was opened.

    Attributes:
        line: the start of the first line that was not looked at yet.
        count: how many were.
    """

    def __init__(self, grammar: Grammar, text: str, start: int) -> None:
        self._grammar = grammar
        self._text = text
        self.count = self._records = 0
        self._first: int | None = None
        self.line = start

    def go_to(self, place: int) -> None:
        """Look at the lines before the one that has a place."""
        while self.line < len(self._text):
            self._pass_records(place)
            end = after_line(self._text, self.line)
            if end > place:
                return
            match = self._grammar.record_at(self._text, self.line)
            if match and match.end() == end:
                self._records += 1
                self._first = self.line if self._first is None else self._first
            self.count += 1
            self.line = end

    def _pass_records(self, place: int) -> None:
        """Count good records of one line each at once, as far as they follow each other."""
        line_end = line_end_before(self._text, self.line)
        if line_end:
            lines = self._grammar.lines_in(self._text)
            end = lines.end(self.line, line_end, place)
            if end > self.line:
                self._first = self.line if self._first is None else self._first
                count = lines.count(self.line, end, line_end)
                self._records += count
                self.count += count
                self.line = end

    @property
    def read_well(self) -> bool:
        """Whether most of the lines that were looked at are records, or there were none."""
        return self._records * 2 >= self.count

    def next_record(self) -> int:
        """Where the next record begins, if the field was never closed."""
        return self._first if self._first is not None and self.read_well else self.line


def after_line(text: str, place: int) -> int:
    """Where the line after the one that has a place begins."""
    match = LINE.match(text, place)
    return after_line_end(text, match.end() if match else len(text))


def after_line_end(text: str, place: int) -> int:
    """The place after a line end; the same place where none is."""
    if text.startswith("\r\n", place):
        return place + 2
    return place + 1 if text.startswith(("\r", "\n"), place) else place
