"""The fast path: text up to the first quote, CSV from there, with the same rows either way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.loading.copying import copy_csv
from sluice.loading.table import ensure_table
from sluice.reading.headers import HEAD_BYTES, read_header
from sluice.registry import Source
from tests.loading.conftest import ORDERS, Shop
from tests.properties import tried

VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from(["\\", '"', ",", "\n", "\r", "N", "."]),
    max_size=12,
)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


TEXTS = Source.model_validate(
    {**ORDERS.model_dump(), "columns": {name: {"data_type": "text"} for name in ORDERS.columns}}
)


def copy(shop: Shop, data: bytes, size: int = 1 << 18, source: Source = ORDERS) -> int:
    shop.connection.execute("drop table if exists bronze.orders")
    ensure_table(shop.connection, source)
    head = data[:HEAD_BYTES]
    header = read_header(head, source.csv_dialect, "utf-8", is_whole_file=len(head) == len(data))
    columns = ["order_id", "product", "amount"]
    return copy_csv(shop.connection, source, columns, header, pieces(data, size)).rows


def field(value: str) -> str:
    """A field as RFC 4180 writes it: in quotes only where it must be."""
    return '"' + value.replace('"', '""') + '"' if set(value) & set('",\r\n') else value


@tried(150)
@given(
    products=st.lists(VALUES, max_size=15),
    size=st.integers(min_value=1, max_value=200),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_was_written_is_what_is_loaded(
    shop: Shop, products: list[str], size: int, line_end: str
) -> None:
    lines = ["order_id,product,amount"]
    lines += [f"{number},{field(product)},1" for number, product in enumerate(products, start=1)]
    text = "".join(line + line_end for line in lines)

    assert copy(shop, text.encode(), size, TEXTS) == len(products)
    rows = shop.query(
        "select order_id::bigint, coalesce(product, ''), _source_row_number from bronze.orders"
        " order by 1"
    )
    assert rows == [(number, product, number) for number, product in enumerate(products, start=1)]


@pytest.mark.parametrize("before", [0, 1, 5, 30_000])
def test_the_line_of_an_error_counts_from_the_start_of_the_file(shop: Shop, before: int) -> None:
    plain = "".join(f"{number},ink,1\n" for number in range(before))
    data = f'order_id,product,amount\n{plain}7,"quoted",1\n{1 << 63},"quoted",1\n'
    with pytest.raises(DeliveryError, match=f"at line {before + 3}, column order_id"):
        copy(shop, data.encode())


@pytest.mark.parametrize("data", ["order_id,product,amount\r1,ink,2\r2,pen,3\r"])
def test_carriage_returns_alone_end_lines(shop: Shop, data: str) -> None:
    assert copy(shop, data.encode(), source=TEXTS) == 2


def test_an_end_of_data_marker_is_a_value_or_refused_never_the_end(shop: Shop) -> None:
    """Before version 18, PostgreSQL drops what follows such a line without a word."""
    data = b"order_id,product,amount\n1,ink,2\n\\.\n2,pen,3\n"
    with pytest.raises(DeliveryError):
        copy(shop, data)
