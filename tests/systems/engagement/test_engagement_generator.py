"""The generator of deliveries: exact, repeatable, and with the habits it promises."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from data.samples.engagement import END_DATE, HEADER, generate, main, write_delivery


def test_the_same_seed_makes_the_same_bytes_and_another_one_others() -> None:
    assert list(generate(3, users=50, days=10)) == list(generate(3, users=50, days=10))
    assert list(generate(3, users=50, days=10)) != list(generate(4, users=50, days=10))


@pytest.mark.parametrize("rows", [0, 1, 777, 10_000])
def test_rows_are_exactly_as_many_as_wanted(rows: int) -> None:
    assert sum(len(lines) for _, lines in generate(1, users=40, days=5, rows=rows)) == rows


def test_one_user_and_one_day_are_enough() -> None:
    ((name, lines),) = generate(1, users=1, days=1, rows=3, end_date=date(2026, 1, 5))
    assert name == "events_2026-01-05.csv"
    assert len(lines) == 3


def test_events_have_the_habits_that_the_marts_are_about() -> None:
    days_of: dict[str, set[date]] = defaultdict(set)
    countries_of: dict[str, set[str]] = defaultdict(set)
    delays: Counter[int] = Counter()
    equal = 0
    for name, lines in generate(users=500):
        arrived = date.fromisoformat(name.removeprefix("events_").removesuffix(".csv"))
        equal += len(lines) - len(set(lines))
        for row in csv.DictReader(lines, fieldnames=HEADER):
            day = date.fromisoformat(row["event_time"][:10])
            delays[(arrived - day).days] += 1
            days_of[row["user_id"]].add(day)
            countries_of[row["user_id"]].add(row["country"])
            has_category = row["event_type"] not in ("like", "share")
            has_miles = row["event_type"] in ("miles_earned", "miles_redeemed")
            assert (bool(row["transaction_category"]), bool(row["miles_amount"])) == (
                has_category,
                has_miles,
            )
    assert set(delays) == {0, 1, 2, 3}
    assert 0.9 < delays[0] / delays.total() < 0.99
    assert equal > 0
    assert sum(len(countries) > 1 for countries in countries_of.values()) > 0
    assert any("" in countries for countries in countries_of.values())
    joined_late = [user for user, days in days_of.items() if min(days) > END_DATE - timedelta(30)]
    left = [user for user, days in days_of.items() if max(days) < END_DATE - timedelta(20)]
    returned = [
        user
        for user, days in days_of.items()
        if any((later - day).days > 14 for day, later in pairwise(sorted(days)))
    ]
    for group in (joined_late, left, returned):
        assert len(group) > 25


def test_the_program_writes_a_file_a_day_under_its_final_name_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--landing", str(tmp_path), "--users", "30", "--days", "3", "--end-date", "2026-03-02"])
    files = sorted((tmp_path / "event_stream").iterdir())
    assert [file.name for file in files] == [
        "events_2026-02-28.csv",
        "events_2026-03-01.csv",
        "events_2026-03-02.csv",
    ]
    assert files[0].read_text().splitlines()[0] == ",".join(HEADER)
    rows = sum(len(file.read_text().splitlines()) - 1 for file in files)
    assert f"{rows:,} rows in 3 files" in capsys.readouterr().out


def test_a_delivery_replaces_one_of_its_name(tmp_path: Path) -> None:
    write_delivery(tmp_path / "a.csv", ["1", "2"])
    write_delivery(tmp_path / "a.csv", iter(["3"]))
    assert (tmp_path / "a.csv").read_text() == ",".join(HEADER) + "\n3\n"
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for option in ("--users", "--days"):
        with pytest.raises(SystemExit):
            main(["--landing", str(tmp_path), option, "0"])
