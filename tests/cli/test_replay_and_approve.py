"""``sluice replay``, ``approve`` and ``refuse``, and the lines that they add to ``status``."""

from __future__ import annotations

import json

from psycopg import Connection

from tests.cli.conftest import Sluice
from tests.shop_project import ShopProject


def test_a_replay_loads_again_and_rebuilds(
    sluice: Sluice, shop: ShopProject, reader: Connection
) -> None:
    reader.autocommit = True
    shop.drop("a.csv", "1,ink,2\n2,pen,30\n")
    assert shop.run().errors == ()
    unsure = sluice("replay", "orders")
    assert unsure.returncode == 1
    assert "Add --yes." in unsure.stderr
    unknown = sluice("replay", "orders", "a.cvs", "--yes")
    assert unknown.returncode == 1
    assert "Did you mean a.csv" in unknown.stderr

    source = shop.settings.registry / "sources" / "orders.yml"
    text = source.read_text()
    assert "amount: {data_type: decimal" in text
    source.write_text(
        text.replace("amount: {data_type: decimal", "amount: {maximum: 10, data_type: decimal")
    )
    done = sluice("replay", "orders", "--from", "2026-01-01", "--yes")
    assert done.returncode == 0, done.stderr
    assert "orders: 1 loaded; 1 row\n" in done.stdout
    assert "1 record could not be loaded: ./sluice rejects orders" in done.stdout
    assert "gold.total_sales: 0 inserted, 1 updated, 0 deleted" in done.stdout
    assert reader.execute("select orders from gold.total_sales").fetchall() == [(1,)]


def test_what_is_held_is_shown_and_decided(
    sluice: Sluice, shop: ShopProject, reader: Connection
) -> None:
    reader.autocommit = True
    pipeline = shop.settings.registry / "pipelines" / "shop.yml"
    late = "freshness: {warn_after: {count: 1, period: minute}}"
    pipeline.write_text(f"{pipeline.read_text()}approve_when: {{rows_changed: 0}}\n{late}\n")
    assert "late: pipeline shop: was never published" in sluice("status").stdout
    shop.drop("a.csv", "1,ink,2\n")
    assert shop.run().errors == ()  # the first publication is never held
    shop.drop("b.csv", "2,ink,3\n")
    (error,) = shop.run().errors
    assert "waits for approval" in error.message
    assert "./sluice approve shop" in error.remedy

    shown = sluice("status").stdout
    assert "held: the publication of shop waits for approval" in shown
    assert "total_sales: 1 of 1 rows changed, more than 0" in shown
    assert "late:" not in shown
    assert "Add --yes." in sluice("approve", "shop").stderr
    done = sluice("approve", "shop", "--yes")
    assert done.returncode == 0, done.stderr
    assert "gold.total_sales: 0 inserted, 1 updated, 0 deleted" in done.stdout
    assert reader.execute("select orders from gold.total_sales").fetchall() == [(2,)]

    none = sluice("refuse", "shop", "--yes")
    assert none.returncode == 1
    assert "No publication of pipeline shop waits for approval." in none.stderr
    shop.drop("b.csv", "2,ink,4\n")
    assert len(shop.run().errors) == 1
    refused = json.loads(sluice("refuse", "shop", "--yes", "--json").stdout)
    assert (refused["decision"], refused["decided_by"][:4]) == ("refused", "cli:")
    assert json.loads(sluice("status", "--json").stdout)["attention"]["held"] == []
    assert reader.execute("select amount from gold.total_sales").fetchall() == [(5,)]
