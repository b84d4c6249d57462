"""The generator of deliveries: exact, repeatable, and with the dirt that it promises."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pytest

from data.samples.sales import END_DATE, HEADER, generate, main, write_delivery
from tests.systems.sales.sales_oracle import expected_marts


def test_the_same_seed_makes_the_same_bytes_and_another_one_others() -> None:
    assert list(generate(3, products=20, days=10)) == list(generate(3, products=20, days=10))
    assert list(generate(3, products=20, days=10)) != list(generate(4, products=20, days=10))


@pytest.mark.parametrize("rows", [0, 1, 777, 10_000])
def test_records_are_exactly_as_many_as_wanted(rows: int) -> None:
    assert sum(len(lines) for _, lines in generate(1, products=20, days=5, rows=rows)) == rows


def test_the_files_have_the_dirt_of_real_ones() -> None:
    found: Counter[str] = Counter()
    values: dict[str, set[str]] = defaultdict(set)
    for path, lines in generate():
        arrived = date.fromisoformat(path[-14:-4])
        for record in csv.DictReader(lines, fieldnames=HEADER):
            late = (arrived - date.fromisoformat(record["Date"])).days
            assert late >= 0
            found["late"] += late > 0
            found["currency"] += record["Price"].upper().endswith("USD")
            found["blank product"] += not record["ProductID"].strip()
            for column in ("ProductID", "Price", "Quantity", "Brand", "Location"):
                found[f"None in {column}"] += record[column] == "None"
                found[f"blank in {column}"] += not record[column].strip()
            values[record["SaleID"]].add(record["Price"])
            found["records"] += 1
    found["repeated"] = found["records"] - len(values)
    found["restated"] = sum(len(prices) > 1 for prices in values.values())
    assert min(found.values()) > 5, found
    assert found["late"] < found["records"] / 10


def test_histories_have_versions_of_every_kind(tmp_path: Path) -> None:
    for path, lines in generate():
        write_delivery(tmp_path / path, lines)
    files = {f"sales/{path.name}": path for path in tmp_path.glob("sales/*.csv")}
    marts = expected_marts(files)
    for dimension in ("product", "brand", "category", "retailer"):
        versions = Counter(row[1] for row in marts[f"dim_{dimension}"])
        assert versions["unknown"] == 1
        if dimension != "category":
            assert max(versions.values()) > 1
    assert any(row[8] is None for row in marts["monthly_product_sales"])


def test_broken_records_come_on_top() -> None:
    clean = dict(generate(5, products=20, days=4))
    broken = dict(generate(5, products=20, days=4, broken=9))
    assert sum(map(len, broken.values())) == sum(map(len, clean.values())) + 9


def test_the_program_writes_a_file_a_day_under_its_final_name_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--landing", str(tmp_path), "--products", "9", "--days", "3", "--rows", "90"])
    files = sorted((tmp_path / "sales").iterdir())
    assert [file.name for file in files][-1] == f"sales_{END_DATE}.csv"
    assert len(files) == 3
    assert files[0].read_text().splitlines()[0] == ",".join(HEADER)
    assert "90 rows in 3 files" in capsys.readouterr().out


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for option in ("--products", "--days"):
        with pytest.raises(SystemExit):
            main(["--landing", str(tmp_path), option, "0"])
