"""Values that PostgreSQL reads as what they say: nothing rounded, cut off or guessed.

PostgreSQL's types are generous: ``numeric(6,2)`` rounds 1.555, ``date`` cuts a time of day off, a
timestamp without a zone drops ``+05``, ``1/2/3`` is some day, ``tr`` is true, and ``now`` is
another time each day. What stands in bronze then is not what was delivered, so such values are
rejected.

For each type there is a pattern that exact values nearly always match, written so that Python and
RE2 (Arrow) read it alike; what it does not match is looked at one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sluice.reading.json_fields import shown
from sluice.registry import Column

# Digits after the point that PostgreSQL's numeric keeps where it has no scale of its own.
MOST_DIGITS = 16383

_INTEGER = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_BOOLEAN = "(?i:true|false|yes|no|on|off|t|f|y|n|1|0)"

_MONTH = (
    "(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sep(?:t|tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = "(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
# The year has four digits or more and comes first, or the month has a name.
_DAYS = (
    "[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}",
    "[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}",
    "[0-9]{4}[.][0-9]{1,2}[.][0-9]{1,2}",
    "[0-9]{8}",
    f"[0-9]{{4}}-{_MONTH}-[0-9]{{1,2}}",
    f"{_MONTH}-[0-9]{{1,2}}-[0-9]{{4}}",
    f"{_WEEKDAY}[0-9]{{1,2}}[ -]{_MONTH}[ -][0-9]{{4}}",
    f"{_WEEKDAY}{_MONTH} [0-9]{{1,2}},? [0-9]{{4}}",
)
_DAY = f"(?:{'|'.join(_DAYS)})"
_ERA = "(?: (?i:ad|bc))?"
_MIDNIGHT = "(?:[ T]00:00(?::00(?:[.]0+)?)?(?:Z|[+]00(?::?00)?)?)?"
_SECOND = "[0-5][0-9](?:[.][0-9]{1,6}0*)?"
_TIME = f"[0-9]{{1,2}}:[0-9]{{2}}(?::{_SECOND})?(?: ?(?i:am|pm))?"
_PACKED_TIME = f"[0-9]{{4}}{_SECOND}"
_ZONE = "(?: ?(?:Z|z|UTC|GMT|[+-][0-9]{1,2}(?::?[0-9]{2}){0,2}|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+))?"

_HAS_TIME = re.compile("[0-9]:[0-9]{2}|[0-9][T ][0-9]{6}")
_HAS_DAY = re.compile("[0-9]{3}|[0-9][-/.][0-9]+[-/.][0-9]")
_IS_FINE = re.compile("[:T ][0-9]*[0-9]{2}[.][0-9]{6}0*[1-9]")
_HAS_ZONE = re.compile(
    "(?i)[0-9]:[0-9]{2}[0-9:.]*(?: ?[ap]m)?"
    " ?(?:[+-][0-9:]+|z|(?!(?:am|pm|ad|bc)$)[a-z]{3,5}|[a-z]+/[a-z_/+-]+)$"
)

# They mean another time each day.
_RELATIVE = re.compile("(?i)(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])")
# A rule of its own rejects them, with a reason of its own.
_NOT_FINITE = re.compile("(?i)[+-]?(?:nan|inf|infinity)")


@dataclass(frozen=True)
class Change:
    """What PostgreSQL would do to a value.

    Attributes:
        code: the stable word for a rejected record.
        reason: what is wrong, as the end of a sentence that begins with the column's name.
    """

    code: str
    reason: str


def exact_pattern(column: Column) -> str | None:
    """What exact values of a column match as a whole; None where every text is exact."""
    match column.data_type:
        case "text":
            return None
        case "bigint":
            form = _INTEGER
        case "double":
            form = rf"{_NUMBER}(?:[eE][+-]?[0-9]+)?"
        case "decimal":
            form = _decimal_form(column)
        case "bool":
            form = _BOOLEAN
        case "date":
            form = f"{_DAY}(?:{_MIDNIGHT}|{_ERA})"
        case "time":
            form = _TIME
        case "timestamp":
            zone, day_zone = (_ZONE, "|Z") if column.timezone else ("", "")
            form = f"{_DAY}(?:(?: +|[Tt])(?:{_TIME}|{_PACKED_TIME}){zone}{day_zone})?{_ERA}"
        case "json":
            form = r"[^{]*"  # without an object there is no key that could stand twice
    return rf"\s*(?:{form})\s*"


def _decimal_form(column: Column) -> str:
    if column.precision is None:
        return _NUMBER
    scale = column.scale or 0
    if not scale:
        return r"[+-]?[0-9]+(?:\.0*)?"
    return rf"[+-]?(?:[0-9]+(?:\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{scale}}}0*)"


def exact_matcher(column: Column) -> Callable[[str], object] | None:
    """Tells whether a value has one of the usual forms; None where every text is exact.

    Where it has none, ``change_of`` tells.
    """
    pattern = exact_pattern(column)
    return None if pattern is None else re.compile(pattern, re.ASCII).fullmatch


def change_of(value: str, column: Column) -> Change | None:
    """What PostgreSQL would do to a value that it takes; None where it keeps it as it is.

    Args:
        value: as the file has it.
        column: whose type takes it.
    """
    match = exact_matcher(column)
    return None if match is None or match(value) else change_of_unusual(value, column)


def change_of_unusual(value: str, column: Column) -> Change | None:
    """The same for a value that ``exact_matcher`` does not match."""
    text = value.strip()
    if column.data_type == "json":
        return _repeated_key(value)
    if column.data_type != "bool" and _NOT_FINITE.fullmatch(text):
        return None
    match column.data_type:
        case "bool":
            return _guess(value, "is short for a word: write true or false")
        case "bigint":
            return _guess(value, "is not written in decimal digits")
        case "decimal" | "double":
            return _number_change(value, column)
    return _moment_change(value, column)


def _guess(value: str, words: str) -> Change:
    return Change("wrong_type", f"{shown(value)} {words}.")


def _lost(value: str, words: str) -> Change:
    return Change("not_exact", f"{shown(value)} {words}.")


def _number_change(value: str, column: Column) -> Change | None:
    try:
        _, digits, exponent = Decimal("" if "_" in value else value.strip()).as_tuple()
    except InvalidOperation:
        exponent = "n"
    if isinstance(exponent, str):  # Python reads NaN0 and sNaN as kinds of NaN
        return _guess(value, "is not written in decimal digits")
    if column.data_type == "double":
        return None
    scale = MOST_DIGITS if column.precision is None else column.scale or 0
    written = "".join(map(str, digits))
    places = len(written.rstrip("0")) - len(written) - exponent
    if written.strip("0") and places > scale:
        return _lost(value, f"has more digits after the point than {column.postgres_type} keeps")
    return None


def _moment_change(value: str, column: Column) -> Change:
    text = value.strip()
    if _RELATIVE.search(text):
        return _guess(value, "means another time each day")
    keeps_zone = column.data_type == "timestamp" and column.timezone
    if column.data_type == "date" and _HAS_TIME.search(text):
        return _lost(value, "has a time of day, which a date cannot keep")
    if column.data_type == "time" and _HAS_DAY.search(text.rpartition(":")[0]):
        return _lost(value, "has a date, which a time of day cannot keep")
    if _IS_FINE.search(text):
        return _lost(value, "is finer than a microsecond, which only text keeps")
    if not keeps_zone and _HAS_ZONE.search(text):
        return _lost(value, "has a zone, which the column cannot keep")
    example = {"date": "2026-12-31", "time": "23:59:59"}.get(
        column.data_type, "2026-12-31 23:59:59" + "Z" * keeps_zone
    )
    how = f"write it as {example}, or say in the registry how it is written (time_format)"
    return _guess(value, f"can be read in more than one way: {how}")


class _RepeatedKeyError(Exception):
    pass


def _members(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _RepeatedKeyError(name)
        seen.add(name)


def _repeated_key(value: str) -> Change | None:
    try:
        json.loads(value, object_pairs_hook=_members, parse_int=str, parse_float=str)
    except _RepeatedKeyError as error:
        key = shown(str(error))
        return _lost(value, f"has the key {key} twice in one object, and only one would be kept")
    except RecursionError:
        return _lost(value, "has too many objects within one another to be looked at")
    except ValueError:  # PostgreSQL reads no other JSON than Python does
        return None
    return None
