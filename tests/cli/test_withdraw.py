"""``sluice withdraw``: what it asks, what it says, and that gold follows."""

from __future__ import annotations

import json

from psycopg import Connection

from tests.cli.conftest import Sluice
from tests.shop_project import ShopProject


def test_a_withdrawn_files_rows_leave_gold_with_the_next_run(
    sluice: Sluice, shop: ShopProject, reader: Connection
) -> None:
    reader.autocommit = True
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    shop.drop("b.csv", "3,cup,4\n")
    assert shop.run().errors == ()

    unsure = sluice("withdraw", "orders", "a.csv")
    assert unsure.returncode == 1
    assert "Add --yes." in unsure.stderr
    mistyped = sluice("withdraw", "orders", "a.cvs", "--yes")
    assert mistyped.returncode == 1
    assert "Did you mean a.csv" in mistyped.stderr
    assert sluice("status", "--json").stdout.count('"pending_loads": 0') == 1

    done = sluice("withdraw", "orders", "a.csv", "--yes")
    assert done.returncode == 0, done.stderr
    assert "orders: 2 rows of a.csv are out of bronze" in done.stdout
    assert "./sluice run shop" in done.stdout
    assert json.loads(sluice("status", "--json").stdout)["pipelines"][0]["pending_loads"] == 1

    assert shop.run().errors == ()
    assert reader.execute("select product from gold.product_sales").fetchall() == [("cup",)]

    document = json.loads(sluice("withdraw", "orders", "b.csv", "--yes", "--json").stdout)
    assert (document["outcome"], document["rows_replaced"]) == ("withdrawn", 1)
