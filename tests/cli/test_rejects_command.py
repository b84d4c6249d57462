"""``sluice rejects``: what is shown, and what an export brings back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Sluice
from tests.shop_project import ShopProject

ROWS = "1,ink,2\nx,=cmd(),-3\n3,pen\ny,pad,5\n"


@pytest.fixture
def shop(shop: ShopProject) -> ShopProject:
    shop.drop("a.csv", ROWS)
    shop.load()
    return shop


def test_rejects_are_counted_and_shown_with_their_records(
    sluice: Sluice, shop: ShopProject
) -> None:
    shown = sluice("rejects", "orders").stdout
    assert "a.csv, record 2, line 3: wrong_type: order_id: invalid input syntax" in shown
    assert "x,=cmd(),-3" in shown
    document = json.loads(sluice("rejects", "orders", "a.csv", "--json", "--limit", "1").stdout)
    assert {count["code"]: count["records"] for count in document["counts"]} == {
        "wrong_type": 2,
        "ragged_row": 1,
    }
    assert [record["row_number"] for record in document["records"]] == [2]


def test_an_export_is_mended_and_dropped_again(
    sluice: Sluice, shop: ShopProject, tmp_path: Path
) -> None:
    path = tmp_path / "mend.csv"
    assert sluice("rejects", "orders", "--export", str(path)).returncode == 0
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert [record["order_id"] for record in records] == ["x", "", "y"]
    assert records[0]["product"] == "'=cmd()"
    assert [record["amount"] for record in records] == ["-3", "", "5"]
    assert records[1]["_reject_raw_record"] == "3,pen"

    mended = io.StringIO()
    writer = csv.DictWriter(mended, records[0].keys())
    writer.writeheader()
    for number, record in enumerate(records):
        writer.writerow({**record, "order_id": number + 10, "product": "ink", "amount": 1})
    (shop.settings.landing / "orders" / "mended.csv").write_text(mended.getvalue())
    outcome = sluice("run", "shop")
    assert "orders: 1 loaded; 3 rows" in outcome.stdout, outcome.stdout + outcome.stderr
    again = sluice("rejects", "orders", "--export", str(path))
    assert again.returncode == 1
    assert "cannot be written" in again.stderr


def test_a_mended_delivery_leaves_no_rejects(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    assert "no rejected files" in sluice("rejects", "orders").stdout


def test_a_wrong_name_says_which_were_meant(sluice: Sluice, shop: ShopProject) -> None:
    outcome = sluice("rejects", "orders", "b.csv")
    assert outcome.returncode == 1
    assert "Did you mean a.csv?" in outcome.stderr
    assert "Did you mean orders?" in sluice("rejects", "order").stderr


def test_a_file_that_was_rejected_whole_is_listed_with_its_reason(
    sluice: Sluice, shop: ShopProject
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    (shop.settings.landing / "orders" / "b.csv").write_text("something,else\n1,2\n")
    shop.load()
    shown = sluice("rejects", "orders").stdout
    assert "b.csv" in shown
    assert "The header lacks" in shown
    assert "a.csv" not in shown
