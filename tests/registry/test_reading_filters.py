"""What a run's filter may say, and what is said of one that it may not."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.errors import ConfigError
from sluice.registry import Pipeline, Registry, Source
from sluice.registry.filters import RecordFilter, read_filter


def source(name: str, columns: dict[str, Any], **keys: Any) -> Source:
    given = {"name": name, "description": "-", "owner": "-", "columns": columns, **keys}
    return Source.model_validate(given)


DATE = {"data_type": "date", "from": "Date"}
MASKED = {"data_type": "text", "mask": "hash"}
SOURCES = {
    "sales": source("sales", {"sale_date": DATE, "id": {"data_type": "bigint"}}),
    "returns": source("returns", {"id": {"data_type": "bigint"}, "name": MASKED, "mail": MASKED}),
    "rates": source("rates", {"rate": {"data_type": "decimal"}}, write_disposition="replace"),
}
PIPELINE = Pipeline(name="shop", description="-", owner="-", sources=tuple(SOURCES))
REGISTRY = Registry(SOURCES, {"shop": PIPELINE})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sale_date=2024-02-24", ("sales", "sale_date", "2024-02-24")),
        ("Date=2024-02-24", ("sales", "sale_date", "2024-02-24")),
        ("sales.SALE_DATE= a=b ", ("sales", "sale_date", " a=b ")),
        ({"column": "date", "equals": "2024-02-24"}, ("sales", "sale_date", "2024-02-24")),
        ({"source": "returns", "column": "id", "equals": 7}, ("returns", "id", "7")),
        ({"source": "returns", "column": "id", "equals": True}, ("returns", "id", "true")),
    ],
)
def test_a_filter_names_a_column_by_its_name_here_or_in_the_files(
    given: Any, expected: tuple[str, str, str]
) -> None:
    assert read_filter(REGISTRY, "shop", given) == RecordFilter(*expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("date", "'date' is no filter"),
        ("=1", "'=1' is no filter"),
        ("date=", "'date=' is no filter"),
        ("price=1", "column 'price', which no source of pipeline shop has"),
        ("sales.rate=1", "column 'rate', which source sales lacks"),
        ("sale.date=1", "source 'sale', which is none of pipeline shop"),
        ("id=1", "sales and returns have a column id"),
        ("rate=1", "write_disposition is replace"),
        ("name=anna", "Column name of source returns is masked"),
        ({"column": "date"}, "column date has no value"),
        ({"column": "date", "equals": None}, "column date has no value"),
        ({"column": "date", "equals": ["2024"]}, "column date has no value"),
        ({"equals": 1}, "names no column"),
        ({"colum": "date", "equals": 1}, "unknown key 'colum'"),
    ],
)
def test_what_is_no_filter_is_said_with_what_would_be_one(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_filter(REGISTRY, "shop", given)
    assert caught.value.remedy
    if "masked" in message:  # nor another one that is
        assert caught.value.remedy == "Filter by another column: id."
