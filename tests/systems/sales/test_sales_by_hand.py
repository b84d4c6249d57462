"""What late, corrected and partial files do to histories and facts, with figures done by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from sluice.pipeline import run_pipeline
from sluice.registry import load_registry
from sluice.registry.filters import read_filter
from tests.systems.instance import assert_marts_equal_oracle
from tests.systems.sales.sales_instance import Sales, names_of


def sale(sale_id: int, day: str, name: str, price: str = "10", **more: str) -> str:
    """A record of a file; only what a test is about differs."""
    fields = {
        "id": str(sale_id),
        "product": "P1",
        "name": name,
        "brand": "Acme",
        "category": "Home",
        "retailer": "R1",
        "retailer_name": "Nord",
        "channel": "Online",
        "location": "Oslo",
        "quantity": "1",
        "price": price,
        "date": f"2026-{day}",
    }
    return ",".join((fields | more).values())


def name_at_sale(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = connection.execute(
        "select sale_id, product_name from gold.fct_sales join gold.dim_product using (product_key)"
    )
    return dict(rows.fetchall())


def places(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Where the candidate keeps its facts: one that is written anew moves."""
    rows = connection.execute("select sale_id, ctid::text from gold_audit.fct_sales")
    return dict(rows.fetchall())


def test_history_is_right_when_files_come_late_are_corrected_or_withdrawn(
    system: Sales, administrator: psycopg.Connection
) -> None:
    system.drop("2026-03-01", [sale(1, "03-01", "Lamp"), sale(2, "03-02", "Lamp")])
    system.drop("2026-03-20", [sale(3, "03-20", "Light"), sale(9, "03-20", "Desk", product="P2")])
    system.run()
    assert names_of(administrator, "P1") == [
        ("Lamp", "2026-03-01", "2026-03-20"),
        ("Light", "2026-03-20", "now"),
    ]
    before = places(administrator)

    # A late file moves the day of the new name, and brings a name that lasted for four days.
    system.drop(
        "2026-03-21",
        [sale(4, "03-15", "Light"), sale(5, "03-05", "Lantern"), sale(6, "03-09", "Lamp")],
    )
    system.run()
    assert names_of(administrator, "P1") == [
        ("Lamp", "2026-03-01", "2026-03-05"),
        ("Lantern", "2026-03-05", "2026-03-09"),
        ("Lamp", "2026-03-09", "2026-03-15"),
        ("Light", "2026-03-15", "now"),
    ]
    assert name_at_sale(administrator) == {
        "1": "Lamp",
        "2": "Lamp",
        "3": "Light",
        "4": "Light",
        "5": "Lantern",
        "6": "Lamp",
        "9": "Desk",
    }
    # The sale of the 20th belongs to another version now; those before and beside stayed in place.
    moved = {
        sale_id for sale_id, place in before.items() if places(administrator)[sale_id] != place
    }
    assert moved == {"3"}

    # A correction takes the lantern back; without the file of the 20th nothing is of P2.
    system.drop("2026-03-21", [sale(4, "03-15", "Light"), sale(6, "03-09", "Lamp")])
    system.withdraw("sales/sales_2026-03-20.csv")
    system.run()
    assert names_of(administrator, "P1") == [
        ("Lamp", "2026-03-01", "2026-03-15"),
        ("Light", "2026-03-15", "now"),
    ]
    assert names_of(administrator, "P2") == []
    assert_marts_equal_oracle(administrator, system)


def test_a_day_that_says_nothing_new_changes_no_history(
    system: Sales, administrator: psycopg.Connection
) -> None:
    system.drop("2026-03-01", [sale(1, "03-01", "Lamp"), sale(2, "03-10", "Lamp")])
    system.run()
    versions = "select ctid::text, xmin::text from gold_audit.dim_product"
    before = administrator.execute(versions).fetchall()
    system.drop("2026-03-11", [sale(3, "03-05", "Lamp"), sale(4, "03-11", "None")])
    report = system.run()
    assert administrator.execute(versions).fetchall() == before
    changes = {mart.mart: mart for mart in report.publication.marts} if report.publication else {}
    assert changes["fct_sales"].rows_inserted == 2
    assert changes["fct_sales"].rows_updated == changes["dim_product"].rows_updated == 0
    assert_marts_equal_oracle(administrator, system)


def test_money_and_missing_values(system: Sales, administrator: psycopg.Connection) -> None:
    """The amount is the line's; what is missing is neither 0 nor lost."""
    system.drop(
        "2026-03-01",
        [
            sale(1, "03-01", "Lamp", "4500", quantity="3"),
            sale(2, "03-01", "Lamp", "100USD", quantity="None"),
            sale(3, "03-01", "Lamp", "None", quantity="2"),
            sale(4, "03-02", "Lamp", " ", quantity="", product=" "),
            sale(5, "03-02", "Lamp", "100EUR"),
            sale(6, "03-02", "Lamp", date="None"),
            sale(1, "03-02", "Lamp", "4000", quantity="3"),
        ],
    )
    registry = load_registry(system.settings.project)
    report = run_pipeline(system.settings, registry, "sales", "test")
    (entry,) = report.reports[0].entries
    assert (entry.rows_loaded, entry.rows_rejected) == (5, 2)
    found = administrator.execute(
        "select product_id, sales, quantity, revenue, sales_without_quantity,"
        " sales_without_revenue from gold.monthly_product_sales order by 1"
    ).fetchall()
    assert found == [
        ("P1", 3, 5, Decimal(4100), 1, 1),
        ("unknown", 1, None, None, 1, 1),
    ]
    assert administrator.execute(
        "select row_number, code, column_name from ops.rejected_rows order by 1"
    ).fetchall() == [(5, "pattern_mismatch", "price"), (6, "missing_value", "sale_date")]
    # Bronze has a partition for the month.
    assert administrator.execute(
        "select distinct tableoid::regclass::text from bronze.sales"
    ).fetchall() == [("bronze._sales_2026_03",)]


def test_a_part_of_a_file_and_then_the_rest_of_it(
    system: Sales, administrator: psycopg.Connection
) -> None:
    rows = [sale(1, "02-23", "Lamp"), sale(2, "02-24", "Light"), sale(3, "02-24", "Light")]
    system.drop("2026-02-24", rows)
    registry = load_registry(system.settings.project)
    wanted = read_filter(registry, "sales", {"column": "Date", "equals": "2026-02-24"})
    run_pipeline(system.settings, registry, "sales", "test", record_filter=wanted)
    assert names_of(administrator, "P1") == [("Light", "2026-02-24", "now")]
    system.drop("2026-02-24", rows)
    system.run()
    assert names_of(administrator, "P1") == [
        ("Lamp", "2026-02-23", "2026-02-24"),
        ("Light", "2026-02-24", "now"),
    ]
    assert_marts_equal_oracle(administrator, system)
    ledger = administrator.execute(
        "select delivery_kind, filters, rows_loaded, rows_left_out from ops.loads order by load_id"
    ).fetchall()
    assert ledger == [("new", ["sale_date=2026-02-24"], 2, 1), ("extension", None, 3, 0)]
