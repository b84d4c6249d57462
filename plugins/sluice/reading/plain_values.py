r"""Values that are written so plainly that no two programs read them differently.

Arrow and PostgreSQL agree about such values only: Arrow takes hexadecimal numbers for negative ones
and lets long decimals overflow, for instance. So Arrow is given nothing but the forms below, which
are a part of what PostgreSQL takes; whatever else a file has is PostgreSQL's own to judge.
"""

from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from sluice.registry import Column

# Fewer digits than any of the types can hold, and no exponent: nothing overflows, nothing is lost.
MOST_DIGITS = 18

DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
SECOND = r"[0-5]\d(?:\.\d{1,6})?"

# What says after a time that it is in UTC.
UTC = ("Z", "+00", "+00:00")

# The lengths of dates with times to the minute, to the second, and to parts of a second. One pair
# of digits for the time is not among them: Arrow takes it for the hour, PostgreSQL for a mistake.
MOMENT_LENGTHS = frozenset({10, 16, 19, *range(21, 27)})
SHORTEST_MOMENT = 16
FIRST_DAY = "0001-01-01"  # Arrow has a year 0


class NotPlainError(Exception):
    """Something is written in another way than the plain one."""


def arrow_type(column: Column) -> pa.DataType:
    """The type of a column's plain values.

    Raises:
        NotPlainError: its type has none.
    """
    match column.data_type:
        case "text":
            return pa.string()
        case "bigint":
            return pa.int64()
        case "double":
            return pa.float64()
        case "bool":
            return pa.bool_()
        case "date":
            return pa.date32()
        case "timestamp":
            return pa.timestamp("us")
        case "decimal" if column.precision is not None and column.precision <= MOST_DIGITS:
            return pa.decimal128(column.precision, column.scale or 0)
    # A decimal without a precision keeps the digits as written; Arrow has one scale for all.
    raise NotPlainError


def typed(texts: pa.Array, column: Column) -> pa.Array:
    """Texts as values of a column's type, where all of them are plain.

    Raises:
        NotPlainError: one is not.
    """
    if column.data_type == "timestamp":
        texts = _without_zone(texts, column)
        lengths = pc.unique(pc.binary_length(texts)).drop_null()
        # With the strictness of Arrow's cast, this is what the pattern says, for less.
        if not MOMENT_LENGTHS.issuperset(lengths.to_pylist()):
            raise NotPlainError
    elif column.data_type not in ("text", "date"):
        is_plain = pc.match_substring_regex(texts, _pattern(column))
        if pc.any(pc.invert(is_plain)).as_py():
            raise NotPlainError
    return _cast(texts, column)


def typed_where_plain(texts: pa.Array, column: Column) -> tuple[pa.Array, pa.Array]:
    """The same for columns of which some values are not plain.

    Returns:
        The values, missing where they are not plain; whether each is plain, or missing.

    Raises:
        NotPlainError: they are not told apart by their form alone.
    """
    texts = _without_zone(texts, column)
    is_plain = pc.match_substring_regex(texts, _pattern(column))
    values = _cast(pc.if_else(is_plain, texts, None), column)
    return values, pc.fill_null(is_plain, fill_value=True)


def _pattern(column: Column) -> str:
    """What a plain value of a column matches, in RE2's words."""
    match column.data_type:
        case "bigint":
            form = rf"-?\d{{1,{MOST_DIGITS}}}"
        case "double":
            form = rf"-?\d{{1,{MOST_DIGITS}}}(?:\.\d{{1,{MOST_DIGITS}}})?"
        case "decimal":
            scale = column.scale or 0
            whole = (column.precision or 0) - scale
            form = rf"-?\d{{1,{whole}}}" if whole else "-?0"
            form += rf"(?:\.\d{{1,{scale}}})?" if scale else ""
        case "bool":
            form = r"[01]|(?i:true|false)"
        case "date":
            form = DATE
        case "timestamp":
            form = rf"{DATE}(?:[T ]{MINUTE}(?::{SECOND})?)?"
        case _:
            form = r"(?s:.*)"
    return rf"\A(?:{form})\z"


def _without_zone(texts: pa.Array, column: Column) -> pa.Array:
    """Times without a zone mean UTC; those of a column of moments may all say so as the first."""
    if column.data_type != "timestamp" or not column.timezone or len(texts) == texts.null_count:
        return texts
    first = texts[pc.index(pc.is_valid(texts), value=True).as_py()].as_py()
    for zone in UTC:
        shortest = pc.min(pc.binary_length(texts)).as_py()
        # A day with a zone is not among the plain forms.
        has_time = shortest >= SHORTEST_MOMENT + len(zone)
        if has_time and first.endswith(zone) and pc.all(pc.ends_with(texts, zone)).as_py():
            return pc.utf8_slice_codeunits(texts, 0, -len(zone))
    return texts


def _cast(texts: pa.Array, column: Column) -> pa.Array:
    data_type = arrow_type(column)
    try:
        values = pc.cast(texts, data_type)
    except pa.ArrowInvalid:
        raise NotPlainError from None
    if column.data_type in ("date", "timestamp"):
        first = pc.cast(pa.scalar(FIRST_DAY), data_type)
        if pc.less(pc.min(values), first).as_py():
            raise NotPlainError
    return values
