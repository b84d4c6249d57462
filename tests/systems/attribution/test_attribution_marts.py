"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from data.samples.attribution import generate
from tests.systems.attribution.attribution_instance import (
    INCREMENTAL,
    Attribution,
    assert_marts_equal_oracle,
    contents,
    marts_in_gold,
)

Change = Callable[[random.Random, list[str]], list[str]]


def without_some(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [row for row in rows if random_numbers.random() < 0.7]


def with_equal_records(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return rows + random_numbers.choices(rows, k=3)


def a_month_earlier(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [row.replace("2026-06-", "2026-05-", 1) for row in rows]


def of_one_user(random_numbers: random.Random, rows: list[str]) -> list[str]:
    """Everything belongs to one user: many sessions and many registrations together."""
    user_id = rows[0].partition(",")[0]
    return [f"{user_id},{row.partition(',')[2]}" for row in rows]


def with_blanks_around_users(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [f"  {row.partition(',')[0]} ,{row.partition(',')[2]}" for row in rows]


def nothing_left(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return []


CHANGES: tuple[Change, ...] = (
    without_some,
    with_equal_records,
    a_month_earlier,
    of_one_user,
    with_blanks_around_users,
    nothing_left,
)


@pytest.mark.parametrize(("seed", "users", "days"), [(1, 60, 12), (2, 60, 12), (3, 900, 30)])
def test_marts_equal_the_oracle_after_any_history(
    seed: int, users: int, days: int, system: Attribution, administrator: psycopg.Connection
) -> None:
    random_numbers = random.Random(seed)
    deliveries = dict(generate(seed, users=users, days=days))
    names = list(deliveries)
    if seed != 1:  # the first history comes in order
        random_numbers.shuffle(names)
    # Each change once for sessions and once for conversions.
    changes = [(change, kind) for change in CHANGES for kind in ("sessions", "conversions")]
    random_numbers.shuffle(changes)
    third = len(names) // 3
    batches = (names[:third], names[third : 2 * third], names[2 * third :])
    for batch, changes_now in zip(batches, ([], changes[:6], changes[6:]), strict=True):
        delivered, corrected = sorted(system.files), set[str]()
        for name in batch:
            system.drop(name, deliveries[name])
        for change, kind in changes_now:
            name = random_numbers.choice([name for name in delivered if name.startswith(kind)])
            corrected.add(name)
            system.drop(name, change(random_numbers, deliveries[name]))
        for name in random_numbers.sample(batch, k=2):
            system.deliver_again(name, f"{name.removesuffix('.csv')}_again.csv")
        for name in [name for name in delivered if name not in corrected][:2]:
            system.withdraw(name)
        system.run()
        assert_marts_equal_oracle(administrator, system)

    system.deliver_again(names[-1], names[-1])
    report = system.run()
    assert report.publication is not None
    assert (
        sum(
            mart.rows_inserted + mart.rows_updated + mart.rows_deleted
            for mart in report.publication.marts
        )
        == 0
    )

    incremental = {table: contents(administrator, *table) for table in INCREMENTAL}
    gold = marts_in_gold(administrator)
    system.run(full_refresh=True)
    for table, rows in incremental.items():
        assert contents(administrator, *table) == rows, table
    assert marts_in_gold(administrator) == gold
    assert_marts_equal_oracle(administrator, system)


def test_all_channels_and_empty_files(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    """A pipeline without records has empty marts, and the channels; then one day has them all."""
    system.drop("sessions/sessions_2026-06-29.csv", [])
    system.drop("conversions/conversions_2026-06-29.csv", [])
    system.run()
    assert_marts_equal_oracle(administrator, system)
    for name, rows in generate(4, users=3000, days=1):
        system.drop(name, rows)
    system.run()
    assert_marts_equal_oracle(administrator, system)
    found = administrator.execute("select channel from gold.channel_attribution").fetchall()
    assert len(found) == 6
