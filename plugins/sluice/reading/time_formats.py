"""Dates and times in a format of strptime, as far as only one moment can be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from sluice.errors import ConfigError
from sluice.reading.json_fields import shown
from sluice.registry import Column, Source

# The most digits that each directive takes.
WIDTHS = dict.fromkeys("dHIMmSUVWy", 2) | {"j": 3, "Y": 4, "G": 4, "f": 6, "w": 1, "u": 1}
OTHERS = {
    **dict.fromkeys("aAbBp", r"[^0-9]+"),
    "z": r"(?:Z|[+-][0-9]{2}:?[0-9]{2}(?::?[0-9]{2}(?:[.][0-9]{1,6})?)?)",
    "%": "%",
}

# What strptime takes as a whole: a directive, white space, or any other character.
PARTS = re.compile(r"%(.)|(\s+)|(.)", re.DOTALL)

# Afternoon, and no two parts alike: what of it a format keeps shows which parts the format has.
SAMPLE = datetime(2003, 4, 5, 17, 8, 9, tzinfo=UTC)


class TimeFormat:
    """How the dates and times of a column are written.

    strptime lets a number have fewer digits than its directive may take. Where a separator follows,
    that is harmless; where another number does, it would try until something fits: 1022025 by
    %d%m%Y, which has lost its first zero, would be the tenth of February. So numbers that stand
    next to each other have all of their digits.
    """

    def __init__(self, time_format: str) -> None:
        self._format = time_format
        self._parts = list(_parts(time_format))
        self._fits = re.compile(_pattern(self._parts), re.DOTALL | re.IGNORECASE).fullmatch

    def read(self, text: str, column: Column) -> str:
        """A value of a column, as PostgreSQL reads it.

        Raises:
            ValueError: it is not written so, or has more than the column's type can keep.
        """
        written = text.strip(" ")
        try:
            moment = datetime.strptime(written, self._format)  # noqa: DTZ007
        except ValueError:
            raise ValueError(f"{shown(text)} is not written as {self._format}.") from None
        if not self._fits(written):
            raise ValueError(
                f"{shown(text)} is not written as {self._format} with all digits of each number."
            )
        if moment.tzinfo is not None and not (column.data_type == "timestamp" and column.timezone):
            raise ValueError(f"{shown(text)} has a zone, which the column cannot keep.")
        if column.data_type == "timestamp":
            return moment.isoformat(sep=" ")
        if column.data_type == "time":
            return moment.time().isoformat()
        if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
            raise ValueError(f"{shown(text)} has a time of day, which a date cannot keep.")
        return moment.date().isoformat()

    def write(self, text: str) -> str:
        """A moment of ISO 8601 in the format; as it is where the format loses some of it."""
        try:
            # A time of day has the date that strptime gives to one.
            moment = datetime.fromisoformat(f"1900-01-01 {text}" if text[2:3] == ":" else text)
            written = moment.strftime(self._format)
            is_whole = datetime.strptime(written, self._format) == moment  # noqa: DTZ007
        except ValueError:
            return text
        return written if is_whole and self._fits(written) else text

    def refuse_gaps(self, source: Source, name: str) -> None:
        """Refuse what leaves something open that would have to be guessed.

        Raises:
            ConfigError: the format does not say all that the column's type needs.
        """
        problem = self._problem(source.columns[name].data_type)
        if problem:
            raise ConfigError(
                f"Column {name} of source {source.name} has time_format {self._format!r}:"
                f" {problem}.",
                f"Correct it in registry/sources/{source.name}.yml.",
            )

    def _problem(self, data_type: str) -> str:
        directives = [sign for sign, _ in self._parts]
        if "Z" in directives:
            return "%Z names zones that nothing defines: use %z, an offset"
        varying = next((sign for sign in directives if sign in ("c", "x", "X")), None)
        if varying:
            return f"%{varying} is another format in each language: write it out"
        try:
            kept = datetime.strptime(SAMPLE.strftime(self._format), self._format)  # noqa: DTZ007
        except ValueError as error:
            return str(error)
        if data_type in ("date", "timestamp") and kept.date() != SAMPLE.date():
            return "year, month and day are needed"
        if kept.hour not in (SAMPLE.hour, *(() if data_type == "time" else (0,))):
            return "the hour is needed, of 24 (%H) or with %p"
        if data_type == "time" and kept.date() == SAMPLE.date():
            return "a time has no date"
        return ""


def _parts(time_format: str) -> Iterator[tuple[str | None, str]]:
    """Each directive's letter and an empty text, or None and what stands between directives."""
    for found in PARTS.finditer(time_format):
        letter, space, other = found.groups()
        yield letter, space or other or ""


def _pattern(parts: list[tuple[str | None, str]]) -> str:
    """What texts match that have all digits where two numbers meet."""
    are_digits = [letter in WIDTHS or (between.isdigit()) for letter, between in parts]
    pattern = ""
    for number, (letter, between) in enumerate(parts):
        if letter is None:
            pattern += r"\s+" if between.isspace() else re.escape(between)
        elif letter in WIDTHS:
            width = WIDTHS[letter]
            meets = any(are_digits[max(number - 1, 0) : number]) or any(
                are_digits[number + 1 : number + 2]
            )
            pattern += f"[0-9]{{{width}}}" if meets else f"[0-9 ]{{1,{width}}}"
        else:
            pattern += OTHERS.get(letter, ".+")
    return pattern
