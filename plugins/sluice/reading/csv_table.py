"""Where the table in a delimited file begins: lines before it, its header, what ends each record.

Evidence are the names of the registry's columns, and how the values of each column look: digits
grouped in the same way, such as 9/9/9 for dates. A first record whose values look like those below
it is no header; rows that look different, in every column that has a look, are headers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile

from sluice.reading.csv_names import has_names, named_columns
from sluice.reading.csv_structure import LEAST_EVIDENCE, SampleRecord, Structure
from sluice.registry import Column, Source

# A header stands further down than this only in files that are no tables.
HEADER_SEARCH = 100

# More rows than this in a header were never seen; each needs the same evidence as the first.
MOST_HEADER_ROWS = 4

COMMENT_SIGNS = "#%!"

# How many records are asked how a column looks.
RECORDS_LOOKED_AT = 1000

# How many of a column's values must look alike, and in how many ways, to say how it looks.
ALIKE_SHARE = 0.8
MOST_LOOKS = 4

NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?")
YEAR = re.compile(r"(?:1[89]|2[01])\d\d")

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
    tops = [
        position
        for position, record in enumerate(records[:HEADER_SEARCH])
        if not _is_preamble(record, width)
    ]
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
    looks = _column_looks(records[position + 1 :], width)
    if not looks:
        return _is_all_numbers(fields)
    told = [(fields[column], known) for column, known in looks.items() if column < len(fields)]
    cells = [(field, known) for field, known in told if field.strip()]
    if len(cells) > 1 and _are_years([field for field, _ in cells]):
        return True
    alike = sum(_look(field) in known for field, known in cells)
    return alike * 2 < len(cells) if cells else None


def _is_all_numbers(fields: Sequence[str]) -> bool | None:
    """For a record with nothing to hold it against: numbers alone name no columns."""
    filled = [field for field in fields if field.strip()]
    return False if filled and all(NUMBER.fullmatch(field) for field in filled) else None


def _are_years(fields: Sequence[str]) -> bool:
    """Whether fields are years in a row: names of columns, as in many a statistic."""
    if not all(YEAR.fullmatch(field) for field in fields):
        return False
    years = [int(field) for field in fields]
    return all(abs(after - year) == 1 for year, after in pairwise(years))


def _column_looks(records: Sequence[SampleRecord], width: int) -> dict[int, frozenset[str]]:
    """How the values of columns look, of those where most look alike and have digits."""
    regular = (record.fields for record in records if record.fields and record.width == width)
    rows = list(islice(regular, RECORDS_LOOKED_AT))
    looks = {}
    for column in range(width):
        counts = Counter(_look(row[column]) for row in rows if row[column].strip())
        common = [(look, n) for look, n in counts.most_common(MOST_LOOKS) if "9" in look]
        alike = sum(count for _, count in common)
        if alike and alike >= counts.total() * ALIKE_SHARE:
            looks[column] = frozenset(look for look, _ in common)
    return looks


def _look(value: str) -> str:
    """A value with its digits and letters made alike: 9/9/9 for a date, a-9 for a code."""
    if NUMBER.fullmatch(value):
        return "9"
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))


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
        notes.append(f"The header has {len(rows)} rows, joined to names such as {names[0]!r}.")
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
        if record.fields != rows[0].fields and not _is_header_row(records, below, width):
            break
        rows.append(record)
    return rows


def _is_header_row(records: Sequence[SampleRecord], position: int, width: int) -> bool:
    fields = records[position].fields or ()
    looks = _column_looks(records[position + 1 :], width)
    cells = [(fields[column], known) for column, known in looks.items()]
    filled = [(field, known) for field, known in cells if field.strip()]
    is_evidence = len(filled) >= LEAST_EVIDENCE and len(filled) * 2 >= len(cells)
    return is_evidence and not any(
        _look(field) in known or "9" in _look(field) for field, known in filled
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
