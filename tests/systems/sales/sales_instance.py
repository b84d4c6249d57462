"""The sales system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import psycopg

from data.samples.sales import HEADER
from tests.systems.instance import Rows, SystemInstance, csv_file
from tests.systems.sales.sales_oracle import expected_marts

MARTS = (
    "dim_product",
    "dim_brand",
    "dim_category",
    "dim_retailer",
    "fct_sales",
    "monthly_product_sales",
)


class Sales(SystemInstance):
    """One instance with the system's part of the project."""

    pipelines = ("sales",)
    folders = ("tests/sales",)
    mart_queries: ClassVar = {mart: f"select * from gold.{mart}" for mart in MARTS}
    incremental = (
        ("silver", "stg_sales"),
        ("silver", "int_sales"),
        ("silver", "int_product_days"),
        ("silver", "int_brand_days"),
        ("silver", "int_category_days"),
        ("silver", "int_retailer_days"),
        *(("gold_audit", mart) for mart in MARTS),
    )

    def expected_marts(self) -> dict[str, Rows]:
        return expected_marts(self.files)

    def drop(self, day: str, rows: Iterable[str]) -> None:
        """Deliver the file of a day: for the first time, or as a correction."""
        self.deliver(f"sales/sales_{day}.csv", csv_file(HEADER, rows))


def names_of(connection: psycopg.Connection[Any], product_id: str) -> list[tuple[str, str, str]]:
    """The versions of a product in gold: its name, from when, and until when."""
    rows = connection.execute(
        "select product_name, valid_from::text, coalesce(valid_to::text, 'now')"
        " from gold.dim_product where product_id = %s order by valid_from",
        (product_id,),
    )
    return rows.fetchall()
