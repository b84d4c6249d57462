"""The patterns of exact values: Python and Arrow read them alike, and they take nothing more."""

from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading.exact_values import change_of, exact_matcher, exact_pattern
from sluice.reading.plain_values import NotPlainError, typed, typed_where_plain
from sluice.registry import Column

COLUMNS = [
    Column(data_type="bigint"),
    Column(data_type="double"),
    Column(data_type="decimal"),
    Column(data_type="decimal", precision=4),
    Column(data_type="decimal", precision=6, scale=2),
    Column(data_type="bool"),
    Column(data_type="date"),
    Column(data_type="time"),
    Column(data_type="timestamp"),
    Column(data_type="timestamp", timezone=False),
    Column(data_type="json"),
]
WORDS = [
    "00",
    "2026",
    "01",
    "jan",
    "May",
    "PM",
    "Z",
    "+05:30",
    "true",
    "off",
    "000000",
    "2026-01-02",
    "10:00",
    "nan",
    "inf",
    "BC",
    "UTC",
]
PIECES = st.sampled_from([*WORDS, *"0123456789", *' +-.:/,eE_xTZtfy{}"\n\u0661'])


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.postgres_type)
@given(value=st.lists(PIECES, max_size=8).map("".join))
def test_both_engines_read_the_pattern_alike(column: Column, value: str) -> None:
    pattern = exact_pattern(column)
    assert pattern is not None
    by_arrow = pc.match_substring_regex(pa.array([value]), rf"\A(?:{pattern})\z")[0].as_py()
    match = exact_matcher(column)
    assert match is not None
    assert by_arrow == (match(value) is not None)
    if by_arrow:
        assert change_of(value, column) is None


@pytest.mark.parametrize("column", COLUMNS[:-1], ids=lambda column: column.postgres_type)
@given(values=st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=3))
def test_what_is_plain_is_exact(column: Column, values: list[str]) -> None:
    texts = pa.array(values)
    try:
        typed(texts, column)
        plain = values
    except NotPlainError:
        try:
            _, is_plain = typed_where_plain(texts, column)
        except NotPlainError:
            return
        plain = [value for value, is_so in zip(values, is_plain.to_pylist(), strict=True) if is_so]
    assert [change_of(value, column) for value in plain] == [None] * len(plain)


def test_a_text_is_never_changed() -> None:
    assert change_of("now", Column(data_type="text")) is None


@pytest.mark.parametrize("value", ["2026-06-01 known", "snow", "nowhere"])
def test_a_word_within_another_is_no_relative_time(value: str) -> None:
    change = change_of(value, Column(data_type="timestamp"))
    assert change is not None
    assert "another time" not in change.reason


@pytest.mark.parametrize("value", ["NaN0", "sNaN", "-nan7", "1_0"])
def test_what_only_python_takes_for_a_number_is_none(value: str) -> None:
    change = change_of(value, Column(data_type="decimal", precision=6, scale=2))
    assert change is not None
    assert change.code == "wrong_type"
