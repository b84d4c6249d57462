"""Arrow's values as the text that PostgreSQL reads back exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import types

from sluice.reading.fields import ColumnRecords, Fields
from sluice.reading.typed_values import (
    EXACT,
    TypedBoolean,
    TypedMoment,
    TypedNumber,
    TypedValue,
)

TEXTS: tuple[Callable[[pa.DataType], bool], ...] = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
)
SCALARS: tuple[Callable[[pa.DataType], bool], ...] = (
    *TEXTS,
    types.is_integer,
    types.is_floating,
    types.is_decimal,
    types.is_boolean,
    types.is_date,
    types.is_time,
    types.is_timestamp,
    types.is_null,
)

UNCERTAIN = "is the float {!r}: from 2^53 on, it may stand for another whole number."

# Its offsets have room for any batch.
TEXT = pa.large_string()

_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class NoText:
    """Why a value cannot be loaded.

    Attributes:
        code: the stable word.
        reason: a sentence that begins after the column's name.
    """

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Texts:
    """The values of a column.

    Attributes:
        values: each as text (Arrow's large_string); null where it is missing. Where it has no text
            that PostgreSQL would read as the same value, the nearest to it, to be shown.
        without: the places of those.
    """

    values: pa.Array
    without: dict[int, NoText] = field(default_factory=dict)


def can_be_text(data_type: pa.DataType) -> bool:
    """Whether values of this type have a text or JSON of their own."""
    if _is_one_of(SCALARS, data_type) or isinstance(data_type, pa.UuidType):
        return True
    if isinstance(data_type, pa.BaseExtensionType):
        return can_be_text(data_type.storage_type)
    if types.is_dictionary(data_type):
        return can_be_text(data_type.value_type)
    if not types.is_nested(data_type) or types.is_union(data_type):
        return False
    return all(map(can_be_text, _parts(data_type)))


def _parts(data_type: pa.DataType) -> Iterator[pa.DataType]:
    return (data_type.field(index).type for index in range(data_type.num_fields))


def _is_temporal(data_type: pa.DataType) -> bool:
    return bool(types.is_timestamp(data_type) or types.is_time(data_type))


def _is_one_of(kinds: tuple[Callable[[pa.DataType], bool], ...], data_type: pa.DataType) -> bool:
    return any(is_kind(data_type) for is_kind in kinds)


def kind_of(data_type: pa.DataType) -> type[TypedValue] | None:
    """The kind of a column's values; None where they are texts, or of no kind that is converted."""
    if types.is_dictionary(data_type):
        return kind_of(data_type.value_type)
    if _is_one_of((types.is_integer, types.is_floating, types.is_decimal), data_type):
        return TypedNumber
    if _is_temporal(data_type) or types.is_date(data_type):
        return TypedMoment
    return TypedBoolean if types.is_boolean(data_type) else None


def texts_of(array: pa.Array) -> Texts:
    """The values of a column of a type that ``can_be_text``."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.UuidType):
        values = [None if value is None else str(value) for value in array.to_pylist()]
        return Texts(pa.array(values, TEXT))
    if isinstance(array.type, pa.BaseExtensionType):
        return texts_of(array.storage)
    if types.is_nested(array.type):
        return _one_by_one(array, _json_writer(array.type))
    if _is_one_of(TEXTS, array.type):
        return _strings(array)
    if _is_temporal(array.type):
        return _moments(array)
    # The nearest decimal of a float with fewer bits is not the value itself.
    if types.is_floating(array.type):
        return Texts(_floats(pc.cast(array, pa.float64())))
    return Texts(pc.cast(array, TEXT))


def _floats(array: pa.Array) -> pa.Array:
    """Whole ones in digits, as far as they are surely those that were meant: 1e+15 is no bigint.

    What holds whole numbers with missing ones among them is a float to pandas.
    """
    texts = pc.cast(array, TEXT)
    is_short = pc.less(pc.abs(array), float(EXACT))
    is_whole = pc.and_(is_short, pc.equal(pc.floor(array), array))
    is_digits = pc.and_(is_whole, pc.match_substring(texts, "e"))
    if not pc.any(is_digits).as_py():
        return texts
    whole = pc.cast(pc.if_else(is_digits, array, 0.0), pa.int64())
    return pc.if_else(is_digits, pc.cast(whole, TEXT), texts)


def uncertain_wholes(array: pa.Array) -> dict[int, NoText]:
    """The places of floats that may stand for another whole number than their own."""
    if not types.is_floating(array.type):
        return {}
    numbers = pc.cast(array, pa.float64())
    is_large = pc.and_(pc.greater_equal(pc.abs(numbers), float(EXACT)), pc.is_finite(numbers))
    return {
        index: NoText("not_exact", UNCERTAIN.format(numbers[index].as_py()))
        for index in pc.indices_nonzero(is_large).to_pylist()
    }


def _strings(array: pa.Array) -> Texts:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return _one_by_one(array, _string)
    texts = pc.cast(array, TEXT)
    data = texts.buffers()[2]
    has_nul = data is not None and b"\0" in data.to_pybytes()
    return _one_by_one(array, _string) if has_nul else Texts(texts)


def _string(value: pa.Scalar) -> tuple[str, NoText | None]:
    data = value.as_buffer().to_pybytes()
    text = data.decode("utf-8", "backslashreplace")
    if b"\0" in data:
        return text.replace("\0", r"\x00"), NoText("nul_byte", "has a NUL character.")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        reason = f"is no UTF-8: byte 0x{data[error.start]:02X} after {error.start} bytes."
        return text, NoText("bad_encoding", reason)
    return text, None


def _moments(array: pa.Array) -> Texts:
    if types.is_timestamp(array.type):
        # Whatever the zone that a file names, its moments are counted in UTC.
        sign = "Z" if array.type.tz else ""
        array = pc.cast(array, pa.timestamp(array.type.unit, "UTC" if sign else None))
        array = pc.cast(array, pa.timestamp(array.type.unit))
        coarse_type = pa.timestamp("us")
    else:
        sign = ""
        coarse_type = pa.time64("us")
    if array.type.unit != "ns":
        return Texts(_signed(array, sign))
    fine = array
    coarse = pc.cast(fine, coarse_type, safe=False)
    values = _signed(coarse, sign)
    differs = pc.not_equal(pc.cast(coarse, fine.type), fine)
    if not pc.any(differs).as_py():
        return Texts(values)
    # What a column's type would not keep of these is seen where values are held against it.
    return Texts(pc.if_else(differs, _signed(fine, sign), values))


def _signed(moments: pa.Array, sign: str) -> pa.Array:
    """Moments as text, with a sign after them: Arrow's own text of UTC takes 16 times as long."""
    texts = pc.cast(moments, TEXT)
    return pc.binary_join_element_wise(texts, *(pa.scalar(one, TEXT) for one in (sign, "")))


def _one_by_one(
    array: pa.Array, text_of: Callable[[pa.Scalar], tuple[str, NoText | None]]
) -> Texts:
    """The slow way, for the columns that need it."""
    values: list[str | None] = []
    without: dict[int, NoText] = {}
    for index, value in enumerate(array):
        text, no_text = text_of(value) if value.is_valid else (None, None)
        values.append(text)
        if no_text is not None:
            without[index] = no_text
    return Texts(pa.array(values, TEXT), without)


def _json_writer(data_type: pa.DataType) -> Callable[[pa.Scalar], tuple[str, NoText | None]]:
    """What writes values of a nested type as JSON.

    Python's datetime, through which moments pass, knows no nanoseconds: a value that has some is
    written with Arrow's own text of its moments.
    """
    coarse_type = _with_nanoseconds_as(_in_microseconds, data_type)
    if coarse_type == data_type:
        return _json
    text_type = _with_nanoseconds_as(lambda _: TEXT, data_type)

    def write(value: pa.Scalar) -> tuple[str, NoText | None]:
        try:
            return _json(value.cast(coarse_type))
        except pa.ArrowInvalid:
            return _json(value.cast(text_type))

    return write


def _in_microseconds(data_type: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", data_type.tz) if types.is_timestamp(data_type) else pa.time64("us")


def _with_nanoseconds_as(
    other: Callable[[pa.DataType], pa.DataType], data_type: pa.DataType
) -> pa.DataType:
    """A type with others in place of those that have nanoseconds."""
    if _is_temporal(data_type):
        return other(data_type) if data_type.unit == "ns" else data_type
    if not types.is_nested(data_type):
        return data_type
    parts = [
        part.with_type(_with_nanoseconds_as(other, part.type))
        for part in (data_type.field(index) for index in range(data_type.num_fields))
    ]
    if types.is_struct(data_type):
        return pa.struct(parts)
    if types.is_map(data_type):
        return pa.map_(*parts[0].flatten())
    if types.is_fixed_size_list(data_type):
        return pa.list_(*parts, data_type.list_size)
    return (pa.large_list if types.is_large_list(data_type) else pa.list_)(*parts)


def _json(value: pa.Scalar) -> tuple[str, NoText | None]:
    try:
        members = value.as_py(maps_as_pydicts="strict")
        if _has_no_json(members):
            return str(members), NoText("not_finite", "has NaN or infinity, which JSON has not.")
        text = _encode(members).decode()
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        return str(value), NoText("wrong_type", f"cannot be written as JSON: {error}.")
    return text, None


def _has_no_json(value: Any) -> bool:
    """Whether there is a number in it that JSON cannot say."""
    if isinstance(value, dict):
        return any(map(_has_no_json, value.values()))
    if isinstance(value, list):
        return any(map(_has_no_json, value))
    return isinstance(value, float) and not math.isfinite(value)


class ArrowRecords(ColumnRecords):
    """Records as Arrow's columns of text.

    Attributes:
        arrays: the columns.
    """

    def __init__(
        self, arrays: Sequence[pa.Array], kinds: Mapping[int, type[TypedValue]] | None = None
    ) -> None:
        """Take columns of ``TEXT``, of equal length; ``kinds`` marks the values of some."""
        self.arrays = arrays
        self._kinds = kinds or {}

    @cached_property
    def columns(self) -> Sequence[Sequence[str | None]]:  # type: ignore[override]
        """The values of each field, as Python's."""
        columns = [array.to_pylist() for array in self.arrays]
        for position, kind in self._kinds.items():
            columns[position] = [value and kind(value) for value in columns[position]]
        return columns

    def __len__(self) -> int:
        return len(self.arrays[0])

    def _record(self, index: int) -> Fields:
        fields = [array[index].as_py() for array in self.arrays]
        for position, kind in self._kinds.items():
            fields[position] = fields[position] and kind(fields[position])
        return tuple(fields)

    def pick(self, positions: Sequence[int]) -> ArrowRecords:
        """The same records with the fields at some positions only."""
        kinds = {
            place: self._kinds[position]
            for place, position in enumerate(positions)
            if position in self._kinds
        }
        return ArrowRecords([self.arrays[position] for position in positions], kinds)

    def joined(self, numbers: Sequence[int]) -> tuple[str, int]:
        """As ``ColumnRecords`` has it, at the speed of Arrow."""
        first = pc.cast(pa.array(numbers, pa.int64()), TEXT)
        tab, end, nothing = (pa.scalar(text, TEXT) for text in ("\t", "\n", ""))
        records = pc.binary_join_element_wise(
            first, *self.arrays, tab, null_handling="replace", null_replacement="\\N"
        )
        lines = pc.binary_join_element_wise(records, nothing, end)
        missing = sum(array.null_count for array in self.arrays)
        return lines.buffers()[2].to_pybytes().decode(), missing
