"""How a delimited file is taken apart: delimiter, quote and escape, by the majority of its records.

Each way of writing that the text may be in is tried on a sample. A way is worth the share of the
sample's records that it takes apart into one same number of fields, times how much these fields
look like values. No single record can change the outcome, however it is broken.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sluice.errors import DeliveryError

# Which delimiters are tried, and what a file written with each is worth against the others. Spaces
# and colons stand within values everywhere (times, sentences), so they need much better evidence.
DELIMITERS: dict[str, float] = {
    ",": 0.97,
    ";": 0.97,
    "\t": 0.97,
    "|": 0.97,
    "\x1f": 0.97,
    "\x01": 0.97,
    "^": 0.9,
    "~": 0.9,
    " ": 0.7,
    ":": 0.6,
}

# Delimiters that prose has as well: taken only where this share of the fields are plain values;
# with two fields only where the first record has two as well.
WEAK_DELIMITERS = " :"
VALUE_SHARE = 0.3

# How many lines of the sample must hold a delimiter for it to be tried, and how many of its records
# must come out alike; with fewer, the records have a single field each.
LEAST_SHARE = 0.2

# One record alone is no evidence of how the others are written.
LEAST_EVIDENCE = 2

# What it adds to a way of writing that it gives as many fields as the registry has columns.
EXPECTED_WEIGHT = 1.5

# How many records are looked at for what their fields look like.
RECORDS_SCORED = 200

VALUE = re.compile(
    r"""
    [+-]?[$€£¥]?[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?\s?[%$€£¥]?  # numbers, money, shares
    | \d{1,4}([-/.])\d{1,2}\1\d{1,4}                             # dates, with or without a time
      (?:[T\s]\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?
    | \d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:\s?[AaPp][Mm])?       # times
    | [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}         # UUIDs
    | https?://\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | [A-Za-z]{1,6}-?\d+ | (?i:true | false | null | n/?a)
    """,
    re.VERBOSE,
)

# Within a value a delimiter stands before a space, as in a sentence. Elsewhere it looks as if the
# text had been cut at the wrong place.
LEFT_OVER = re.compile(r"[;|\t\x1f\x01][^\s]|,[^\s]|^\s|\s$|\"")


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One record of the sample, as one way of writing takes it apart.

    Attributes:
        fields: its fields without their quotes; None where it cannot be taken apart.
        first_line: the line on which it begins, the first is 0.
        lines: how many lines it takes.
        text: the record as it stands.
    """

    fields: tuple[str, ...] | None
    first_line: int
    lines: int
    text: str

    @property
    def width(self) -> int:
        """How many fields it has; 0 where it cannot be taken apart."""
        return len(self.fields) if self.fields is not None else 0

    @property
    def is_blank(self) -> bool:
        """Whether it is an empty line."""
        return not self.text.strip()


@dataclass(frozen=True)
class Structure:
    """A sample taken apart in one way.

    Attributes:
        delimiter: the character between two fields.
        quote: the character around a field; None where there is none.
        escape: the character before a quote within quotes; None where quotes are doubled.
        records: the sample's records.
        expected: how many fields a record should have, if that is known.
        is_spaced: whether spaces after a delimiter belong to it.
    """

    delimiter: str
    quote: str | None
    escape: str | None
    records: tuple[SampleRecord, ...]
    expected: int | None = None
    is_spaced: bool = False

    @cached_property
    def width(self) -> int:
        """The number of fields that most records have.

        Records of a single field may be titles and notes above and below a table: only those
        between the others count against them. The number that is expected needs no majority.
        """
        widths = [record.width for record in self.records if not record.is_blank]
        counts = Counter(width for width in widths if width)
        least = max(1, self.count * LEAST_SHARE)
        if self.expected and counts[self.expected] >= least:
            return self.expected
        wide = [width for width, count in counts.most_common() if width > 1 and count >= least]
        if not wide:
            return 1
        first, last = widths.index(wide[0]), len(widths) - widths[::-1].index(wide[0])
        return wide[0] if widths[first:last].count(1) <= counts[wide[0]] else 1

    @cached_property
    def regular(self) -> tuple[SampleRecord, ...]:
        """The records that have as many fields as most."""
        return tuple(record for record in self.records if record.width == self.width)

    @cached_property
    def count(self) -> int:
        """How many records there are, without empty lines."""
        return sum(not record.is_blank for record in self.records)

    @property
    def is_unread(self) -> bool:
        """Whether most records cannot be taken apart at all."""
        return sum(record.fields is None for record in self.records) * 2 > self.count

    @cached_property
    def score(self) -> float:
        """What this way is worth, from 0 to 1."""
        if not self.regular or self.count == 0:
            return 0.0
        share = len(self.regular) / self.count
        fits = EXPECTED_WEIGHT if self.width == self.expected else 1.0
        return share * (1 - 1 / (2 * self.width)) * self._look * fits

    @property
    def _look(self) -> float:
        """How much the fields look like whole values, from 0 to 1."""
        step = max(1, len(self.regular) // RECORDS_SCORED)
        fields = [field for record in self.regular[::step] for field in record.fields or ()]
        if self.delimiter in WEAK_DELIMITERS:
            values = sum(VALUE.fullmatch(field) is not None for field in fields)
            is_first_alike = self.width > 2 or self.records[0].width == self.width
            if values < len(fields) * VALUE_SHARE or not is_first_alike:
                return 0.0
        return sum(_look(field) for field in fields) / len(fields)


def find_structure(text: str, preferred: str, expected: int | None = None) -> Structure:
    """The way of writing that takes most of the sample apart alike.

    Args:
        text: the sample, with line feeds as its line ends.
        preferred: the delimiter that the format is named after; taken unless another is better.
        expected: how many fields a record should have, if that is known.

    Raises:
        DeliveryError: most lines have quotes around fields, and no way takes them apart.
    """
    lines = text.split("\n")
    best = _best_quoting(text, lines, preferred, expected)
    best_score = best.score if best.width > 1 or best.width == expected else 0.0
    for delimiter in _delimiters(lines):
        structure = _best_quoting(text, lines, delimiter, expected)
        weight = 1.0 if delimiter == preferred else DELIMITERS[delimiter]
        if structure.width > 1 and structure.score * weight > best_score:
            best, best_score = structure, structure.score * weight
    if best.width == 1 or best.quote is None:
        _refuse_unread_quotes(text, lines)
    if best.width == 1 and preferred in text and len(best.regular) * 2 > best.count:
        return _undivided(text, lines, best, expected)
    return best


def in_one_way(text: str, delimiter: str, expected: int | None = None) -> Structure:
    """The sample taken apart at the one delimiter that is known to be it."""
    return _best_quoting(text, text.split("\n"), delimiter, expected)


def _refuse_unread_quotes(text: str, lines: Sequence[str]) -> None:
    """Refuse fields with quotes around them that would be loaded with the quotes.

    A quote begins a field and one ends a field in most lines, but what is between them is no field:
    most records would be taken for single values, or be divided within them.

    Raises:
        DeliveryError: that is so with one of the delimiters.
    """
    written = [line for line in lines if line.strip()]
    for delimiter in _delimiters(lines):
        edge = re.escape(delimiter)
        opening, closing = re.compile(rf'(?:^|{edge})"'), re.compile(rf'"(?:{edge}|$)')
        quoted = sum(
            delimiter in line and bool(opening.search(line) and closing.search(line))
            for line in written
        )
        if quoted < max(LEAST_EVIDENCE, len(written) / 2) or delimiter in WEAK_DELIMITERS:
            continue
        records = tuple(_records(text, lines, delimiter, '"', None, is_spaced=False))
        if Structure(delimiter, '"', None, records).is_unread:
            raise DeliveryError(
                f"Quotes stand around fields between {delimiter!r} in {quoted} of {len(written)}"
                " lines, but most of them also have quotes within, neither doubled nor escaped.",
                code="bad_quotes",
                remedy="Declare the dialect (delimiter, quote, escape), or double these quotes.",
            )


def _undivided(text: str, lines: Sequence[str], best: Structure, expected: int | None) -> Structure:
    """Records of a single field, with a delimiter that does not stand in any of them."""
    absent = next((each for each in DELIMITERS if each not in text), None)
    return best if absent is None else _best_quoting(text, lines, absent, expected)


def _delimiters(lines: Sequence[str]) -> Iterator[str]:
    """The delimiters that a good part of the lines have."""
    written = [line for line in lines if line.strip()]
    for delimiter in DELIMITERS:
        if sum(delimiter in line for line in written) > len(written) * LEAST_SHARE:
            yield delimiter


def _best_quoting(
    text: str, lines: Sequence[str], delimiter: str, expected: int | None
) -> Structure:
    """The best way to take a sample apart at one delimiter."""
    quote = _quote_of(text, lines, delimiter)
    is_spaced = quote is not None and _is_spaced(lines, delimiter, quote)

    def written(quote: str | None, escape: str | None) -> Structure:
        records = tuple(_records(text, lines, delimiter, quote, escape, is_spaced=is_spaced))
        return Structure(delimiter, quote, escape, records, expected, is_spaced)

    doubled = written(quote, None)
    if quote is None or f"\\{quote}" not in text:
        return doubled
    escaped = written(quote, "\\")
    is_better = len(escaped.regular) >= len(doubled.regular) + LEAST_EVIDENCE
    # Where doubled quotes take most records apart, some escapes do not change their width.
    is_possible = escaped.width == doubled.width or (doubled.is_unread and not escaped.is_unread)
    return escaped if is_better and is_possible else doubled


def _is_spaced(lines: Sequence[str], delimiter: str, quote: str) -> bool:
    """Whether most quoted fields stand after a delimiter and a space, in several lines.

    Spaces before a value without quotes are no evidence: they may be part of it. Nor is prose with
    direct speech, which the first line as a title or name of its column does not have.
    """
    first = next((line for line in lines if line.strip()), "")
    if delimiter.isspace() or delimiter not in first:
        return False
    after_space = sum(f"{delimiter} {quote}" in line for line in lines)
    at_once = sum(f"{delimiter}{quote}" in line for line in lines)
    return after_space >= LEAST_EVIDENCE and after_space > at_once


def _quote_of(text: str, lines: Sequence[str], delimiter: str) -> str | None:
    """Which character stands around fields, by how many lines have a field properly within it.

    Without any such line it is the quotation mark, as RFC 4180 has it, unless that stands within
    values in several lines and begins none: then it is one of their characters and no quote.
    """
    edge = re.escape(delimiter)
    apostrophes = _quoted_lines(lines, edge, "'")
    if apostrophes >= LEAST_EVIDENCE and apostrophes > _quoted_lines(lines, edge, '"'):
        opened = sum(re.search(rf"(?:^|{edge})'", line) is not None for line in lines)
        if apostrophes * 2 > opened:
            return "'"
    begins_field = re.search(rf'(?:^|{edge})[ \t]*"', text, re.MULTILINE)
    if begins_field or sum('"' in line for line in lines) <= LEAST_EVIDENCE:
        return '"'
    return None


def _quoted_lines(lines: Sequence[str], edge: str, quote: str) -> int:
    """How many lines have a field that begins and ends with a quote."""
    inner = rf"(?:[^{quote}\\]++|{quote}{quote}|\\{quote}?+)*+"
    field = re.compile(rf"(?:^|(?<={edge})){quote}{inner}{quote}(?={edge}|$)")
    return sum(quote in line and field.search(line) is not None for line in lines)


def _records(
    text: str,
    lines: Sequence[str],
    delimiter: str,
    quote: str | None,
    escape: str | None,
    *,
    is_spaced: bool,
) -> Iterator[SampleRecord]:
    """The records of a sample; a line that no record begins on is a record that is broken.

    After a broken record the next line is tried: an open quote never takes the rest along.
    """
    field = _field(delimiter, quote, escape) if quote else None
    between = re.compile(re.escape(delimiter) + (r"\ *+" if is_spaced else ""))
    number, start = 0, 0
    while number < len(lines):
        line = lines[number]
        end, fields = start + len(line), None
        if field is None or quote is None or quote not in line:
            fields = tuple(between.split(line) if is_spaced else line.split(delimiter))
        else:
            taken = _quoted_record(text, start, field, between, quote, escape)
            if taken is not None:
                end, fields = taken
        record_text = text[start:end]
        height = record_text.count("\n") + 1
        if number + 1 < len(lines) or record_text:  # what follows the last line end is no record
            yield SampleRecord(fields, number, height, record_text)
        number += height
        start = end + 1


def _field(delimiter: str, quote: str, escape: str | None) -> re.Pattern[str]:
    """Matches a field, quoted or not, up to its delimiter or line end."""
    edge, mark = re.escape(delimiter), re.escape(quote)
    if escape is None:
        inner = rf"(?:[^{mark}]++|{mark}{mark})*+"
    else:
        sign = re.escape(escape)
        inner = rf"(?:[^{mark}{sign}]++|{sign}[{mark}{sign}]?+)*+"
    return re.compile(rf"(?:{mark}({inner}){mark}|([^{edge}{mark}\n]*+))(?={edge}|\n|\Z)")


def _quoted_record(
    text: str,
    start: int,
    field: re.Pattern[str],
    between: re.Pattern[str],
    quote: str,
    escape: str | None,
) -> tuple[int, tuple[str, ...]] | None:
    """Where a record ends, and its fields; None where it cannot be taken apart."""
    fields = []
    position = start
    while match := field.match(text, position):
        quoted, plain = match.groups()
        fields.append(plain if quoted is None else _unescaped(quoted, quote, escape))
        position = match.end()
        delimiter = between.match(text, position)
        if delimiter is None:
            return position, tuple(fields)
        position = delimiter.end()
    return None


def _unescaped(quoted: str, quote: str, escape: str | None) -> str:
    if escape is None:
        return quoted.replace(quote * 2, quote)
    sign = re.escape(escape)
    return re.sub(rf"{sign}([{sign}{re.escape(quote)}])", r"\1", quoted)


def _look(field: str) -> float:
    if not field or VALUE.fullmatch(field):
        return 1.0
    return 0.3 if LEFT_OVER.search(field) else 0.85
