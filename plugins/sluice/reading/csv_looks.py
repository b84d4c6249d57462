"""How the values of columns look: digits grouped in the same way, such as 9/9/9 for dates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise

from sluice.reading.csv_structure import LEAST_EVIDENCE, SampleRecord

# How many records are asked how a column looks.
RECORDS_LOOKED_AT = 1000

# How many of a column's values must look alike, and in how many ways, to say how it looks.
ALIKE_SHARE = 0.8
MOST_LOOKS = 4

NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?")
YEAR = re.compile(r"(?:1[89]|2[01])\d\d")

# What stands for a missing value, and names no column.
NO_NAME = re.compile(r"(?i:true|false|null|none|nan|n/?a|unknown|[-\u2013.?*]+)")


def column_looks(records: Sequence[SampleRecord], width: int) -> dict[int, frozenset[str]]:
    """How the values of columns look, of those where most look alike and have digits."""
    regular = (record.fields for record in records if record.fields and record.width == width)
    rows = list(islice(regular, RECORDS_LOOKED_AT))
    looks = {}
    for column in range(width):
        counts = Counter(look_of(row[column]) for row in rows if row[column].strip())
        common = [(look, n) for look, n in counts.most_common(MOST_LOOKS) if "9" in look]
        alike = sum(count for _, count in common)
        if alike and alike >= counts.total() * ALIKE_SHARE:
            looks[column] = frozenset(look for look, _ in common)
    return looks


def look_of(value: str) -> str:
    """A value with its digits and letters made alike: 9/9/9 for a date, a-9 for a code."""
    if NUMBER.fullmatch(value):
        return "9"
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))


def is_all_numbers(fields: Sequence[str]) -> bool | None:
    """For a record with nothing to hold it against: numbers alone name no columns."""
    filled = [field for field in fields if field.strip()]
    return False if filled and all(NUMBER.fullmatch(field) for field in filled) else None


def are_years(fields: Sequence[str]) -> bool:
    """Whether fields are years in a row: names of columns, as in many a statistic."""
    if not all(YEAR.fullmatch(field) for field in fields):
        return False
    years = [int(field) for field in fields]
    return all(abs(after - year) == 1 for year, after in pairwise(years))


def is_unlike_all(
    records: Sequence[SampleRecord], position: int, width: int, *, may_have_digits: bool
) -> bool:
    """Whether a record is unlike all below it, in at least two columns that have a look.

    Args:
        records: the sample's.
        position: which of them.
        width: how many fields a record has.
        may_have_digits: whether names such as Q1 count, which some values look like as well.
    """
    fields = records[position].fields or ()
    looks = column_looks(records[position + 1 :], width)
    cells = [(fields[column], known) for column, known in looks.items() if column < len(fields)]
    filled = [(field, known) for field, known in cells if field.strip()]
    if len(filled) < LEAST_EVIDENCE or len(filled) * 2 < len(cells):
        return False
    return not any(
        look_of(field) in known
        or NO_NAME.fullmatch(field.strip())
        or ("9" in look_of(field) and not (may_have_digits and field.strip()[0].isalpha()))
        for field, known in filled
    )
