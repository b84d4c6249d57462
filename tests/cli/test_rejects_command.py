"""``sluice rejects``: what is shown, and what an export brings back."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from sluice.warehouse.connections import connect
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
    outcome = sluice("rejects", "orders", "--export", str(path))
    assert outcome.returncode == 0
    said = re.search(r"as (a\.rejects-\d+\.csv)\. Under the name of a file", outcome.stderr)
    assert said, outcome.stderr
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = list(csv.DictReader(file))
    assert [record["order_id"] for record in records] == ["x", "3", "y"]
    assert records[0]["product"] == "'=cmd()"
    assert [record["amount"] for record in records] == ["-3", "", "5"]
    assert [record["_reject_mended"] for record in records] == ["", "no", ""]
    assert records[1]["_reject_raw_record"] == "3,pen"

    mended = io.StringIO()
    writer = csv.DictWriter(mended, records[0].keys())
    writer.writeheader()
    for number, record in enumerate(records):
        mend = {"order_id": number + 10, "amount": 1, "_reject_mended": "yes"}
        writer.writerow({**record, **mend})
    (shop.settings.landing / "orders" / said[1]).write_text(mended.getvalue())
    outcome = sluice("run", "shop")
    assert "orders: 1 loaded; 3 rows" in outcome.stdout, outcome.stdout + outcome.stderr
    with connect(shop.settings, "loader", application_name="test") as connection:
        rows = connection.execute("select order_id, product from bronze.orders order by 1")
        assert rows.fetchall() == [(1, "ink"), (10, "=cmd()"), (11, "pen"), (12, "pad")]
    again = sluice("rejects", "orders", "--export", str(path))
    assert again.returncode == 1
    assert "cannot be written" in again.stderr
    # Never under the name of what was delivered.
    assert "as a.rejects-" in sluice("rejects", "orders", "--export", str(tmp_path)).stderr
    (other,) = set(tmp_path.glob("a.rejects-*.csv"))
    assert other.name != said[1]


def test_a_file_that_was_rejected_whole_is_mended_itself(
    sluice: Sluice, shop: ShopProject, tmp_path: Path
) -> None:
    shop.drop("b.csv", "x,ink,2\n")
    shop.load()
    outcome = sluice("rejects", "orders", "--export", str(tmp_path))
    assert "b.csv was rejected whole, and is not in the export" in outcome.stderr
    assert "3 records written" in outcome.stderr
    outcome = sluice("rejects", "orders", "b.csv", "--export", "-")
    assert "mend the file itself" in outcome.stderr
    assert outcome.stdout.startswith("\ufefforder_id,product,amount,_reject_mended")
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    outcome = sluice("rejects", "orders", "--export", "-")
    assert (outcome.returncode, "only whole files" in outcome.stderr) == (1, True)


def test_a_mended_delivery_leaves_no_rejects(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    for name in ([], ["a.csv"]):
        outcome = sluice("rejects", "orders", *name)
        assert (outcome.returncode, outcome.stdout) == (
            0,
            "orders: no rejected files or records.\n",
        )


def test_a_wrong_name_says_which_were_meant(sluice: Sluice, shop: ShopProject) -> None:
    for name, remedy in (("b.csv", "Did you mean a.csv?"), ("nosuch", "see ops.files")):
        outcome = sluice("rejects", "orders", name)
        assert outcome.returncode == 1
        assert f"No file {name} of source orders was ever delivered." in outcome.stderr
        assert remedy in outcome.stderr
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
    assert "code" not in shown  # none of its records was read, and there is no table of reasons
    assert "a.csv" not in shown


def test_what_is_masked_since_is_not_shown(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("b.csv", "secret,ink,2\n")
    shop.load()
    shown = sluice("rejects", "orders").stdout
    assert "x,=cmd(),-3" in shown
    assert shown.count("secret") == 3  # why the file is rejected, why the record is, the record
    assert "secret" in sluice("status").stdout
    entry = shop.settings.registry / "sources" / "orders.yml"
    text = entry.read_text()
    text = text.replace("product: {data_type: text", "product: {data_type: text, mask: redact")
    number = "order_id: {data_type: text, mask: hash, nullable: false"
    entry.write_text(text.replace("order_id: {data_type: bigint, nullable: false", number))
    for arguments in ([], ["--json"], ["b.csv"], ["--export", "-"]):
        outcome = sluice("rejects", "orders", *arguments)
        assert outcome.returncode == 0, outcome.stderr
        assert "cmd()" not in outcome.stdout
        assert "pen" not in outcome.stdout
        assert "secret" not in outcome.stdout
        assert "[masked:redact]" in outcome.stdout
    for arguments in ([], ["--json"]):
        outcome = sluice("status", *arguments)
        assert "b.csv" in outcome.stdout
        assert "secret" not in outcome.stdout


def test_an_export_of_nothing_writes_nothing(
    sluice: Sluice, shop: ShopProject, tmp_path: Path
) -> None:
    path = tmp_path / "none.csv"
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    outcome = sluice("rejects", "orders", "--export", str(path))
    assert outcome.returncode == 0
    assert "there is nothing to export" in outcome.stderr
    assert "file_glob" not in outcome.stderr
    assert not path.exists()


@pytest.mark.usefixtures("shop")
def test_a_folder_to_export_to_has_to_be_there(sluice: Sluice, tmp_path: Path) -> None:
    outcome = sluice("rejects", "orders", "--export", f"{tmp_path}/new/")
    assert outcome.returncode == 1
    assert f"There is no folder {tmp_path}/new/." in outcome.stderr
    assert not (tmp_path / "new").exists()
