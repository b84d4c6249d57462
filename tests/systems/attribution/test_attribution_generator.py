"""The generator of deliveries: exact, repeatable, and with the dirt that it promises."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from data.samples.attribution import END_DATE, HEADERS, generate, main, write_delivery
from tests.systems.attribution.attribution_oracle import expected_marts, moment


def test_the_same_seed_makes_the_same_bytes_and_another_one_others() -> None:
    assert list(generate(3, users=50, days=10)) == list(generate(3, users=50, days=10))
    assert list(generate(3, users=50, days=10)) != list(generate(4, users=50, days=10))


@pytest.mark.parametrize("rows", [0, 1, 777, 10_000])
def test_sessions_are_exactly_as_many_as_wanted(rows: int) -> None:
    deliveries = generate(1, users=40, days=5, rows=rows)
    assert sum(len(lines) for name, lines in deliveries if name.startswith("sessions/")) == rows


def test_the_files_have_the_dirt_of_real_ones() -> None:
    delays: Counter[int] = Counter()
    spellings: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for name, lines in generate(users=3000):
        source = name.partition("/")[0]
        arrived = date.fromisoformat(name[-14:-4])
        for record in csv.DictReader(lines, fieldnames=HEADERS[source]):
            text = record["time_started" if source == "sessions" else "registration_time"]
            times["T" if "T" in text else text[26:]] += 1
            delays[(arrived - moment(text).date()).days] += 1
            equal[f"{source} {record['user_id']} {moment(text)}"] += 1
            if source == "sessions":
                spellings[record["medium"]] += 1
                flags[record["is_paid"]] += 1
    assert set(delays) == {0, 1, 2, 3}
    assert 0.9 < delays[0] / delays.total() < 0.995
    for medium in (
        "DIRECT",
        "direct",
        "Direct",
        " DIRECT ",
        "paid_search",
        "PAID-SEARCH",
        "",
        "  ",
    ):
        assert spellings[medium] > 0
    for flag in ("true", "TRUE", "t", "1", "false", "0", ""):
        assert flags[flag] > 0
    for kind in ("", "T", "+02:00"):
        assert times[kind] > 0
    for source in HEADERS:
        assert any(count > 1 for key, count in equal.items() if key.startswith(source))


def test_every_rule_of_attribution_has_its_cases(tmp_path: Path) -> None:
    for name, lines in generate(users=3000):
        write_delivery(tmp_path / name, lines)
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.glob("*/*.csv")}
    marts = expected_marts(files)
    by_channel: Counter[str] = Counter()
    for channel, _, count, _, _ in marts["channel_attribution"]:
        by_channel[channel] += count
    assert len(by_channel) == 6
    assert min(by_channel.values()) > 20
    hours = {row[5] for row in marts["fct_registrations"]}
    assert {0, 1, 3} <= hours  # a session at the very moment, and at the windows' ends
    registered = Counter(row[0] for row in marts["fct_registrations"])
    assert max(registered.values()) == 2


def test_broken_records_come_on_top() -> None:
    clean = dict(generate(5, users=50, days=4))
    broken = dict(generate(5, users=50, days=4, broken=9))
    assert sum(map(len, broken.values())) == sum(map(len, clean.values())) + 9


def test_the_program_writes_two_files_a_day_under_their_final_names_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--landing", str(tmp_path), "--users", "90", "--days", "3", "--end-date", "2026-03-02"])
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    days = ("2026-02-28", "2026-03-01", "2026-03-02")
    assert files == [
        *(f"conversions/conversions_{day}.csv" for day in days),
        *(f"sessions/sessions_{day}.csv" for day in days),
    ]
    for file in files:
        first = (tmp_path / file).read_text().splitlines()[0]
        assert first == ",".join(HEADERS[file.partition("/")[0]])
    rows = sum(len((tmp_path / file).read_text().splitlines()) - 1 for file in files)
    assert f"{rows:,} rows in 6 files" in capsys.readouterr().out


def test_the_last_day_is_fixed_or_given() -> None:
    names = [name for name, _ in generate(users=90, days=2)]
    assert names[0].endswith(f"{END_DATE - timedelta(1)}.csv")
    assert names[-1].endswith(f"{END_DATE}.csv")


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for option in ("--users", "--days"):
        with pytest.raises(SystemExit):
            main(["--landing", str(tmp_path), option, "0"])
