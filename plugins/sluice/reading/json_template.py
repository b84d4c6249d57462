"""The shape that most records of a JSON file have, as one regular expression.

A program that writes JSON writes the same keys in the same order, so a file's records differ in
their values only. The expression takes all such records of a megabyte apart in one call: 2 us a
record of 8 values, where the parser with its checks takes 6 us. It matches nothing that the parser
would refuse, and whatever it does not match goes to the parser, so it changes no result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from sluice.reading.fields import ColumnRecords
from sluice.reading.json_fields import JsonFields
from sluice.reading.typed_values import TypedBoolean, TypedNumber, TypedValue

# Within a line; and between the lines of a record that has several.
SPACE = r"[ \t]*+"
WIDE_SPACE = r"[ \t\r\n]*+"
NUMBER = r"(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)"
BOOLEAN = "(true|false)"

# Without NUL and halves of characters, and without bytes that are no text (see ``NO_TEXT``).
PLAIN = r'[^"\\\x00-\x1f\udc80-\udcff]*+'
ESCAPE = r'\\(?:["\\/bfnrt]|u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4})'
INNER = f"{PLAIN}(?:{ESCAPE}{PLAIN})*+"
STRING = f'"({INNER})"'
JSON_STRING = f'("{INNER}")'


class Template:
    """Records with the same members in the same order; any but an object's first may be missing."""

    def __init__(
        self,
        pattern: str,
        positions: Sequence[int],
        strings: Iterable[int],
        typed: Mapping[int, type[TypedValue]],
    ) -> None:
        """Compile a pattern whose groups are the values at ``positions``.

        Lines are written without spaces or as Python writes them, nearly always; to look for no
        others takes a quarter less.
        """
        self._lines = [
            re.compile(f"(?m:^){written}[ \\t\\r]*+\\n")
            for written in (
                pattern.replace(SPACE, ""),
                pattern.replace(f",{SPACE}", ", ").replace(f":{SPACE}", ": ").replace(SPACE, ""),
                SPACE + pattern,
            )
        ]
        wide = f"{SPACE}{pattern}{SPACE}".replace(SPACE, WIDE_SPACE)
        self._record = re.compile(wide)
        self._positions = positions
        self._strings = tuple(strings)
        self._typed = tuple(typed.items())

    def split(self, text: str, width: int) -> tuple[list[str], ColumnRecords]:
        """Take the lines of a text apart; each ends with a line end.

        Args:
            text: the lines.
            width: how many values a record has.

        Returns:
            The lines between the records that fit, and the records: piece 0 stands before record
            0, piece 1 between records 0 and 1, and one piece comes after the last.
        """
        line = next((one for one in self._lines if one.match(text)), self._lines[-1])
        parts = line.split(text)
        groups = len(self._positions) + 1
        pieces = parts[0::groups]
        columns: list[Any] = [[None] * (len(pieces) - 1)] * width
        for group, position in enumerate(self._positions, start=1):
            columns[position] = parts[group::groups]
        if "\\" in text:
            for position in self._strings:
                columns[position] = [_unescaped(value) for value in columns[position]]
        for position, kind in self._typed:
            columns[position] = [value and kind(value) for value in columns[position]]
        return pieces, ColumnRecords(columns)

    def match(self, text: str, width: int) -> tuple[str | None, ...] | None:
        """The values of one record; None where it has another shape."""
        found = self._record.fullmatch(text)
        if found is None:
            return None
        values: list[str | None] = [None] * width
        for position, value in zip(self._positions, found.groups(), strict=True):
            values[position] = value
        if "\\" in text:
            for position in self._strings:
                values[position] = _unescaped(values[position])
        for position, kind in self._typed:
            value = values[position]
            values[position] = value and kind(value)
        return tuple(values)


def _unescaped(value: str | None) -> str | None:
    if value is None or "\\" not in value:
        return value
    return str(scanstring(value + '"', 0)[0])


def make_template(records: Sequence[dict[str, Any]], fields: JsonFields) -> Template | None:
    """A template by the example of a few records; None where they have no common flat shape."""
    if not records:
        return None
    maker = _Maker(fields)
    for record in records:
        maker.see(record, "")
    pattern = maker.pattern(max(records, key=len), "")
    if pattern is None or not maker.positions:
        return None
    return Template(pattern, maker.positions, maker.strings, maker.typed)


class _Maker:
    def __init__(self, fields: JsonFields) -> None:
        self._fields = fields
        self._kinds: dict[str, type] = {}
        self.positions: list[int] = []
        self.strings: list[int] = []
        self.typed: dict[int, type[TypedValue]] = {}

    def see(self, members: dict[str, Any], prefix: str) -> None:
        """Remember the kind of each value that is there."""
        for key, value in members.items():
            if isinstance(value, dict):
                self.see(value, f"{prefix}{key}.")
            if value is not None:
                self._kinds.setdefault(prefix + key, type(value))

    def pattern(self, members: dict[str, Any], prefix: str) -> str | None:
        """The pattern of an object, its values as groups; None where it has to be parsed."""
        parts: list[str] = []
        for key, value in members.items():
            inner = self._member(prefix + key, value)
            if inner is None or json.dumps(key, ensure_ascii=False) != f'"{key}"':
                return None
            member = f'"{re.escape(key)}"{SPACE}:{SPACE}{inner}{SPACE}'
            # A missing first member would leave a comma behind; such records are parsed.
            parts.append(f"(?:,{SPACE}{member})?+" if parts else member)
        return rf"\{{{SPACE}{''.join(parts)}\}}"

    def _member(self, name: str, value: Any) -> str | None:
        position = self._fields.position(name)
        if position is None:
            is_opened = self._fields.is_opened(name) and isinstance(value, dict)
            inner = self.pattern(value, f"{name}.") if is_opened else None
            return inner and f"(?:{inner}|null)"
        if self._fields.is_opened(name) or position in self.positions:
            return None
        kind = self._kinds.get(name)
        if kind is None:
            return "null"
        wants_json = self._fields.wants_json(position)
        strings = JSON_STRING if wants_json else STRING
        group = {str: strings, TypedNumber: NUMBER, bool: BOOLEAN}.get(kind)
        if group is None:
            return None
        self.positions.append(position)
        if kind is str and not wants_json:
            self.strings.append(position)
        if kind is not str and self._fields.is_converted(position):
            self.typed[position] = TypedBoolean if kind is bool else TypedNumber
        return f"(?:{group}|null)"
