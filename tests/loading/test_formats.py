"""A delivery of each format, compressed or not, comes to the same rows in bronze."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sluice.registry import Source
from tests.loading.conftest import ORDERS, Shop
from tests.reading.workbooks import xlsx

RECORDS: list[dict[str, Any]] = [
    {"order_id": 1, "product": "ink, blue", "amount": "2.50"},
    {"order_id": 2, "product": None, "amount": None},
    {"order_id": 3, "product": "pén\n", "amount": "-1"},
    {"order_id": 4, "product": "", "amount": "12.10"},
]
LOADED = [(1, "ink, blue", "2.50"), (2, None, None), (4, "", "12.10")]


def as_csv() -> bytes:
    return 'order_id,product,amount\n1,"ink, blue",2.50\n2,,\n3,"pén\n",-1\n4,"",12.10\n'.encode()


def as_spaced_csv() -> bytes:
    return (
        b'order_id, product, amount\n1, "ink, blue", 2.50\n2, ,\n'
        b'3,  "p\xc3\xa9n\n",-1\n4, "", 12.10\n'
    )


def as_jsonl() -> bytes:
    return "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def as_json() -> bytes:
    return json.dumps({"data": {"items": RECORDS}}).encode()


def as_parquet() -> bytes:
    amounts = [record["amount"] and Decimal(record["amount"]) for record in RECORDS]
    table = pa.table(
        {
            "order_id": [record["order_id"] for record in RECORDS],
            "product": [record["product"] for record in RECORDS],
            "amount": pa.array(amounts, pa.decimal128(12, 2)),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


FORMATS: dict[str, tuple[dict[str, Any], Callable[[], bytes]]] = {
    "csv": ({"format": "csv"}, as_csv),
    "csv, looked at": ({"format": "csv", "dialect": "auto", "encoding": "auto"}, as_csv),
    "csv, spaced": ({"format": "csv", "dialect": {"space_after_delimiter": True}}, as_spaced_csv),
    "jsonl": ({"format": "jsonl"}, as_jsonl),
    "json": ({"format": "json", "json": {"path": "data.items"}}, as_json),
    "parquet": ({"format": "parquet"}, as_parquet),
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_and_compression_comes_to_the_same_rows(
    shop: Shop, name: str, compression: str
) -> None:
    keys, make = FORMATS[name]
    shop.source = Source.model_validate({**ORDERS.model_dump(), **keys})
    shop.drop("delivery", "").write_bytes(COMPRESSIONS[compression](make()))
    (entry,) = shop.load().entries
    assert (entry.outcome, entry.rows_rejected) == ("loaded", 1), entry.reject_reason
    assert (
        shop.query("select order_id, product, amount::text from bronze.orders order by 1") == LOADED
    )
    ((number, code, column, raw),) = shop.query(
        "select row_number, code, column_name, raw_record from ops.rejected_rows"
    )
    assert (number, code, column) == (3, "below_minimum", "amount")
    assert "-1" in raw


@pytest.mark.parametrize("dialect", [{}, "auto"])
def test_files_put_one_below_the_other_have_one_header(shop: Shop, dialect: object) -> None:
    texts = {name: {"data_type": "text"} for name in ORDERS.columns}
    shop.source = Source.model_validate(
        {**ORDERS.model_dump(), "columns": texts, "dialect": dialect}
    )
    header = ",".join(ORDERS.columns)
    shop.drop("a.csv", f"1,ink,2.50\n{header}\n2,pad,3\n", header=f"{header}\n")
    (entry,) = shop.load().entries
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 1)
    assert shop.query("select order_id from bronze.orders order by 1") == [("1",), ("2",)]
    assert shop.query("select row_number, code from ops.rejected_rows") == [(2, "repeated_header")]


def test_fixed_width_lines_are_cut_at_the_declared_places(shop: Shop) -> None:
    places = {"order_id": (1, 4), "product": (5, 6), "amount": (11, 6)}
    declared = ORDERS.model_dump()["columns"]
    columns = {
        name: {**declared[name], "start": start, "width": width}
        for name, (start, width) in places.items()
    }
    shop.source = Source.model_validate(
        {**ORDERS.model_dump(), "format": "fixed_width", "columns": columns}
    )
    shop.drop("a.txt", "   1ink     2.50\n   2pen\n   3pad    12.10\n", header="")
    (entry,) = shop.load().entries
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 1)
    assert shop.query("select order_id, product, amount::text from bronze.orders order by 1") == [
        (1, "ink", "2.50"),
        (3, "pad", "12.10"),
    ]
    assert shop.query("select row_number, code, raw_record from ops.rejected_rows") == [
        (2, "ragged_row", "   2pen")
    ]


@pytest.mark.parametrize("contract", ["freeze", "evolve", "discard_value", "discard_row"])
def test_a_name_that_is_no_text_refuses_the_file(shop: Shop, contract: str) -> None:
    def end(file_format: str, name: str, data: bytes) -> tuple[str | None, str]:
        keys = {"format": file_format, "schema_contract": {"new_columns": contract}}
        shop.source = Source.model_validate({**ORDERS.model_dump(), **keys})
        shop.drop(name, "").write_bytes(data)
        (entry,) = shop.load().entries
        return entry.reject_code, entry.reject_reason or ""

    def parquet(name: str, value: object) -> bytes:
        sink = io.BytesIO()
        pq.write_table(pa.table({"order_id": [1], name: [value]}), sink)
        return sink.getvalue()

    for value in (2, b"of no type that can be told"):
        code, reason = end("parquet", "a.parquet", parquet("a\0b", value))
        assert (code, r"'a\x00b'" in reason) == ("nul_byte", True)
    data = parquet("a__b", 2).replace(b"a__b", b"a\xff\xfeb")
    assert end("parquet", "b.parquet", data)[0] == "bad_encoding"
    cells = {"Sheet": [["order_id", "a_x0000_b"], ["1", "2"]]}
    assert end("excel", "a.xlsx", xlsx(cells))[0] == "nul_byte"


@pytest.mark.parametrize("contract", ["evolve", "discard_value"])
def test_nanoseconds_are_kept_where_a_column_keeps_them(shop: Shop, contract: str) -> None:
    columns = {
        "order_id": {"data_type": "bigint"},
        "at": {"data_type": "timestamp"},
        "as_text": {"data_type": "text"},
        "object": {"data_type": "json"},
    }
    keys = {"format": "parquet", "columns": columns, "schema_contract": {"new_columns": contract}}
    shop.source = Source.model_validate({**ORDERS.model_dump(), **keys})
    fine = pa.array([1001, 2000], pa.timestamp("ns", "UTC"))
    objects = pa.StructArray.from_arrays([fine], ["at"])
    coarse = pa.array([1000, 2001], pa.timestamp("ns", "UTC"))
    table = {
        "order_id": [1, 2],
        "at": coarse,
        "as_text": fine,
        "object": objects,
        "more": fine,
    }
    path = shop.drop("a.parquet", "")
    pq.write_table(pa.table(table), path)
    (entry,) = shop.load().entries
    assert (entry.outcome, entry.rows_loaded, entry.rows_rejected) == ("loaded", 1, 1)
    more = "more" if contract == "evolve" else "_rescued_data ->> 'more'"
    kept = "1970-01-01 00:00:00.000001001Z"
    assert shop.query(f"select at::text, as_text, object ->> 'at', {more} from bronze.orders") == [
        ("1970-01-01 00:00:00.000001+00", kept, kept, kept)
    ]
    ((code, column, reason),) = shop.query(
        "select code, column_name, reason from ops.rejected_rows"
    )
    assert (code, column) == ("not_exact", "at")
    assert "1970-01-01 00:00:00.000002001Z" in reason
