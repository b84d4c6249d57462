from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import ConfigError
from sluice.reading.values import converters, null_words
from tests.reading.readers import source_of


def convert(text: str, data_type: str, **rules: Any) -> str:
    column = {"data_type": data_type, "values": rules}
    return converters(source_of("csv", {"x": column}))["x"](text)


GERMAN = {"decimal_separator": ",", "thousands_separator": "."}


@pytest.mark.parametrize(
    ("text", "rules", "expected"),
    [
        ("1.234.567,89", GERMAN, "1234567.89"),
        ("1234567,89", GERMAN, "1234567.89"),
        ("-1.234", GERMAN, "-1234"),
        ("+0,50", GERMAN, "+0.50"),
        (",5", GERMAN, "0.5"),
        ("0,123", GERMAN, "0.123"),
        ("007", GERMAN, "007"),
        ("100.000", GERMAN, "100000"),
        (" 12 ", GERMAN, "12"),
        ("1,5e3", GERMAN, "1.5e3"),
        ("1,234,567.8900", {"thousands_separator": ","}, "1234567.8900"),
        ("1 234 567", {"thousands_separator": " "}, "1234567"),
        ("1\u00a0234\u00a0567", {"thousands_separator": "\u00a0"}, "1234567"),
        ("1\u202f234 567", {"thousands_separator": "\u202f"}, "1234567"),
        (
            "1\u202f234\u00a0567,5",
            {"thousands_separator": " ", "decimal_separator": ","},
            "1234567.5",
        ),
        ("1'000", {"thousands_separator": "'"}, "1000"),
        ("12,5", {"decimal_separator": ","}, "12.5"),
    ],
)
def test_numbers(text: str, rules: dict[str, str], expected: str) -> None:
    assert convert(text, "decimal", **rules) == expected


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("1.23.456", GERMAN),
        ("1234.567", GERMAN),
        ("1.234.56", GERMAN),
        ("1,234.5", GERMAN),
        ("1.5", GERMAN),
        (".123", GERMAN),
        ("0.123", GERMAN),
        ("00.123", GERMAN),
        ("0.123,5", GERMAN),
        ("-0.500", GERMAN),
        ("012.345", GERMAN),
        ("0,123", {"thousands_separator": ","}),
        ("1,2,3", GERMAN),
        ("5,", GERMAN),
        (",", GERMAN),
        ("", GERMAN),
        ("-", GERMAN),
        ("1 5", GERMAN),
        ("٣,٤", GERMAN),
        ("NaN", GERMAN),
        ("1,23,456", {"thousands_separator": ","}),
        ("1.234,5", {"decimal_separator": ","}),
        ("1 234", {"thousands_separator": ","}),
    ],
)
def test_numbers_that_are_not_written_as_declared(text: str, rules: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is no number written with"):
        convert(text, "decimal", **rules)


@given(st.decimals(-(10**15), 10**15, places=3), st.booleans())
def test_any_number_comes_back(number: Any, grouped: bool) -> None:
    text = f"{number:,}" if grouped else f"{number}"
    german = text.translate(str.maketrans(",.", ".,"))
    assert convert(german, "decimal", **GERMAN) == f"{number}"


@pytest.mark.parametrize(
    ("text", "order", "data_type", "expected"),
    [
        ("31.12.2026", "dmy", "date", "2026-12-31"),
        ("1/2/2026", "dmy", "date", "2026-02-01"),
        ("1/2/2026", "mdy", "date", "2026-01-02"),
        ("2026-1-2", "ymd", "date", "2026-01-02"),
        ("31122026", "dmy", "date", "2026-12-31"),
        ("31.12.2026 23:59:59.123456", "dmy", "timestamp", "2026-12-31 23:59:59.123456"),
        ("31.12.2026T23:59+02:00", "dmy", "timestamp", "2026-12-31T23:59+02:00"),
        ("12/31/2026 11:59 PM", "mdy", "timestamp", "2026-12-31 11:59 PM"),
        ("31.12.2026", "dmy", "timestamp", "2026-12-31"),
        ("31.12.2026 00:00", "dmy", "date", "2026-12-31"),
        ("31.12.2026 00:00:00", "dmy", "date", "2026-12-31"),
        ("31122026T00:00:00.000Z", "dmy", "date", "2026-12-31"),
        ("12/31/2026 12:00:00 AM", "mdy", "date", "2026-12-31"),
    ],
)
def test_dates_by_order(text: str, order: str, data_type: str, expected: str) -> None:
    assert convert(text, data_type, date_order=order) == expected


@pytest.mark.parametrize(
    ("text", "order", "data_type", "message"),
    [
        ("31.12.26", "dmy", "date", "the year with four"),
        ("2026-12-31", "dmy", "date", "is no date of day, month, year"),
        ("12.31.2026", "dmy", "date", "is no day of the calendar"),
        ("29.02.2026", "dmy", "date", "is no day of the calendar"),
        ("31.12-2026", "dmy", "date", "is no date"),
        ("٣١.12.2026", "dmy", "date", "is no date"),
        ("yesterday", "dmy", "date", "is no date"),
        ("31.12.2026 10:00", "dmy", "date", "more than a date"),
        ("31.12.2026 00:00:01", "dmy", "date", "more than a date"),
        ("31.12.2026 00:00:00.0000001", "dmy", "date", "more than a date"),
        ("31.12.2026 00:00 +02", "dmy", "date", "more than a date"),
        ("12/31/2026 12:00 PM", "mdy", "date", "more than a date"),
        ("31.12.2026 noon", "dmy", "timestamp", "no time of day"),
        ("31.12.2026 10:00:00.1234567", "dmy", "timestamp", "no time of day"),
    ],
)
def test_dates_that_are_not_written_as_declared(
    text: str, order: str, data_type: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(text, data_type, date_order=order)


@given(st.dates(date(1000, 1, 1)), st.sampled_from("./- "))
def test_any_date_comes_back(day: date, separator: str) -> None:
    text = day.strftime(f"%d{separator}%m{separator}%Y")
    assert convert(text, "date", date_order="dmy") == day.isoformat()


@pytest.mark.parametrize(
    ("text", "time_format", "data_type", "expected"),
    [
        ("31. Dec 2026", "%d. %b %Y", "date", "2026-12-31"),
        ("31.12.2026 17:05", "%d.%m.%Y %H:%M", "timestamp", "2026-12-31 17:05:00"),
        ("12/31/2026 05:05 PM", "%m/%d/%Y %I:%M %p", "timestamp", "2026-12-31 17:05:00"),
        ("20261231T170509+0200", "%Y%m%dT%H%M%S%z", "timestamp", "2026-12-31 17:05:09+02:00"),
        ("20261231", "%Y%m%d", "timestamp", "2026-12-31 00:00:00"),
        ("1705", "%H%M", "time", "17:05:00"),
        ("1.2.2026", "%d.%m.%Y", "date", "2026-02-01"),
        ("9:5", "%H:%M", "time", "09:05:00"),
        ("2026001", "%Y%j", "date", "2026-01-01"),
        ("260102", "%y%m%d", "date", "2026-01-02"),
        ("20260102030405000006", "%Y%m%d%H%M%S%f", "timestamp", "2026-01-02 03:04:05.000006"),
        ("03:04:05.6", "%H:%M:%S.%f", "time", "03:04:05.600000"),
        ("1Feb2026", "%d%b%Y", "date", "2026-02-01"),
        ("0905PM", "%I%M%p", "time", "21:05:00"),
        ("1.2.2026 5+0200", "%d.%m.%Y %H%z", "timestamp", "2026-02-01 05:00:00+02:00"),
        ("100% 01022026", "100%% %d%m%Y", "date", "2026-02-01"),
    ],
)
def test_times_by_format(text: str, time_format: str, data_type: str, expected: str) -> None:
    assert convert(text, data_type, time_format=time_format) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("31/12/2026", {"data_type": "date"}, "is not written as %d.%m.%Y"),
        ("31.02.2026", {"data_type": "date"}, "is not written as %d.%m.%Y"),
        ("31.12.2026x", {"data_type": "date"}, "is not written as %d.%m.%Y"),
    ],
)
def test_times_that_are_not_written_as_declared(text: str, column: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(text, column["data_type"], time_format="%d.%m.%Y")


@pytest.mark.parametrize(
    ("text", "time_format", "data_type"),
    [
        ("1022026", "%d%m%Y", "date"),  # it was 01022026, or 10022026
        ("2026123", "%Y%m%d", "date"),
        ("12345", "%H%M%S", "time"),
        ("2026010230405", "%Y%m%d%H%M%S", "timestamp"),
        ("202611", "%Y%j", "date"),
        ("1234567", "%H%M%S%f", "time"),  # 12:34:56.7, or 01:23:45.67
        ("905PM", "%I%M%p", "time"),
        ("at 131", "at %H1%M", "time"),
        ("1 22026", "%d%m%Y", "date"),
        ("\u0661.2.2026", "%d.%m.%Y", "date"),
    ],
)
def test_numbers_that_meet_have_all_of_their_digits(
    text: str, time_format: str, data_type: str
) -> None:
    with pytest.raises(ValueError, match="is not written as"):
        convert(text, data_type, time_format=time_format)


@given(st.datetimes(datetime(1000, 1, 1)), st.data())  # noqa: DTZ001
def test_a_packed_moment_that_has_lost_a_zero_is_no_other(moment: datetime, data: Any) -> None:
    time_format = "%Y%m%d%H%M%S%f"
    text = moment.strftime(time_format)
    assert datetime.fromisoformat(convert(text, "timestamp", time_format=time_format)) == moment
    zeros = [place for place, sign in enumerate(text) if sign == "0"]
    if zeros:
        place = data.draw(st.sampled_from(zeros))
        with pytest.raises(ValueError, match="is not written as"):
            convert(text[:place] + text[place + 1 :], "timestamp", time_format=time_format)


def test_nothing_of_a_time_is_dropped() -> None:
    with pytest.raises(ValueError, match="has a time of day"):
        convert("31.12.2026 10:00", "date", time_format="%d.%m.%Y %H:%M")
    assert convert("31.12.2026 00:00", "date", time_format="%d.%m.%Y %H:%M") == "2026-12-31"
    column = {
        "data_type": "timestamp",
        "timezone": False,
        "values": {"time_format": "%Y-%m-%d %H%z"},
    }
    with pytest.raises(ValueError, match="has a zone"):
        converters(source_of("csv", {"x": column}))["x"]("2026-12-31 10+0200")


@pytest.mark.parametrize(
    ("time_format", "data_type", "message"),
    [
        ("%d.%m.", "date", "year, month and day"),
        ("%H:%M", "timestamp", "year, month and day"),
        ("%Y-%m-%d %I:%M", "timestamp", "of 24"),
        ("%M:%S", "time", "of 24"),
        ("%Y-%m-%d %H:%M", "time", "a time has no date"),
        ("%Y-%m-%d %H:%M %Z", "timestamp", "%Z names zones"),
        ("%x %X", "timestamp", "%x is another format in each language"),
        ("%c", "timestamp", "%c is another format in each language"),
        ("%Y-%m-%d %Q", "date", "bad directive"),
    ],
)
def test_a_format_that_leaves_something_open_is_refused(
    time_format: str, data_type: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        convert("", data_type, time_format=time_format)


@given(st.datetimes(datetime(1000, 1, 1)))  # noqa: DTZ001
def test_any_moment_comes_back(moment: datetime) -> None:
    time_format = "%d.%m.%Y %H:%M:%S.%f"
    text = moment.strftime(time_format)
    assert datetime.fromisoformat(convert(text, "timestamp", time_format=time_format)) == moment


def test_booleans() -> None:
    rules = {"true_values": ("ja", "J"), "false_values": ("nein",)}
    words = ["ja", "J", "nein", "true", "JA", ""]
    assert [convert(word, "bool", **rules) for word in words] == [
        "true",
        "true",
        "false",
        "true",
        "JA",
        "",
    ]


def test_columns_have_converters_only_where_a_rule_is_for_their_type() -> None:
    columns = {
        "name": "text",
        "amount": "decimal",
        "count": {"data_type": "bigint", "values": {"null_values": ("-",)}},
        "day": "date",
        "clock": "time",
        "extra": "json",
        "is_new": "bool",
    }
    source = source_of(
        "csv",
        columns,
        values={"decimal_separator": ",", "date_order": "dmy", "null_values": ("n/a",)},
    )
    assert set(converters(source)) == {"amount", "count", "day"}
    assert null_words(source)["name"] == {"n/a"}
    assert null_words(source)["count"] == {"-"}
    plain = source_of("csv", {"name": "text", "amount": "decimal"})
    assert (converters(plain), null_words(plain)) == ({}, {})
