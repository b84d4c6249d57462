"""Values that are no text in their file: what `values` says of how text is written is not for them.

A reader hands over texts. Where one was a number in JSON, a date in a workbook or a float in
Parquet, its text is PostgreSQL's already, whatever the source declares: 1.234 is no 1234 because
texts of the source have points between groups of digits. So readers of such formats mark the values
of the columns that are converted, and only those.
"""

from __future__ import annotations

from sluice.registry import Column, Source, ValueRules
from sluice.registry.formats import Format

# The formats whose values have types of their own.
TYPED_FORMATS: frozenset[Format] = frozenset({"json", "jsonl", "excel", "parquet"})

NUMBERS = frozenset({"bigint", "double", "decimal"})
DATES = frozenset({"date", "timestamp"})
MOMENTS = DATES | {"time"}


# Below it every whole number is a float of its own; it itself is also what 2**53 + 1 becomes.
EXACT = 2**53


class TypedValue(str):
    """What is no text in its file, as PostgreSQL's text."""

    __slots__ = ()


class TypedNumber(TypedValue):
    """A number; of JSON as the file writes it: 12.10 stays 12.10, and 1e400 is no infinity."""

    __slots__ = ()


class TypedMoment(TypedValue):
    """A date, a time of day, or both, as in ISO 8601."""

    __slots__ = ()


class TypedBoolean(TypedValue):
    """`true` or `false`."""

    __slots__ = ()


def converted_columns(source: Source) -> dict[str, type[TypedValue]]:
    """The columns whose values are converted, each with the kind of them that is not.

    Other typed values are converted like texts: 20260102 may be a date by its ``time_format``.
    """
    kinds = {
        name: _converted_kind(column, source.values_of(name))
        for name, column in source.columns.items()
    }
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _converted_kind(column: Column, rules: ValueRules) -> type[TypedValue] | None:
    """The kind of values that rules convert in a column; None where they convert none."""
    if column.data_type in NUMBERS and (rules.decimal_separator or rules.thousands_separator):
        return TypedNumber
    if column.data_type in MOMENTS and rules.time_format:
        return TypedMoment
    if column.data_type in DATES and rules.date_order:
        return TypedMoment
    if column.data_type == "bool" and (rules.true_values or rules.false_values):
        return TypedBoolean
    return None
