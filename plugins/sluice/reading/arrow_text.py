"""Arrow's values as the text that PostgreSQL reads back exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import types

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

# Nanoseconds beyond a whole microsecond are not kept by PostgreSQL.
NANOSECONDS = "has nanoseconds, which PostgreSQL would drop: {}."

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
        values: each as text; None where it is missing. Where it has no text that PostgreSQL would
            read as the same value, the nearest to it, to be shown.
        without: the places of those.
    """

    values: list[str | None]
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
    return all(_can_be_json(part) for part in _parts(data_type))


def _can_be_json(data_type: pa.DataType) -> bool:
    # Python's datetime, through which these pass, knows no nanoseconds.
    is_too_fine = _is_temporal(data_type) and data_type.unit == "ns"
    return can_be_text(data_type) and not is_too_fine


def _parts(data_type: pa.DataType) -> Iterator[pa.DataType]:
    return (data_type.field(index).type for index in range(data_type.num_fields))


def _is_temporal(data_type: pa.DataType) -> bool:
    return bool(types.is_timestamp(data_type) or types.is_time(data_type))


def _is_one_of(kinds: tuple[Callable[[pa.DataType], bool], ...], data_type: pa.DataType) -> bool:
    return any(is_kind(data_type) for is_kind in kinds)


def texts_of(array: pa.Array) -> Texts:
    """The values of a column of a type that ``can_be_text``."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.UuidType):
        return Texts([None if value is None else str(value) for value in array.to_pylist()])
    if isinstance(array.type, pa.BaseExtensionType):
        return texts_of(array.storage)
    if types.is_nested(array.type):
        return _one_by_one(array, _json)
    if _is_one_of(TEXTS, array.type):
        return _strings(array)
    if _is_temporal(array.type):
        return _moments(array)
    # The nearest decimal of a float with fewer bits is not the value itself.
    wide = pc.cast(array, pa.float64()) if types.is_floating(array.type) else array
    return Texts(pc.cast(wide, pa.string()).to_pylist())


def _strings(array: pa.Array) -> Texts:
    try:
        has_nul = bool(pc.any(pc.match_substring(array, "\0")).as_py())
        values = array.to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _one_by_one(array, _string)
    return _one_by_one(array, _string) if has_nul else Texts(values)


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
        zone = "UTC" if array.type.tz else None
        array = pc.cast(array, pa.timestamp(array.type.unit, zone))
        coarse_type = pa.timestamp("us", zone)
    else:
        coarse_type = pa.time64("us")
    if array.type.unit != "ns":
        return Texts(pc.cast(array, pa.string()).to_pylist())
    fine = array
    coarse = pc.cast(fine, coarse_type, safe=False)
    values = pc.cast(coarse, pa.string()).to_pylist()
    differs = pc.not_equal(pc.cast(coarse, fine.type), fine)
    if not pc.any(differs).as_py():
        return Texts(values)
    shown = pc.cast(fine, pa.string()).to_pylist()
    places = [index for index, is_so in enumerate(differs.to_pylist()) if is_so]
    for index in places:
        values[index] = shown[index]
    reasons = {index: NoText("out_of_range", NANOSECONDS.format(shown[index])) for index in places}
    return Texts(values, reasons)


def _one_by_one(
    array: pa.Array, text_of: Callable[[pa.Scalar], tuple[str, NoText | None]]
) -> Texts:
    """The slow way, for the columns that need it."""
    texts = Texts([])
    for index, value in enumerate(array):
        if not value.is_valid:
            texts.values.append(None)
            continue
        text, no_text = text_of(value)
        texts.values.append(text)
        if no_text is not None:
            texts.without[index] = no_text
    return texts


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
