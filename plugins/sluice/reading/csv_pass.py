"""One pass over a delimited file: its records in batches, the broken ones beside them.

A stretch without quotes is taken apart by splitting; the rest by the dialect's patterns, which take
three times as long; only what neither reads is looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from re import Match

from sluice.reading.csv_blanks import BlankLines
from sluice.reading.csv_grammar import (
    RECORD_BYTES,
    Grammar,
    has_empty_field,
    has_only,
    line_end_before,
)
from sluice.reading.csv_recovery import (
    NeedsMoreError,
    Verdict,
    after_line,
    judge,
    stray_line_end,
    too_long_reason,
)
from sluice.reading.csv_window import Blocks, Window
from sluice.reading.headers import Header
from sluice.reading.lines import TextFile
from sluice.reading.records import BATCH_BYTES, RAW_CHARACTERS, BadRecord, Batch, Place

# A batch has no more records than this, which bounds its memory where records are short.
BATCH_RECORDS = 20_000

# A stretch without quotes is split from this length on; where quotes are denser, the patterns look
# at so much before the next such stretch is looked for.
PLAIN_CHARACTERS = 2048
PATTERN_CHARACTERS = 2048

# So much of a stretch without quotes goes to the patterns where splitting is not enough.
ODD_CHARACTERS = 1 << 16

# A record of so many characters may be too long in bytes.
LONG_CHARACTERS = RECORD_BYTES // 4


@dataclass(slots=True)
class _Building:
    """A batch that is being filled from one window, from a place in it on."""

    window: Window
    grammar: Grammar
    begin: int
    bad: list[BadRecord]
    numbers: list[int] = field(default_factory=list)
    rows: list[Sequence[str | None]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def is_full(self, position: int) -> bool:
        count = len(self.numbers) + len(self.bad)
        return count >= BATCH_RECORDS or position - self.begin >= BATCH_BYTES

    def batch(self) -> Batch:
        return Batch(self.numbers, self.rows, self._place, self.bad)

    def _place(self, index: int) -> Place:
        start = self.starts[index]
        match = self.grammar.record.match(self.window.text, start)
        end = match.start(self.grammar.width + 1) if match else start
        return self.window.place(self.numbers[index], start, end)


class Pass:
    """One pass over a delimited file."""

    def __init__(
        self,
        file: TextFile,
        pieces: Iterator[bytes],
        grammar: Grammar,
        header: Header,
        names: Sequence[str],
    ) -> None:
        """Pass over the header.

        Args:
            file: says the encoding, and where the pieces begin.
            pieces: the file's bytes.
            grammar: what a record is.
            header: what stands before the records.
            names: the names of the fields, for the reasons.
        """
        self._grammar = grammar
        self._comment = grammar.dialect.comment or ""
        self._names = names
        self._encoding = file.encoding
        self._blocks = Blocks(pieces, grammar.dialect)
        self._number = 1
        self._line_end = header.line_end  # what ended the record before
        self._blanks = BlankLines(grammar.width)
        self._late: list[BadRecord] = []  # for the next batch
        self._forced_at = -1  # where a record must be judged by what is there of it
        self._is_dropping = False  # the record at the window's end goes on, and is too long
        data = self._blocks.read(max(header.end, 1))[header.end :]
        self._window = self._window_of(data, file.start + header.end, 1 + header.lines)

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last."""
        position, text = 0, self._window.text
        while True:
            if position < len(text) and self._blanks.are_many and not self._is_passed(position):
                yield from self._blanks.batches()
            building = _Building(self._window, self._grammar, position, self._late)
            self._late = []
            position, needs_more = self._fill(building, position)
            if building.numbers or building.bad:
                yield building.batch()
            if needs_more or position >= len(text):
                if self._window.is_last and not needs_more:
                    return
                position = self._go_on(position)
                text = self._window.text

    # -- the window ---------------------------------------------------------------------------

    def _window_of(self, data: bytes, offset: int, line: int) -> Window:
        return Window(data, self._encoding, offset, line, is_last=self._blocks.is_done)

    def _is_end(self, position: int) -> bool:
        """Whether the record at a place has to be judged by what there is of it."""
        return self._window.is_last or position == self._forced_at

    def _go_on(self, position: int) -> int:
        """Let the window begin at a place and have more of the file; gives the place in it."""
        window = self._window
        if self._is_dropping:
            self._drop(is_quoted=True)
            return 0
        rest = window.data(position, len(window.text))
        if len(rest) <= RECORD_BYTES and not self._blocks.is_overlong:
            data = self._blocks.read(max(len(rest), 1))
            if data or not self._blocks.is_overlong:
                self._window = self._window_of(rest + data, *window.locate(position))
                return 0
        if rest:
            self._forced_at = position
            return position
        offset, line = window.locate(position)
        raw = self._drop(is_quoted=None)
        place = Place(self._number, raw[: RAW_CHARACTERS + 1], line=line, offset=offset)
        self._late.append(BadRecord(place, "too_long", too_long_reason()))
        self._number += 1
        return 0

    def _drop(self, *, is_quoted: bool | None) -> str:
        """Pass over what is left of a record that is too long; gives its beginning."""
        offset, line = self._window.locate(len(self._window.text))
        shown, size, lines = self._blocks.drop_record(is_quoted=is_quoted)
        self._window = self._window_of(b"", offset + size, line + lines)
        self._is_dropping = False
        return shown.decode(self._encoding, "backslashreplace").replace("\0", "\\x00")

    # -- records ------------------------------------------------------------------------------

    def _fill(self, building: _Building, position: int) -> tuple[int, bool]:
        """Add records to a batch; gives the place after them, and whether it needs more text."""
        text, quote = self._window.text, self._grammar.quote
        while position < len(text) and not building.is_full(position):
            special = text.find(quote, position) if quote else -1
            special = min(
                len(text) if special < 0 else special, self._window.next_suspect(position)
            )
            limit = min(position + PATTERN_CHARACTERS, len(text))
            if special - position > PLAIN_CHARACTERS:
                limit = self._line_start(position, min(special, position + BATCH_BYTES))
                end = self._add_plain(building, position, limit)
                if end > position:
                    position = end
                    continue
                limit = min(limit, position + ODD_CHARACTERS)
            end, needs_more = self._add_records(building, position, max(limit, position + 1))
            if needs_more or end == position:
                return end, needs_more
            position = end
        return position, False

    def _line_start(self, start: int, place: int) -> int:
        """Where the line begins that has a place; ``start`` if it begins before that."""
        text = self._window.text
        if place >= len(text):
            return len(text)
        end = max(text.rfind("\n", start, place), text.rfind("\r", start, place)) + 1
        return max(start, end + text.startswith("\r\n", end - 1)) if end else start

    def _add_plain(self, building: _Building, start: int, end: int) -> int:
        """Add the records between two places where no quote is; gives the place after them.

        That is ``start`` where splitting is not enough, and the patterns have to do it.
        """
        delimiter, line_end = self._grammar.delimiter, self._line_end
        piece = self._window.text[start:end]
        if self._grammar.dialect.trailing_delimiter or self._blanks:
            return start
        if not has_only(piece, line_end) or self._has_comment(piece):
            return start
        if self._grammar.width > 1 and (piece.startswith(line_end) or line_end * 2 in piece):
            return start
        lines = piece.split(line_end)
        if len(lines) > BATCH_RECORDS:
            del lines[BATCH_RECORDS:]
        elif not lines[-1]:
            lines.pop()
        rows: list[Sequence[str | None]] = [line.split(delimiter) for line in lines]
        starts = list(accumulate(map(len(line_end).__add__, map(len, lines)), initial=start))
        if has_empty_field(piece, delimiter, line_end) or "" in lines:
            rows = [[value or None for value in row] if "" in row else row for row in rows]
        end = min(starts.pop(), end)
        self._add_rows(building, rows, starts)
        return end

    def _add_rows(
        self, building: _Building, rows: list[Sequence[str | None]], starts: list[int]
    ) -> None:
        """Add consecutive records, those with the wrong number of fields as bad ones."""
        numbers: Sequence[int] = range(self._number, self._number + len(rows))
        self._number += len(rows)
        width = self._grammar.width
        ragged = [index for index, count in enumerate(map(len, rows)) if count != width]
        for index in ragged:
            text = self._window.text
            verdict = judge(self._grammar, self._names, text, starts[index], is_end=True)
            building.bad.append(self._bad_record(numbers[index], starts[index], verdict))
        if ragged:
            broken = set(ragged)
            whole = [index for index in range(len(rows)) if index not in broken]
            rows = [rows[index] for index in whole]
            starts = [starts[index] for index in whole]
            numbers = [numbers[index] for index in whole]
        building.rows += rows
        building.starts += starts
        building.numbers += numbers

    def _add_records(self, building: _Building, position: int, limit: int) -> tuple[int, bool]:
        """Add records up to a place; gives the place after them, and whether it needs more text."""
        while position < limit and not building.is_full(position):
            if not self._blanks:
                position = self._add_whole(building, position, limit)
                if position >= limit:
                    break
            try:
                end = self._add_other(building, position)
            except NeedsMoreError:
                return position, True
            if end == position:
                break
            position = end
        return position, False

    def _add_whole(self, building: _Building, position: int, limit: int) -> int:
        """Add the records about which there is nothing to ask; gives the place after them."""
        text, line_end, comment = self._window.text, self._line_end, self._comment
        quote, doubled, value = self._grammar.quote, self._grammar.doubled, self._grammar.value
        suspect = self._window.next_suspect(position)
        rows, numbers, starts = building.rows, building.numbers, building.starts
        number = self._number
        for match in self._grammar.record.finditer(text, position):
            end = match.end()
            groups = match.groups()
            if groups[-1] != line_end or end > suspect or end - position > LONG_CHARACTERS:
                break
            if comment and text.startswith(comment, position):
                break
            rows.append(
                [
                    (one if one[0] != quote else one[1:-1].replace(doubled, quote)) if one else None
                    for one in groups[:-1]
                ]
                if doubled  # without a call for each value, a third faster
                else [value(one) for one in groups[:-1]]
            )
            numbers.append(number)
            starts.append(position)
            number += 1
            position = end
            if end >= limit:
                break
        self._number = number
        return position

    def _add_other(self, building: _Building, position: int) -> int:
        """Add what is not simply a record; gives the place after it.

        That is the same place where empty lines before it have to be reported first.
        """
        text = self._window.text
        if self._comment and text.startswith(self._comment, position):
            return after_line(text, position)
        if text[position] in "\r\n" and self._grammar.written_width > 1:
            end, count = self._blanks.keep(self._window, position, self._number)
            self._number += count
            self._line_end = line_end_before(text, end)
            return end
        if self._blanks:
            if self._blanks.are_many:
                return position
            building.bad += self._blanks.records()
        match = self._grammar.record.match(text, position)
        if match and match.lastindex:
            return self._add_odd(building, position, match)
        verdict = judge(
            self._grammar,
            self._names,
            text,
            position,
            is_end=self._is_end(position),
            goes_on=not self._window.is_last,
        )
        if verdict.fields is not None:
            verdict = self._stray(position, verdict.end, len(verdict.fields)) or verdict
        elif verdict.is_open and not self._window.is_last:
            self._is_dropping = True
            verdict = replace(verdict, code="too_long", reason=too_long_reason(verdict.reason))
        return self._add_bad(building, position, verdict)

    def _add_odd(self, building: _Building, position: int, match: Match[str]) -> int:
        """Add a record that is whole, but may not be good for another reason."""
        grammar = self._grammar
        written, ended = match.groups()[:-1], match.groups()[-1]
        verdict = self._stray(position, match.end(), grammar.written_width)
        if verdict is None and self._window.next_suspect(position) < match.end():
            verdict = self._no_text(position, match)
        size = self._window.size(position, match.end())
        if verdict is None and size > RECORD_BYTES:
            verdict = Verdict(match.end(), "too_long", too_long_reason())
        if verdict is not None:
            return self._add_bad(building, position, verdict)
        building.rows.append([grammar.value(one) for one in written])
        building.numbers.append(self._number)
        building.starts.append(position)
        self._number += 1
        self._line_end = ended or self._line_end
        return match.end()

    # -- bad records ----------------------------------------------------------------------------

    def _add_bad(self, building: _Building, start: int, verdict: Verdict) -> int:
        building.bad.append(self._bad_record(self._number, start, verdict))
        self._number += 1
        self._line_end = line_end_before(self._window.text, verdict.end) or self._line_end
        return verdict.end

    def _bad_record(self, number: int, start: int, verdict: Verdict) -> BadRecord:
        end = verdict.end - len(line_end_before(self._window.text, verdict.end))
        if verdict.code == "too_long":
            end = min(end, start + RAW_CHARACTERS + 1)
        index = verdict.field
        column = self._names[index] if index is not None and index < len(self._names) else None
        place, fields = self._window.place(number, start, end), verdict.fields
        if fields is not None:
            fields = tuple(one and self._window.escaped(one) for one in fields)
        return BadRecord(place, verdict.code, verdict.reason, column, fields)

    def _stray(self, start: int, end: int, count: int) -> Verdict | None:
        """What the record between two places begins, if a stray line end divides it."""
        text, before = self._window.text, self._line_end
        ended = line_end_before(text, end)
        if ended in ("", before) or not before or self._grammar.width == 1:
            return None
        return stray_line_end(
            self._grammar, text, end, count, before=before, is_end=self._is_end(start)
        )

    def _no_text(self, start: int, match: Match[str]) -> Verdict:
        """A record with a NUL byte, or with bytes that are no text."""
        text, window = match.string, self._window
        place = window.next_suspect(start)
        index = next(one for one in range(self._grammar.width + 1) if match.end(one + 1) > place)
        index = min(index, self._grammar.width - 1)
        where = f"field {index + 1} ({self._names[index]})"
        fields = tuple(map(self._grammar.value, match.groups()[:-1]))
        if text[place] == "\0":
            return Verdict(match.end(), "nul_byte", f"A NUL byte in {where}.", index, fields)
        reason = f"Byte 0x{ord(text[place]) & 0xFF:02X} in {where} is no text in {self._encoding}."
        return Verdict(match.end(), "bad_encoding", reason, index, fields)

    def _is_passed(self, position: int) -> bool:
        """Whether at a place is an empty line or a comment."""
        text = self._window.text
        is_comment = bool(self._comment) and text.startswith(self._comment, position)
        return is_comment or text[position] in "\r\n"

    def _has_comment(self, piece: str) -> bool:
        """Whether a line of a stretch is a comment."""
        comment = self._comment
        if not comment:
            return False
        return piece.startswith(comment) or self._line_end + comment in piece
