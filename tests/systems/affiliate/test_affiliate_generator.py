"""The generator of deliveries: repeatable, and with the dirt that it promises."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from data.samples.affiliate import HEADERS, Delivery, generate, main


def test_the_same_seed_makes_the_same_bytes_and_another_one_others() -> None:
    def made(seed: int) -> list[bytes]:
        return [delivery.to_bytes() for delivery in generate(seed, days=5)]

    assert made(3) == made(3)
    assert made(3) != made(4)


def of_source(deliveries: list[Delivery], source: str) -> list[dict[str, str]]:
    return [
        record
        for delivery in deliveries
        if delivery.source == source
        for record in csv.DictReader(io.StringIO(delivery.to_bytes().decode(), newline=""))
    ]


def test_deliveries_have_the_dirt_that_the_models_are_about() -> None:
    deliveries = list(generate())
    assert len({(one.source, one.file_name) for one in deliveries}) == len(deliveries)
    # The bytes of one day under the name of another would be skipped as known.
    daily = [one for one in deliveries if one.source in ("routy", "manual", "voluum", "scrapers")]
    assert len({(one.source, one.to_bytes()) for one in daily}) == len(daily)
    files = {source: sum(one.source == source for one in deliveries) for source in HEADERS}
    assert files["routy"] == files["voluum"] == 60
    assert 10 < files["manual"] < 40
    assert 45 < files["scrapers"] < 60
    assert files["deals"] == files["voluum_mapper"] == files["central_mapping"] == 2
    for source in ("routy", "manual", "voluum", "scrapers"):
        dated = [one.columns[0] == "date" for one in deliveries if one.source == source]
        assert True in dated
        assert False in dated

    routy = of_source(deliveries, "routy")
    spellings = {record["marketing_source"] for record in routy}
    assert len({" ".join(name.split()).lower() for name in spellings}) == 12
    assert len(spellings) > 12
    assert any(float(record["raw_earnings"]) < 0 for record in routy)
    assert any(not record["visits"] for record in routy)
    assert any(not record["country_code"] for record in routy)
    deals = of_source(deliveries, "deals")
    assert {"FIXED 0", "CPC", ""} <= {record["deal"] for record in deals}
    known = {record["std_operator"] for record in of_source(deliveries, "central_mapping")}
    assert {record["operator"] for record in routy} - known


def test_the_program_writes_files_under_their_final_names_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--landing", str(tmp_path), "--days", "3", "--end-date", "2026-03-02"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(HEADERS)
    assert all(path.suffix == ".csv" and not path.name.startswith(".") for path in files)
    assert all(
        date(2026, 2, 28) <= date.fromisoformat(path.stem[-10:]) <= date(2026, 3, 2)
        for path in files
    )
    assert f" in {len(files)} files in {tmp_path}" in capsys.readouterr().out


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for option in ("--marketing-sources", "--operators", "--days"):
        with pytest.raises(SystemExit):
            main(["--landing", str(tmp_path), option, "0"])
