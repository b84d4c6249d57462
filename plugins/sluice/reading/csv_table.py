"""Where the table in a delimited file begins: lines before it, its header, what ends each record.

Evidence are the names of the registry's columns, and how the values of each column look: digits
grouped in the same way, such as 9/9/9 for dates. A first record whose values look like those below
it is no header; rows that look different, in every column that has a look, are headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from sluice.errors import DeliveryError
from sluice.reading.csv_looks import are_years, column_looks, is_all_numbers, is_unlike_all, look_of
from sluice.reading.csv_names import has_names, named_columns
from sluice.reading.csv_structure import LEAST_EVIDENCE, SampleRecord, Structure
from sluice.registry import Column, Source
from sluice.registry.masking import has_masks

# A header stands further down than this only in files that are no tables.
HEADER_SEARCH = 100

# More rows than this in a header were never seen; each needs the same evidence as the first.
MOST_HEADER_ROWS = 4

# With fewer records below them, rows that look unlike each other are no evidence of anything.
LEAST_BELOW = 3

COMMENT_SIGNS = "#%!"

DECLARED_LOOKS = {
    "bigint": re.compile(r"\s*[+-]?[\d., '_]+\s*"),
    "double": re.compile(r"\s*[+-]?[\d., '_]+(?:[eE][+-]?\d+)?\s*"),
    "decimal": re.compile(r"\s*[+-]?[\d., '_]+(?:[eE][+-]?\d+)?\s*"),
    "date": re.compile(r".*\d.*"),
    "time": re.compile(r".*\d.*"),
    "timestamp": re.compile(r".*\d.*"),
    "bool": re.compile(r"(?i:t|f|true|false|y|n|yes|no|on|off|0|1)"),
    "json": re.compile(r"(?s:\s*[\[{].*)"),
}


@dataclass(frozen=True, slots=True)
class TableFound:
    """Where a table begins, and what its records have in common.

    Attributes:
        skip_lines: how many lines to pass over: those before the header, and the header too where
            ``names`` are given.
        header: whether the next record names the fields.
        names: the names, where the next record does not give them and they are known.
        trailing_delimiter: whether each record ends with a delimiter that no field follows.
        comment: the character that begins lines that are no records.
        notes: what was found, in sentences.
    """

    skip_lines: int
    header: bool
    names: tuple[str, ...] | None
    trailing_delimiter: bool
    comment: str | None
    notes: tuple[str, ...]


def find_table(structure: Structure, source: Source | None) -> TableFound:
    """Where the table begins in a sample.

    Args:
        structure: the sample, taken apart.
        source: whose columns are evidence; None where none are declared.

    Raises:
        DeliveryError: it is not clear which rows are the header.
    """
    comment = _comment_sign(structure)
    records = [
        record
        for record in structure.records
        if not record.is_blank and not (comment and record.text.startswith(comment))
    ]
    notes = [f"Lines that begin with {comment!r} are comments."] if comment else []
    position = _declared_header(records, source)
    if position is None:
        position = _likely_header(records, structure.width, source)
    broken = _broken_header(records, structure.width, source) if position is None else None
    if broken is not None:
        # Not the registry's order: the order of the columns is what the file says in it.
        notes.append(f"The header is line {broken.first_line + 1}, and is broken.")
        return TableFound(broken.first_line, True, None, False, comment, tuple(notes))
    if position is None:
        top = next(iter(_tops(records, structure.width)), 0)
        _refuse_header_below(records, top + 1, structure.width)
        return _without_header(structure, records, source, comment, notes)
    return _with_header(structure, records, position, source, comment, notes)


def _comment_sign(structure: Structure) -> str | None:
    """The sign that begins several lines, none of them a record; at least one within the table."""
    if structure.width == 1 or not structure.regular:
        return None
    table_line = structure.regular[0].first_line
    for sign in COMMENT_SIGNS:
        signed = [record for record in structure.records if record.text.startswith(sign)]
        is_within = any(record.first_line > table_line for record in signed)
        if (
            len(signed) >= LEAST_EVIDENCE
            and is_within
            and all(record.width != structure.width for record in signed)
        ):
            return sign
    return None


def _declared_header(records: Sequence[SampleRecord], source: Source | None) -> int | None:
    """Which record names at least half of the declared columns, and the most of them."""
    if source is None:
        return None
    named = [named_columns(record.fields, source) for record in records[:HEADER_SEARCH]]
    best = max(range(len(named)), key=lambda position: named[position], default=None)
    if best is None or named[best] * 2 < len(source.columns) or named[best] == 0:
        return None
    return best


def _broken_header(
    records: Sequence[SampleRecord], width: int, source: Source | None
) -> SampleRecord | None:
    """The record above the table that holds the names of at least half of the declared columns.

    It is none of the table's records, and no header that can be read.
    """
    if source is None:
        return None
    above = takewhile(lambda record: record.width != width, records[:HEADER_SEARCH])
    return next((each for each in above if has_names(each.text, source)), None)


def _likely_header(
    records: Sequence[SampleRecord], width: int, source: Source | None
) -> int | None:
    """Which record is the header, by how it and the records below it look; None for none."""
    tops = _tops(records, width)
    if not tops:
        return None
    position = tops[0]
    if records[position].width == width - 1 and _all_end_open(records, width):
        return position  # ends each record with a delimiter, or lacks a name: see _with_header
    if records[position].width != width:
        # No title, and nothing that the table's records are like: a broken header, or a broken
        # first record. What is below it is a header only if it clearly looks like one.
        below = next((top for top in tops if records[top].width == width), None)
        is_header = below is not None and _looks_unlike(records, below, width)
        return below if is_header else None
    first = records[position]
    if source is not None and len(source.columns) == width:
        fits = _fits_declared(first.fields or (), source)
        if fits is not None:
            return None if fits else position
    return None if _looks_unlike(records, position, width) is False else position


def _tops(records: Sequence[SampleRecord], width: int) -> list[int]:
    """The records, of those that may be a header, that are no titles or notes above it."""
    above = enumerate(records[:HEADER_SEARCH])
    return [position for position, record in above if not _is_preamble(record, width)]


def _is_preamble(record: SampleRecord, width: int) -> bool:
    """Whether a record may be one of the titles and notes above a table."""
    if record.fields is None:
        return False
    filled = sum(bool(field.strip()) for field in record.fields)
    if record.width == width:
        return width > 2 and filled <= 1
    return record.width <= max(1, width // 2)


def _all_end_open(records: Sequence[SampleRecord], width: int) -> bool:
    """Whether every record of the table ends with an empty field."""
    regular = [record for record in records if record.width == width]
    return width > 1 and all(record.fields and not record.fields[-1] for record in regular)


def _fits_declared(fields: Sequence[str], source: Source) -> bool | None:
    """Whether a record's values are like the declared types; None where all of them are text."""
    verdicts = [
        _fits(field, column)
        for field, column in zip(fields, source.columns.values(), strict=True)
        if field and column.data_type != "text"
    ]
    return sum(verdicts) * 2 > len(verdicts) if verdicts else None


def _fits(field: str, column: Column) -> bool:
    return DECLARED_LOOKS[column.data_type].fullmatch(field) is not None


def _looks_unlike(records: Sequence[SampleRecord], position: int, width: int) -> bool | None:
    """Whether a record looks unlike those below it; None where they have no look in common."""
    fields = records[position].fields or ()
    looks = column_looks(records[position + 1 :], width)
    if not looks:
        return is_all_numbers(fields)
    told = [(fields[column], known) for column, known in looks.items() if column < len(fields)]
    cells = [(field, known) for field, known in told if field.strip()]
    if len(cells) > 1 and are_years([field for field, _ in cells]):
        return True
    alike = sum(look_of(field) in known for field, known in cells)
    return alike * 2 < len(cells) if cells else None


def _without_header(
    structure: Structure,
    records: Sequence[SampleRecord],
    source: Source | None,
    comment: str | None,
    notes: list[str],
) -> TableFound:
    """A table that begins with its first record; only empty lines above it are passed over."""
    skip_lines = records[0].first_line if records else 0
    width = structure.width
    trailing = (
        source is not None and len(source.columns) == width - 1 and _all_end_open(records, width)
    )
    names = None
    if not records:
        return TableFound(skip_lines, True, None, False, comment, tuple(notes))
    notes.append(
        "No header: the first record's values are like those of the records below it."
        if len(records) > 1
        else "No header: the only record is made of numbers."
    )
    if source is None:
        names = tuple(f"column_{number}" for number in range(1, width + 1))
    if trailing:
        notes.append(_trailing_note(structure))
    return TableFound(skip_lines, False, names, trailing, comment, tuple(notes))


def _with_header(
    structure: Structure,
    records: Sequence[SampleRecord],
    position: int,
    source: Source | None,
    comment: str | None,
    notes: list[str],
) -> TableFound:
    first = records[position]
    above = "; what stands above it is passed over" if first.first_line else ""
    notes.append(f"The header is line {first.first_line + 1}{above}.")
    is_known = source is not None and named_columns(first.fields, source) == len(source.columns)
    rows = [first] if is_known else _header_rows(records, position, structure.width)
    if source is None or named_columns(first.fields, source) * 2 < len(source.columns):
        _refuse_header_below(records, position + len(rows), structure.width)
    names = _joined_names(rows)
    trailing = _ends_open(records[position + len(rows) :], structure.width, names, source)
    if trailing:
        names = names[: structure.width - 1]
        notes.append(_trailing_note(structure))
    elif len(names) != structure.width and first.fields is not None:
        notes.append(
            f"The header has {len(names)} names, but most records {structure.width} fields."
        )
    if len(rows) > 1:
        # A row may be taken for a part of the header, and be none.
        such_as = "" if source and has_masks(source) else f" such as {names[0]!r}"
        notes.append(f"The header has {len(rows)} rows, joined to names{such_as}.")
    below = rows[-1].first_line + rows[-1].lines
    blank_below = _is_blank_below(structure, below)
    if len(rows) == 1 and not trailing and not blank_below:
        return TableFound(first.first_line, True, None, False, comment, tuple(notes))
    table = records[position + len(rows) :]
    skip_lines = table[0].first_line if table and blank_below else below
    return TableFound(skip_lines, False, names, trailing, comment, tuple(notes))


def _is_blank_below(structure: Structure, line: int) -> bool:
    return structure.width > 1 and any(
        record.is_blank and record.first_line == line for record in structure.records
    )


def _header_rows(records: Sequence[SampleRecord], position: int, width: int) -> list[SampleRecord]:
    """The header and the rows below it that belong to it.

    Each such row repeats the header, or is unlike all records below it in at least two columns
    that have a look.
    """
    rows = [records[position]]
    for below in range(position + 1, min(position + MOST_HEADER_ROWS, len(records) - 1)):
        record = records[below]
        if record.width != width or rows[0].width != width:
            break
        if record.fields != rows[0].fields and not is_unlike_all(
            records, below, width, may_have_digits=False
        ):
            break
        rows.append(record)
    return rows


def _refuse_header_below(records: Sequence[SampleRecord], position: int, width: int) -> None:
    """Refuse to take a row for a record, right below the first, that may belong to the header.

    Its values are words where all below have other ones, but the row above it is no header by its
    looks, or the words may be values such as A1: below ``Year,2025,2026`` may stand
    ``Region,Q1,Q2``, and either of them would be loaded as a record. Or they are years in a row,
    below a row that does not name each column.

    Raises:
        DeliveryError: there is such a row.
    """
    if len(records) - position <= LEAST_BELOW or records[position].width != width:
        return
    above, fields = records[position - 1].fields or (), records[position].fields or ()
    is_below_gaps = not all(above) and len(fields) > 1 and are_years(fields)
    if is_below_gaps or is_unlike_all(records, position, width, may_have_digits=True):
        first, second = records[position - 1].first_line + 1, records[position].first_line + 1
        raise DeliveryError(
            f"It is not clear which rows name the columns: line {second} looks like a header, and"
            f" line {first} above it does not, or both do.",
            code="no_header",
            remedy="Declare the dialect: skip_lines says how many lines stand above the names.",
        )


def _joined_names(rows: Sequence[SampleRecord]) -> tuple[str, ...]:
    """The names of the fields: what the rows of the header have for each, with spaces between."""
    columns = zip(*(row.fields or () for row in rows), strict=True)
    return tuple(" ".join(part.strip() for part in parts if part.strip()) for parts in columns)


def _ends_open(
    records: Sequence[SampleRecord], width: int, names: Sequence[str], source: Source | None
) -> bool:
    """Whether all records end with a delimiter that no field follows.

    That is so where the last field is empty in each of them, and the header ends in the same way,
    or does not but has a declared name for each of the others. A header that merely has one name
    too few may lack any of them.
    """
    regular = [record for record in records if record.width == width]
    if not regular or not _all_end_open(regular, width):
        return False
    if len(names) == width:
        return not names[-1]
    return (
        len(names) == width - 1
        and source is not None
        and named_columns(names, source) == len(source.columns) == len(names)
    )


def _trailing_note(structure: Structure) -> str:
    return f"Each record ends with a {structure.delimiter!r} that no field follows."
