"""One pass over a delimited file: its records in batches, the broken ones beside them.

Records of one line each, with the right number of fields, are found by one call for as many as
follow each other, and stay as they are written; every other record is looked at by itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from re import Match

import numpy as np

from sluice.reading.csv_blanks import BlankLines, no_place
from sluice.reading.csv_grammar import LINE_END, RECORD_BYTES, Grammar, line_end_before
from sluice.reading.csv_lines import Places
from sluice.reading.csv_recovery import (
    NeedsMoreError,
    Verdict,
    after_line,
    judge,
    stray_line_end,
    too_long_reason,
)
from sluice.reading.csv_repeats import repeated_in_text
from sluice.reading.csv_window import Blocks, Window
from sluice.reading.fields import WrittenRecords
from sluice.reading.headers import Header
from sluice.reading.lines import TextFile
from sluice.reading.records import BATCH_BYTES, RAW_CHARACTERS, BadRecord, Batch, Place

# A batch has no more records than this, which bounds its memory where records are short.
BATCH_RECORDS = 20_000

# A record of so many characters may be too long in bytes.
LONG_CHARACTERS = RECORD_BYTES // 4

REPEATED = "The values are the names of the columns: it is the header once more."


_Places = Places | list[int]


class _Building:
    """A batch that is being filled from one window, from a place in it on."""

    def __init__(self, window: Window, grammar: Grammar, begin: int, bad: list[BadRecord]) -> None:
        self.bad = bad
        self._window = window
        self._grammar = grammar
        self._begin = begin
        self._count = 0
        # Numbers; places in the window, and beginnings and ends in all pieces together.
        self._chunks: list[tuple[_Places, _Places, _Places, _Places]] = []
        self._singles: tuple[list[int], list[int], list[int], list[int]] | None = None
        self._pieces: list[str] = []
        self._size = 0
        self._are_lines = True

    def is_full(self, position: int) -> bool:
        count = self._count + len(self.bad)
        return count >= BATCH_RECORDS or position - self._begin >= BATCH_BYTES

    def add_lines(self, number: int, start: int, end: int, line_end: str) -> tuple[int, int]:
        """Add records of one line each; gives the number and the place after them.

        There may be more of them than there is room for.
        """
        text = self._window.text
        starts, ends = self._grammar.lines_in(text).spans(start, end, line_end)
        if len(starts) > BATCH_RECORDS:
            end = int(starts[BATCH_RECORDS])
            starts, ends = starts[:BATCH_RECORDS], ends[:BATCH_RECORDS]
        piece, begins, ends = text[start:end], starts - start, ends - start
        if self._grammar.dialect.trailing_delimiter:
            piece = piece.replace(self._grammar.delimiter + line_end, line_end)
            cut_off = np.arange(len(starts))
            begins, ends = begins - cut_off, ends - cut_off - 1
        if line_end == "\r":
            piece = piece.replace(line_end, "\n")
        numbers = np.arange(number, number + len(starts))
        self._chunks.append((numbers, starts, begins + self._size, ends + self._size))
        self._singles = None
        self._add(piece, len(starts))
        return number + len(starts), end

    def add_record(self, number: int, start: int, written: str, line_end: str) -> int:
        """Add a record as it is written in the bare grammar; gives the number after it."""
        if self._singles is None:
            self._singles = [], [], [], []
            self._chunks.append(self._singles)
        places = (number, start, self._size, self._size + len(written))
        for each, place in zip(self._singles, places, strict=True):
            each.append(place)
        self._are_lines = self._are_lines and not LINE_END.search(written)
        self._add(written + (line_end if line_end == "\r\n" else "\n"), 1)
        return number + 1

    def _add(self, piece: str, count: int) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        self._count += count

    def batch(self) -> Batch | None:
        """What was added; None for nothing."""
        if not self._count:
            return Batch([], [], no_place, self.bad) if self.bad else None
        numbers, starts, begins, ends = (
            np.concatenate(each, dtype=np.int64) for each in zip(*self._chunks, strict=True)
        )
        records = WrittenRecords(
            "".join(self._pieces), begins, ends, self._grammar.bare, are_lines=self._are_lines
        )
        counted = array("q", numbers.tobytes())  # Python's integers for whoever takes one out
        window, record_at = self._window, self._grammar.record_at
        end_group = self._grammar.width + 1

        def place(index: int) -> Place:
            start = int(starts[index])
            match = record_at(window.text, start)
            end = match.start(end_group) if match else start
            return window.place(counted[index], start, end)

        return Batch(counted, records, place, self.bad)


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
        self._header_again = repeated_in_text(names, grammar.dialect)
        self._file = file
        self._blocks = Blocks(pieces, grammar.dialect)
        self._number = 1
        self._line_end = header.line_end  # what ended the record before
        self._blanks = BlankLines(grammar.width)
        self._late: list[BadRecord] = []  # for the next batch
        self._lines_until = 0  # up to here, the window's records are one good line each
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
            batch = building.batch()
            if batch:
                yield batch
            if needs_more or position >= len(text):
                if self._window.is_last and not needs_more:
                    return
                position = self._go_on(position)
                text = self._window.text

    # -- the window ---------------------------------------------------------------------------

    def _window_of(self, data: bytes, offset: int, line: int) -> Window:
        self._lines_until = 0
        return Window(
            data,
            self._file.encoding,
            offset,
            line,
            is_last=self._blocks.is_done,
            is_transcoded=bool(self._file.transcoded_from),
        )

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
        return self._file.shown(shown).replace("\0", "\\x00")

    # -- records ------------------------------------------------------------------------------

    def _fill(self, building: _Building, position: int) -> tuple[int, bool]:
        """Add records to a batch; gives the place after them, and whether it needs more text."""
        text = self._window.text
        while position < len(text) and not building.is_full(position):
            end = position if self._blanks else self._add_lines(building, position)
            if end == position:
                try:
                    end = self._add_other(building, position)
                except NeedsMoreError:
                    return position, True
            if end == position:
                break
            position = end
        return position, False

    def _add_lines(self, building: _Building, start: int) -> int:
        """Add the records about which there is nothing to ask; gives the place after them."""
        text, line_end = self._window.text, self._line_end
        if self._grammar.bare is not self._grammar:
            return start  # no record can be passed on as it is written
        if line_end and start >= self._lines_until:
            limit = min(self._window.next_suspect(start), len(text))
            self._lines_until = self._grammar.lines_in(text).end(start, line_end, limit)
        end = self._lines_until
        if end > start + BATCH_BYTES:
            cut = text.rfind(line_end, start, start + BATCH_BYTES)
            end = (cut if cut >= 0 else text.index(line_end, start)) + len(line_end)
        if self._header_again is not None and end > start:
            again = self._header_again.find(text, start, end)
            end = again if again >= 0 else end
        if end <= start or end - start > LONG_CHARACTERS:
            return start
        self._number, end = building.add_lines(self._number, start, end, line_end)
        return end

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
        match = self._grammar.record_at(text, position)
        if match:
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
            stray = self._stray(position, verdict.end, len(verdict.fields))
            verdict = stray or self._damaged(position, verdict)
        elif verdict.is_open and not self._window.is_last:
            self._is_dropping = True
            verdict = replace(verdict, code="too_long", reason=too_long_reason(verdict.reason))
        return self._add_bad(building, position, verdict)

    def _add_odd(self, building: _Building, position: int, match: Match[str]) -> int:
        """Add a record that is whole, but may not be good for another reason."""
        grammar, text = self._grammar, self._window.text
        ended = match.groups()[-1]
        verdict = self._stray(position, match.end(), grammar.written_width)
        if verdict is None and self._window.next_suspect(position) < match.end():
            verdict = self._no_text(position, match)
        size = self._window.size(position, match.end())
        if verdict is None and size > RECORD_BYTES:
            verdict = Verdict(match.end(), "too_long", too_long_reason())
        if verdict is None and self._header_again and self._header_again.is_at(text, position):
            fields = tuple(map(grammar.value, match.groups()[:-1]))
            verdict = Verdict(match.end(), "repeated_header", REPEATED, fields=fields)
        if verdict is not None:
            return self._add_bad(building, position, verdict)
        whole = text[position : match.end(grammar.width)]
        if grammar.bare is not grammar:
            whole = grammar.delimiter.join(match.groups()[:-1])
        self._line_end = ended or self._line_end
        self._number = building.add_record(self._number, position, whole, self._line_end)
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
        reason = self._damage(place, where)
        return Verdict(match.end(), "bad_encoding", reason, index, fields)

    def _damaged(self, start: int, verdict: Verdict) -> Verdict:
        """A verdict on the number of fields, which bytes that are no text may have changed."""
        place = self._window.next_suspect(start)
        if place >= verdict.end or self._window.text[place] == "\0":
            return verdict
        reason = f"{self._damage(place, 'it')} {verdict.reason}"
        return replace(verdict, code="bad_encoding", reason=reason)

    def _damage(self, place: int, where: str) -> str:
        # Of a file that was decoded before, the byte is not what stands here.
        number = f" 0x{ord(self._window.text[place]) & 0xFF:02X}"
        byte = "A byte" if self._file.transcoded_from else f"Byte{number}"
        return (
            f"{byte} in {where} is no text in {self._file.transcoded_from or self._file.encoding}."
        )

    def _is_passed(self, position: int) -> bool:
        """Whether at a place is an empty line or a comment."""
        text = self._window.text
        is_comment = bool(self._comment) and text.startswith(self._comment, position)
        return is_comment or text[position] in "\r\n"
