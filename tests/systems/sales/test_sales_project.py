"""Unit tests of the rules; data tests that fail, or warn and keep rows, when they should."""

from __future__ import annotations

import psycopg

from data.samples.sales import generate
from tests.systems.instance import warnings
from tests.systems.sales.sales_instance import Sales

CRITICAL = {
    "sales_have_their_versions",
    "monthly_product_sales_counts_each_sale_once",
    "versions_follow_each_other_dim_product_product_id",
    "versions_follow_each_other_dim_brand_brand_id",
    "versions_follow_each_other_dim_category_category_id",
    "versions_follow_each_other_dim_retailer_retailer_id",
}


def test_the_rules_hold_and_broken_marts_are_noticed(
    system: Sales, administrator: psycopg.Connection
) -> None:
    for path, rows in generate(6, products=40, days=30, rows=1500):
        system.drop(path[-14:-4], rows)
    system.run()
    assert warnings(administrator).keys() == {
        "sales_are_delivered_once",
        "sales_have_quantity_and_amount",
    }
    kept = "select count(*) from gold_audit.sales_are_delivered_once where records > 1"
    assert administrator.execute(kept).fetchone() == (
        warnings(administrator)["sales_are_delivered_once"],
    )

    units = system.dbt_test("unit")
    assert set(units.values()) == {"pass"}
    assert len(units) >= 6

    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "pass")
    for dimension in ("product", "brand", "category", "retailer"):
        changed = administrator.execute(
            f"update gold_audit.dim_{dimension} set is_current = not is_current"
        )
        assert changed.rowcount > 1
    administrator.execute("delete from gold_audit.dim_brand where brand_id = 'unknown'")
    administrator.execute(
        "update gold_audit.fct_sales set amount = amount + 1 where ctid = '(0,1)'"
    )
    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "fail")


def test_the_published_facts_have_the_indexes_that_queries_use(
    system: Sales, administrator: psycopg.Connection
) -> None:
    system.drop("2026-03-01", [])
    system.run()
    found = administrator.execute(
        """
        select array_agg(attname::text order by attname)
        from pg_index
        join pg_attribute on attrelid = indexrelid
        where indrelid = 'gold.fct_sales'::regclass group by indexrelid order by 1
        """
    ).fetchall()
    expected = ("brand_key", "category_key", "product_key", "retailer_key", "sale_date", "sale_id")
    assert [columns for (columns,) in found] == [[column] for column in expected]
