"""Values that have a type in their file, from there to bronze, also by way of an export."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.registry import Source
from tests.loading.conftest import ORDERS, Shop
from tests.loading.test_reject_round_trips import deliver, exported, mended
from tests.reading.test_typed_values import COLUMNS, CONVERTED, FORMATS, TEXTS, TYPED
from tests.reading.workbooks import Rows, xlsx

ROW = (
    "select n::text, day::text, at::text, clock::text, sold::text, name"
    " from bronze.orders order by order_id"
)


def declare(shop: Shop, format_: str, columns: dict[str, Any]) -> None:
    base = {**ORDERS.model_dump(), "format": format_, "columns": columns}
    named = {
        name: {"data_type": each} if isinstance(each, str) else each
        for name, each in columns.items()
    }
    shop.source = Source.model_validate({**base, "columns": named})


@pytest.mark.parametrize("format_", FORMATS)
def test_typed_values_are_loaded_as_they_are_by_an_export_too(shop: Shop, format_: str) -> None:
    columns = {
        "order_id": {"data_type": "bigint", "nullable": False},
        **COLUMNS,
        "at": {
            "data_type": "timestamp",
            "timezone": False,
            "values": {"time_format": "%d.%m.%Y %H:%M:%S"},
        },
        "clock": {"data_type": "time", "values": {"time_format": "%H.%M.%S"}},
    }
    declare(shop, format_, columns)
    texts = {**dict(zip(COLUMNS, TEXTS, strict=True)), "at": "01.02.2026 10:30:00"}
    row = {**texts, "clock": "10.30.00", **TYPED[format_]}
    rows = [{"order_id": number, **row} for number in ("1", "x")]
    entry = deliver(shop, "day", FORMATS[format_](rows))
    assert (entry.outcome, entry.rows_loaded, entry.rows_rejected) == ("loaded", 1, 1)
    (first,) = shop.query(ROW)
    assert first[0] == "1.234"
    assert first[1] == CONVERTED[1]
    assert first[4] == "false"

    entry = deliver(shop, "mended", mended(exported(shop), lambda *_: {"order_id": "2"}))
    assert (entry.outcome, entry.rows_loaded) == ("loaded", 1)
    assert shop.query(ROW) == [first, first]


def test_a_number_that_a_workbook_may_have_rounded_has_to_be_mended(shop: Shop) -> None:
    declare(shop, "excel", {"order_id": "bigint", "product": "text", "amount": "decimal"})
    rows: Rows = [
        ["order_id", "product", "amount"],
        [1.0, "ink", 1.5],
        [2.0, 12345678901234567890.0, 2.5],
        [3.0, "pen", 2.0**53],
    ]
    entry = deliver(shop, "day.xlsx", xlsx({"Sheet": rows}))
    assert (entry.rows_loaded, entry.rows_rejected) == (1, 2)
    query = "select row_number, code, column_name from ops.rejected_rows order by load_id, 1"
    assert shop.query(query) == [(2, "not_exact", "product"), (3, "not_exact", "amount")]

    assert deliver(shop, "again", exported(shop).encode()).rows_rejected == 2
    assert {code for _, code, _ in shop.query(query)[2:]} == {"not_mended"}
