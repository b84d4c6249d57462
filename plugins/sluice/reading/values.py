"""Values as a source declares that they are written, into the text that PostgreSQL reads.

Only what the declaration says is read, and only as it says: whatever else a value could mean, it is
an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from sluice.reading.json_fields import shown
from sluice.reading.time_formats import TimeFormat
from sluice.reading.typed_values import (
    TYPED_FORMATS,
    TypedBoolean,
    TypedMoment,
    TypedNumber,
    TypedValue,
    converted_columns,
)
from sluice.registry import Column, Source, ValueRules

Converter = Callable[[str], str]

# Programs that group by spaces mostly write one of these.
SPACES = " \u00a0\u202f"

# After a date: a time of PostgreSQL's, with no more digits than it keeps.
TIME_OF_DAY = re.compile(
    r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?[AaPp][Mm])?"
    r"(?: ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?",
    re.ASCII,
)

ISO_DAY = re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?P<rest>.*)", re.ASCII)

ORDERS = {"y": "year", "m": "month", "d": "day"}

# A time of day that a date loses nothing by, as it may stand after a date of another order.
MIDNIGHT = re.compile(
    r"[T ](?:00?:00(?::00(?:\.0{1,6})?)?|12:00(?::00(?:\.0{1,6})?)? ?[Aa][Mm])"
    r"(?: ?(?:Z|UTC|\+00(?::?00)?))?",
    re.ASCII,
)


def converters(source: Source) -> dict[str, Converter]:
    """What turns a value into PostgreSQL's text, for each column whose values are not so already.

    Each takes the text of a value that is there and is none of its column's ``null_words``. It
    raises ValueError, with a sentence that names the value, where that is not written as declared.
    A typed value of the kind that is converted is PostgreSQL's text.

    Raises:
        ConfigError: a ``time_format`` does not say all that its column's type needs.
    """
    made: dict[str, Converter] = {}
    for name, kind in converted_columns(source).items():
        converter = _converter(source, name, kind)
        made[name] = _passing(kind, converter) if source.format in TYPED_FORMATS else converter
    return made


def _passing(kind: type[TypedValue], converter: Converter) -> Converter:
    """A converter that lets typed values pass."""

    def convert(text: str) -> str:
        if not isinstance(text, TypedValue):
            return converter(text)
        if isinstance(text, kind):
            return str(text)
        if _is_no_moment(text, kind):
            raise ValueError(f"{shown(text)} is a number, not a date or a time.")
        return converter(text)

    return convert


def writers(source: Source) -> dict[str, Callable[[TypedValue], str]]:
    """What writes a typed value of a column as texts of the source have it.

    What ``converters`` take as it is comes back from an export of rejected records as text, and has
    to be the same value then, or to be rejected again.
    """
    if source.format not in TYPED_FORMATS:
        return {}
    return {
        name: _writing(kind, _writer(kind, source.values_of(name)))
        for name, kind in converted_columns(source).items()
    }


def _writing(kind: type[TypedValue], writer: Converter) -> Callable[[TypedValue], str]:
    def write(value: TypedValue) -> str:
        if isinstance(value, kind):
            return str(writer(value))
        # The same number in a notation that no date and no time has.
        return f"{value}e0" if _is_no_moment(value, kind) else str(value)

    return write


def _is_no_moment(value: TypedValue, kind: type[TypedValue]) -> bool:
    """Whether a number stands for a date or a time, and is more than its digits.

    12.3 was 12.30 by %H.%M before it was a number; digits alone have lost nothing at their end.
    """
    return kind is TypedMoment and isinstance(value, TypedNumber) and not value.isdigit()


def null_words(source: Source) -> dict[str, frozenset[str]]:
    """The words for a missing value, for each column that has some."""
    words = {name: frozenset(source.values_of(name).null_values) for name in source.columns}
    return {name: of_column for name, of_column in words.items() if of_column}


def _converter(source: Source, name: str, kind: type[TypedValue]) -> Converter:
    column, rules = source.columns[name], source.values_of(name)
    if kind is TypedNumber:
        return _number(rules.decimal_separator or ".", rules.thousands_separator)
    if kind is TypedBoolean:
        words = _boolean_words(rules)
        return lambda text: words.get(text, text)
    if rules.time_format:
        time_format = TimeFormat(rules.time_format)
        time_format.refuse_gaps(source, name)
        return lambda text: time_format.read(text, column)
    return _by_order(column, rules.date_order or "ymd")


def _writer(kind: type[TypedValue], rules: ValueRules) -> Converter:
    if kind is TypedNumber:
        return lambda text: text.replace(".", rules.decimal_separator or ".")
    if kind is TypedBoolean:
        words = {said: word for word, said in _boolean_words(rules).items()}
        return lambda text: words.get(text, text)
    if rules.time_format:
        return TimeFormat(rules.time_format).write
    return lambda text: _in_order(text, rules.date_order or "ymd")


def _boolean_words(rules: ValueRules) -> dict[str, str]:
    return dict.fromkeys(rules.true_values, "true") | dict.fromkeys(rules.false_values, "false")


def _in_order(text: str, order: str) -> str:
    """A date of ISO 8601 with its parts in another order."""
    found = ISO_DAY.fullmatch(text)
    if found is None:
        return text
    return "-".join(found[letter] for letter in order) + found["rest"]


def _number(decimal: str, thousands: str | None) -> Converter:
    """Numbers with the declared separators; groups are of three digits, all of them or none.

    The first group begins with no zero: 0.123 is a fraction to whoever wrote it, whatever the
    point was declared to be.
    """
    separator = f"[{SPACES}]" if thousands == " " else re.escape(thousands or "")
    grouped = rf"[1-9]\d{{0,2}}(?:{separator}\d{{3}})+|" if thousands else ""
    fraction = re.escape(decimal) + r"(\d+)"
    pattern = re.compile(
        rf"([+-]?)({grouped}\d+)(?:{fraction})?([eE][+-]?\d+)?|([+-]?){fraction}([eE][+-]?\d+)?",
        re.ASCII,
    )
    described = f"{decimal!r} before the fraction" + (
        f" and {thousands!r} between groups of three digits" if thousands else ""
    )

    def convert(text: str) -> str:
        found = pattern.fullmatch(text.strip(" "))
        if found is None:
            raise ValueError(f"{shown(text)} is no number written with {described}.")
        sign, whole, part, exponent, other_sign, other_part, other_exponent = found.groups("")
        digits = whole if whole.isdigit() else re.sub(r"\D", "", whole)
        number = f"{sign}{other_sign}{digits or '0'}"
        part, exponent = part or other_part, exponent or other_exponent
        return f"{number}.{part}{exponent}" if part else f"{number}{exponent}"

    return convert


def _by_order(column: Column, order: str) -> Converter:
    """Dates of digits, with one separator between their parts or as eight digits."""
    parts = {"y": r"(?P<y>\d{4})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})"}
    first, second, third = (parts[letter] for letter in order)
    separated = re.compile(rf"{first}(?P<by>[-./ ]){second}(?P=by){third}(?P<rest>.*)", re.ASCII)
    packed = re.compile(
        "".join(f"(?P<{letter}>\\d{{{4 if letter == 'y' else 2}}})" for letter in order)
        + r"(?P<rest>|[T ].*)",
        re.ASCII,
    )
    words = ", ".join(ORDERS[letter] for letter in order)

    def convert(text: str) -> str:
        found = separated.fullmatch(text.strip(" ")) or packed.fullmatch(text.strip(" "))
        if found is None:
            raise ValueError(
                f"{shown(text)} is no date of {words} in digits, the year with four of them."
            )
        try:
            day = date(int(found["y"]), int(found["m"]), int(found["d"]))
        except ValueError:
            raise ValueError(f"{shown(text)} is no day of the calendar ({words}).") from None
        rest = found["rest"]
        if column.data_type == "date":
            if rest and not MIDNIGHT.fullmatch(rest):
                raise ValueError(f"{shown(text)} has more than a date.")
            return day.isoformat()
        if rest and not TIME_OF_DAY.fullmatch(rest):
            raise ValueError(f"{shown(text)} has no time of day after its date.")
        return f"{day.isoformat()}{rest}"

    return convert
