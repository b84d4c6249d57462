"""More columns than PostgreSQL gives a table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.errors import ConfigError
from sluice.registry import Source
from tests.loading.conftest import HEADER, ORDERS, Shop


def declare(shop: Shop, **keys: Any) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), **keys})


def ends(shop: Shop) -> dict[str, str]:
    """How each delivery ended: its code, or loaded."""
    return {entry.file_name: entry.reject_code or entry.outcome for entry in shop.load().entries}


def test_a_file_with_more_columns_than_a_table_takes_is_rejected(shop: Shop) -> None:
    declare(shop, schema_contract="evolve")
    names = ",".join(f"c{n}" for n in range(1700))
    shop.drop("a.csv", f"1,ink,2,{','.join('x' * 1700)}\n", header=f"{HEADER.strip()},{names}\n")
    shop.drop("b.csv", "2,pen,2\n")
    (rejected, loaded) = shop.load().entries
    assert (rejected.reject_code, loaded.outcome) == ("too_many_columns", "loaded")
    assert "1,700 columns would be added to bronze.orders" in (rejected.reject_reason or "")
    assert "1,600" in (rejected.reject_reason or "")


def test_columns_of_many_files_add_up_and_dropped_ones_count(shop: Shop) -> None:
    declare(shop, schema_contract="evolve", format="jsonl")
    for file in range(5):
        record = {"order_id": file, **{f"k{file}_{n}": n for n in range(450)}}
        shop.drop(f"{file}.jsonl", json.dumps(record), header="")
    found = ends(shop)
    assert list(found.values()) == ["loaded"] * 3 + ["too_many_columns"] * 2
    columns = ", ".join(f"drop column k0_{n}" for n in range(300))
    shop.connection.execute(f"alter table bronze.orders {columns}")
    shop.drop("3.jsonl", json.dumps(record), header="")
    shop.drop("x.jsonl", '{"order_id": 9, "x": 1}', header="")
    assert ends(shop) == {"3.jsonl": "too_many_columns", "x.jsonl": "loaded"}


def test_a_full_table_takes_no_more_columns_of_the_registry(shop: Shop) -> None:
    columns = {f"c{n}": {"data_type": "text"} for n in range(1597)}
    declare(shop, columns=columns)
    shop.load()
    declare(shop, columns={**dict(list(columns.items())[9:]), "one": {"data_type": "text"}})
    assert shop.load().entries == ()
    declare(shop, columns={"two": {"data_type": "text"}, "three": {"data_type": "text"}})
    with pytest.raises(ConfigError, match="2 columns would be added"):
        shop.load()


def test_bad_values_need_columns_too(shop: Shop) -> None:
    columns = {f"c{n}": {"data_type": "bigint"} for n in range(1000)}
    declare(shop, columns=columns, schema_contract="evolve", max_row_errors="100%")
    names, values = (",".join(each) for each in (columns, ["x"] * 1000))
    shop.drop("a.csv", f"{values}\n", header=f"{names}\n")
    assert ends(shop) == {"a.csv": "too_many_columns"}
