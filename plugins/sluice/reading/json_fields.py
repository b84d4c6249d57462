"""One JSON object into a record's values: nested ones by dotted path, numbers as written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.errors import DeliveryError, printable
from sluice.reading.headers import field_names
from sluice.reading.names import NOT_TEXT, snake_case
from sluice.reading.typed_values import TypedBoolean, TypedNumber, TypedValue, converted_columns
from sluice.registry import Source
from sluice.registry.masking import has_masks

# PostgreSQL takes 1,600 columns at most; a file with more unknown keys than this has ids as keys.
MOST_NEW_NAMES = 500

# Deeper objects would exhaust the stack of a parser on the way, PostgreSQL's included.
DEEPEST = 200


class RecordRefusedError(Exception):
    """A record that cannot be loaded; what a ``BadRecord`` says of it."""

    def __init__(
        self,
        code: str,
        reason: str,
        column: str | None = None,
        fields: tuple[str | None, ...] | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.column = column
        self.fields = fields


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        reason = f"The key {shown(twice)} stands twice in one object, so its value is not known."
        raise RecordRefusedError("bad_structure", reason)
    return members


def _no_constant(word: str) -> Any:
    raise RecordRefusedError("bad_structure", f"{word} is no value of JSON.")


_decode: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_float=TypedNumber,
    parse_int=TypedNumber,
    parse_constant=_no_constant,
).decode

_slices = msgspec.json.Decoder(dict[str, msgspec.Raw])


def shown(text: str) -> str:
    """Text of a file in a sentence: quoted, cut where long, without control characters."""
    cut = text if len(text) <= 200 else text[:200] + "..."
    return repr(printable(cut))


def decode_object(text: str) -> dict[str, Any]:
    """The members of a JSON object, numbers as text.

    Raises:
        RecordRefusedError: the text is no JSON, no object, or has a key twice in one object.
    """
    if text.count("{") + text.count("[") > DEEPEST and _depth(text) > DEEPEST:
        reason = f"The record has more than {DEEPEST} objects and arrays within one another."
        raise RecordRefusedError("bad_structure", reason)
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        if "\0" in text:
            raise RecordRefusedError("nul_byte", "The record has a NUL byte.") from None
        reason = f"The record is no JSON: {error.msg}, at character {error.pos + 1}."
        raise RecordRefusedError("bad_structure", reason) from None
    if not isinstance(value, dict):
        kind = "an array" if isinstance(value, list) else "a single value"
        raise RecordRefusedError("bad_structure", f"The record is {kind}, not an object.")
    return value


def _depth(text: str) -> int:
    """How deep brackets are nested, those within strings included: never less than it is."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


@dataclass(frozen=True, slots=True)
class _Unknown:
    name: str
    has_value: bool


class JsonFields:
    """Takes objects apart by the names that the registry gives: each a dotted path.

    A member belongs to the column that has its name: its key, after the keys of the objects around
    it and a dot. An object is opened where the registry has columns below it; anywhere else its
    value is its JSON text. A member that belongs to no column is unknown, also within an object
    that was opened; below a column that takes the whole object nothing is unknown.

    A missing key and null are missing values; an empty string is a value.

    What an unknown member means, by ``schema_contract: new_columns``: with ``freeze`` the delivery
    is refused; with ``discard_row`` the record is rejected if it has a value there; with
    ``evolve`` and ``discard_value`` its name is one of ``names``: ``collect`` is called with every
    record of the file beforehand.

    Attributes:
        names: the names of the columns in the files, then those found by ``collect``.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.names = field_names(source)
        self._positions = {name: position for position, name in enumerate(self.names)}
        self._as_json = {
            position
            for position, column in enumerate(source.columns.values())
            if column.data_type == "json"
        }
        converted = converted_columns(source)
        self._converted = {
            position for position, name in enumerate(source.columns) if name in converted
        }
        self._prefixes = frozenset(
            name[:end] for name in self.names for end in range(len(name)) if name[end] == "."
        )
        self._aliases: dict[str, int | None] = {}

    @property
    def keeps_new_names(self) -> bool:
        """Whether unknown members are fields of their own."""
        return self._source.schema_contract.new_columns in ("evolve", "discard_value")

    def position(self, name: str) -> int | None:
        """The place among ``names`` of a dotted name in a file; None where it is unknown."""
        position = self._positions.get(name)
        if position is None and self._source.column_names == "snake_case":
            if name not in self._aliases:
                self._aliases[name] = self._normalised(name)
            position = self._aliases[name]
        return position

    def is_opened(self, name: str) -> bool:
        """Whether an object of this dotted name is taken apart."""
        return name in self._prefixes

    def wants_json(self, position: int) -> bool:
        """Whether a value is wanted as JSON text even where it is a string."""
        return position in self._as_json

    def is_converted(self, position: int) -> bool:
        """Whether it matters that a value is no string: it is a ``TypedNumber`` or the like."""
        return position in self._converted

    def take_apart(self, text: str, number: int) -> tuple[str | None, ...]:
        """The values of a record, in the order of ``names``.

        Raises:
            RecordRefusedError: the record cannot be loaded.
            DeliveryError: it has an unknown member, and the contract is ``freeze``.
        """
        values: list[str | None] = [None] * len(self.names)
        unknown = self._flatten(decode_object(text), (), values, text)
        for member in unknown:
            self._refuse_unknown(member, number, tuple(values))
        return tuple(values)

    def collect(self, text: str) -> None:
        """Add the unknown members of a record to ``names``.

        Raises:
            RecordRefusedError: the record cannot be taken apart.
            DeliveryError: there are too many.
        """
        values: list[str | None] = [None] * len(self.names)
        new = {member.name: None for member in self._flatten(decode_object(text), (), values, text)}
        if not new:
            return
        for name in new:
            self._positions[name] = len(self._positions)
        self.names += tuple(new)
        self._aliases.clear()
        if len(self.names) - len(self._source.columns) > MOST_NEW_NAMES:
            raise DeliveryError(
                f"The file has more than {MOST_NEW_NAMES} keys that the registry does not, such as"
                f" {shown(self.names[-1])}.",
                code="unknown_column",
                where_masked=f"The file has more than {MOST_NEW_NAMES} keys that the registry does"
                " not.",
                remedy="If keys are data, such as ids, let one column of data_type json take the"
                " object that holds them.",
            )

    def _normalised(self, name: str) -> int | None:
        own = snake_case(name)
        column = self._source.columns.get(own)
        return None if column is None or column.from_ is not None else self._positions[own]

    def _flatten(
        self,
        members: dict[str, Any],
        path: tuple[str, ...],
        values: list[str | None],
        text: str,
        *,
        is_kept: bool = False,
    ) -> list[_Unknown]:
        """Put the values of an object in their places; gives the members that have none."""
        unknown: list[_Unknown] = []
        prefix = "".join(f"{key}." for key in path)
        for key, value in members.items():
            name = prefix + key
            position = self.position(name)
            is_opened = name in self._prefixes
            if position is not None and value is not None:
                if values[position] is not None:
                    reason = f"Two keys stand for {shown(name)}, so its value is not known."
                    raise RecordRefusedError("bad_structure", reason, self.names[position])
                values[position] = self._text(value, position, (*path, key), text)
            if is_opened and isinstance(value, dict):
                unknown += self._flatten(
                    value, (*path, key), values, text, is_kept=is_kept or position is not None
                )
            elif position is None and not is_kept and not (is_opened and value is None):
                if NOT_TEXT.search(name):
                    reason = f"The key {shown(name)} has a character that no name can have."
                    raise RecordRefusedError("bad_structure", reason)
                unknown.append(_Unknown(name, value is not None))
        return unknown

    def _text(self, value: Any, position: int, path: tuple[str, ...], text: str) -> str:
        if isinstance(value, bool):
            value = TypedBoolean("true" if value else "false")
        if isinstance(value, TypedValue):
            return value if position in self._converted else str(value)
        if not isinstance(value, str) or position in self._as_json:
            return _slice(text, path)
        bad = None if value.isascii() and "\0" not in value else NOT_TEXT.search(value)
        if bad is None:
            return str(value)
        name = self.names[position]
        if bad[0] == "\0":
            raise RecordRefusedError("nul_byte", f"{name} has a NUL character.", name)
        reason = f"{name} has half of a character: \\u{ord(bad[0]):04x} alone stands for none."
        raise RecordRefusedError("bad_encoding", reason, name)

    def _refuse_unknown(
        self, member: _Unknown, number: int, fields: tuple[str | None, ...]
    ) -> None:
        name = shown(member.name)
        if self._source.schema_contract.new_columns == "freeze":
            raise DeliveryError(
                f"Record {number} has {name}, which the registry does not.",
                code="unknown_column",
                record=number,
                column=member.name,
                remedy=f"Add it to registry/sources/{self._source.name}.yml, let schema_contract"
                " say what becomes of it, or deliver the file without it.",
                where_masked=f"Record {number} has a key that the registry does not.",
            )
        if member.has_value and has_masks(self._source):  # keys may be data
            reason = "The record has a value in a key that the registry does not."
            raise RecordRefusedError("unknown_value", reason, None, fields)
        if member.has_value:
            reason = f"The record has a value in {name}, which the registry does not."
            raise RecordRefusedError("unknown_value", reason, member.name, fields)


def _slice(text: str, path: Sequence[str]) -> str:
    """The JSON text of a value, as the file has it."""
    try:
        raw: msgspec.Raw | str = text
        for key in path:
            raw = _slices.decode(raw)[key]
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        reason = f"The record is no JSON: {error}."
        raise RecordRefusedError("bad_structure", reason) from None
    return str(raw, "utf-8")  # type: ignore[arg-type]
