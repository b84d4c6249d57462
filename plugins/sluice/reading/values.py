"""Values as a source declares that they are written, into the text that PostgreSQL reads.

Only what the declaration says is read, and only as it says: whatever else a value could mean, it is
an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from sluice.errors import ConfigError
from sluice.reading.json_fields import shown
from sluice.registry import Column, Source, ValueRules

Converter = Callable[[str], str]

NUMBERS = frozenset({"bigint", "double", "decimal"})
DATES = frozenset({"date", "timestamp"})
MOMENTS = DATES | {"time"}

# Programs that group by spaces mostly write one of these.
SPACES = " \u00a0\u202f"

# After a date: a time of PostgreSQL's, with no more digits than it keeps.
TIME_OF_DAY = re.compile(
    r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?[AaPp][Mm])?"
    r"(?: ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?",
    re.ASCII,
)

ORDERS = {"y": "year", "m": "month", "d": "day"}

# Afternoon, and no two parts alike: what of it a format keeps shows which parts the format has.
SAMPLE = datetime(2003, 4, 5, 17, 8, 9, tzinfo=UTC)


def converters(source: Source) -> dict[str, Converter]:
    """What turns a value into PostgreSQL's text, for each column whose values are not so already.

    Each takes the text of a value that is there and is none of its column's ``null_words``. It
    raises ValueError, with a sentence that names the value, where that is not written as declared.

    Raises:
        ConfigError: a ``time_format`` does not say all that its column's type needs.
    """
    made = {
        name: _converter(source, name, column, source.values_of(name))
        for name, column in source.columns.items()
    }
    return {name: converter for name, converter in made.items() if converter is not None}


def null_words(source: Source) -> dict[str, frozenset[str]]:
    """The words for a missing value, for each column that has some."""
    words = {name: frozenset(source.values_of(name).null_values) for name in source.columns}
    return {name: of_column for name, of_column in words.items() if of_column}


def _converter(source: Source, name: str, column: Column, rules: ValueRules) -> Converter | None:
    if column.data_type in NUMBERS and (rules.decimal_separator or rules.thousands_separator):
        return _number(rules.decimal_separator or ".", rules.thousands_separator)
    if column.data_type in MOMENTS and rules.time_format:
        _refuse_format(source, name, column, rules.time_format)
        return _by_format(column, rules.time_format)
    if column.data_type in DATES and rules.date_order:
        return _by_order(column, rules.date_order)
    if column.data_type == "bool" and (rules.true_values or rules.false_values):
        words = dict.fromkeys(rules.true_values, "true")
        words |= dict.fromkeys(rules.false_values, "false")
        return lambda text: words.get(text, text)
    return None


def _number(decimal: str, thousands: str | None) -> Converter:
    """Numbers with the declared separators; groups are of three digits, all of them or none."""
    separator = f"[{SPACES}]" if thousands == " " else re.escape(thousands or "")
    grouped = rf"\d{{1,3}}(?:{separator}\d{{3}})+|" if thousands else ""
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
        if rest and column.data_type == "date":
            raise ValueError(f"{shown(text)} has more than a date.")
        if rest and not TIME_OF_DAY.fullmatch(rest):
            raise ValueError(f"{shown(text)} has no time of day after its date.")
        return f"{day.isoformat()}{rest}"

    return convert


def _by_format(column: Column, time_format: str) -> Converter:
    def convert(text: str) -> str:
        try:
            moment = datetime.strptime(text.strip(" "), time_format)  # noqa: DTZ007
        except ValueError:
            raise ValueError(f"{shown(text)} is not written as {time_format}.") from None
        if moment.tzinfo is not None and not (column.data_type == "timestamp" and column.timezone):
            raise ValueError(f"{shown(text)} has a zone, which the column cannot keep.")
        if column.data_type == "timestamp":
            return moment.isoformat(sep=" ")
        if column.data_type == "time":
            return moment.time().isoformat()
        if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
            raise ValueError(f"{shown(text)} has a time of day, which a date cannot keep.")
        return moment.date().isoformat()

    return convert


def _refuse_format(source: Source, name: str, column: Column, time_format: str) -> None:
    """Refuse a format that leaves something open which would have to be guessed."""
    problem = ""
    if "%Z" in time_format.replace("%%", ""):
        problem = "%Z names zones that nothing defines: use %z, an offset"
    try:
        kept = datetime.strptime(SAMPLE.strftime(time_format), time_format)  # noqa: DTZ007
    except ValueError as error:
        problem = problem or str(error)
    else:
        if column.data_type in DATES and kept.date() != SAMPLE.date():
            problem = problem or "year, month and day are needed"
        if kept.hour not in (SAMPLE.hour, *(() if column.data_type == "time" else (0,))):
            problem = problem or "the hour is needed, of 24 (%H) or with %p"
        if column.data_type == "time" and kept.date() == SAMPLE.date():
            problem = problem or "a time has no date"
    if problem:
        raise ConfigError(
            f"Column {name} of source {source.name} has time_format {time_format!r}: {problem}.",
            f"Correct it in registry/sources/{source.name}.yml.",
        )
