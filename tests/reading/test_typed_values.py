"""Numbers, dates and booleans that are such in their file, where the source says how texts are."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading.typed_values import TypedBoolean, TypedMoment, TypedNumber, TypedValue
from sluice.reading.values import converters, writers
from tests.reading.readers import good_records, reader_of, source_of
from tests.reading.workbooks import xlsx

COLUMNS = {
    "n": {"data_type": "decimal", "values": {"decimal_separator": ",", "thousands_separator": "."}},
    "day": {"data_type": "date", "values": {"date_order": "dmy"}},
    "at": {"data_type": "timestamp", "values": {"time_format": "%d.%m.%Y %H:%M"}},
    "clock": {"data_type": "time", "values": {"time_format": "%H.%M"}},
    "sold": {"data_type": "bool", "values": {"true_values": ["ja"], "false_values": ["nein"]}},
    "name": "text",
}
TEXTS = ("1.234", "01.02.2026", "01.02.2026 10:30", "10.30", "ja", "a")
CONVERTED = ("1234", "2026-02-01", "2026-02-01 10:30:00", "10:30:00", "true", "a")


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, indent=1).encode()


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def as_excel(rows: list[dict[str, Any]]) -> bytes:
    return xlsx({"Sheet": [list(rows[0]), *[list(row.values()) for row in rows]]})


FORMATS = {"json": as_json, "jsonl": as_jsonl, "parquet": as_parquet, "excel": as_excel}
# What each format has types for.
TYPED: dict[str, dict[str, Any]] = {
    "json": {"n": 1.234, "sold": False},
    "jsonl": {"n": 1.234, "sold": False},
    "parquet": {
        "n": 1.234,
        "day": date(2026, 2, 1),
        "at": datetime(2026, 2, 1, 10, 30, 15),  # noqa: DTZ001
        "clock": time(10, 30, 15),
        "sold": False,
    },
    "excel": {"n": 1.234, "day": date(2026, 2, 1), "sold": False},
}
WRITTEN = {
    "n": "1.234",
    "day": "2026-02-01",
    "at": "2026-02-01 10:30:15.000000",
    "clock": "10:30:15.000000",
    "sold": "false",
}


def converted(format_: str, rows: list[dict[str, Any]], **keys: Any) -> list[tuple[Any, ...]]:
    source = source_of(format_, COLUMNS, **keys)
    convert = converters(source)
    reader = reader_of(FORMATS[format_](rows), source)
    return [
        tuple(
            value if value is None else convert.get(name, str)(value)
            for name, value in zip(reader.names, fields, strict=True)
        )
        for _, fields in good_records(reader)
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_what_values_says_is_for_texts_only(format_: str) -> None:
    texts = dict(zip(COLUMNS, TEXTS, strict=True))
    typed = {**texts, **TYPED[format_]}
    expected = [WRITTEN[name] if name in TYPED[format_] else text for name, text in texts.items()]
    expected = [
        value if name in TYPED[format_] else done
        for name, value, done in zip(COLUMNS, expected, CONVERTED, strict=True)
    ]
    assert converted(format_, [texts]) == [CONVERTED]
    assert converted(format_, [typed, typed]) == [tuple(expected)] * 2
    if format_ != "parquet":  # its columns have one type each
        rows = [typed, texts, typed, texts]
        assert converted(format_, rows) == [tuple(expected), CONVERTED] * 2


def test_json_numbers_by_the_template_and_by_the_parser() -> None:
    lines = b'{"n":1.234,"sold":true}\n{"sold":false,"n":"1.234"}\n{"n":12.10,"sold":"nein"}\n'
    source = source_of("jsonl", {name: COLUMNS[name] for name in ("n", "sold")})
    convert = converters(source)
    for data in (lines, lines * 100):
        rows = [
            (convert["n"](n or ""), convert["sold"](sold or ""))
            for _, (n, sold) in good_records(reader_of(data, source))
        ]
        assert rows[:3] == [("1.234", "true"), ("1234", "false"), ("12.10", "false")]


@pytest.mark.parametrize("format_", FORMATS)
def test_values_of_columns_that_are_not_converted_have_no_mark(format_: str) -> None:
    source = source_of(format_, {"n": "decimal", "sold": "bool"}, values={"null_values": ["-"]})
    reader = reader_of(FORMATS[format_]([{"n": 1.5, "sold": True}]), source)
    assert [list(map(type, fields)) for _, fields in good_records(reader)] == [[str, str]]


def test_a_number_may_be_a_date_by_its_format_if_it_is_whole() -> None:
    columns = {
        "day": {"data_type": "date", "values": {"time_format": "%Y%m%d"}},
        "clock": {"data_type": "time", "values": {"time_format": "%H.%M"}},
    }
    convert = converters(source_of("excel", columns))
    assert convert["day"](TypedNumber("20260201")) == "2026-02-01"
    with pytest.raises(ValueError, match="is a number, not a date or a time"):
        convert["clock"](TypedNumber("12.3"))


def back(column: dict[str, Any], value: TypedValue) -> str:
    """A typed value that was rejected, out of an export."""
    source = source_of("jsonl", {"x": column})
    return converters(source)["x"](writers(source)["x"](value))


@given(st.decimals(-(10**12), 10**12, places=3).map(str) | st.floats(allow_nan=False).map(repr))
def test_any_number_comes_back_from_an_export(number: str) -> None:
    for values in (COLUMNS["n"], {"data_type": "double", "values": {"thousands_separator": ","}}):
        assert number.endswith("inf") or back(values, TypedNumber(number)) == number


@given(st.datetimes(datetime(1000, 1, 1)), st.sampled_from(["ymd", "dmy", "mdy"]))  # noqa: DTZ001
def test_any_moment_comes_back_from_an_export(moment: datetime, order: str) -> None:
    values = {"data_type": "timestamp", "values": {"date_order": order}}
    text = moment.isoformat(sep=" ")
    assert back(values, TypedMoment(text)) == text
    day = TypedMoment(moment.date().isoformat())
    assert back({"data_type": "date", "values": {"date_order": order}}, day) == day
    fine = {"data_type": "timestamp", "values": {"time_format": "%m/%d/%Y %H:%M:%S.%f"}}
    assert datetime.fromisoformat(back(fine, TypedMoment(text))) == moment
    clock = {"data_type": "time", "values": {"time_format": "%I:%M:%S.%f %p"}}
    assert back(clock, TypedMoment(moment.time().isoformat())) == moment.time().isoformat()
    assert back(COLUMNS["day"], TypedMoment(day)) == day


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", TypedMoment("2026-02-01 10:30:15")),
        ("at", TypedMoment("2026-02-01 10:30:00Z")),
        ("clock", TypedMoment("10:30:15")),
        ("clock", TypedMoment("42:00:00")),
        ("clock", TypedNumber("12.3")),
        ("day", TypedNumber("1022026")),
        ("day", TypedMoment("12026-02-01")),
    ],
)
def test_what_cannot_be_written_as_declared_is_rejected_again(
    column: str, value: TypedValue
) -> None:
    with pytest.raises(ValueError, match=r"is no date|is not written as"):
        back(COLUMNS[column], value)


def test_booleans_come_back_from_an_export() -> None:
    assert back(COLUMNS["sold"], TypedBoolean("true")) == "true"
    assert back(COLUMNS["sold"], TypedBoolean("false")) == "false"
