"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from data.samples.attribution import generate
from tests.systems.attribution.attribution_instance import Attribution
from tests.systems.instance import (
    assert_a_full_rebuild_changes_nothing,
    assert_marts_equal_oracle,
    in_batches,
    rows_changed,
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


@pytest.mark.parametrize(
    ("seed", "users", "days", "batches"), [(1, 60, 30, 2), (2, 60, 30, 2), (3, 600, 30, 3)]
)
def test_marts_equal_the_oracle_after_any_history(
    seed: int,
    users: int,
    days: int,
    batches: int,
    system: Attribution,
    administrator: psycopg.Connection,
) -> None:
    random_numbers = random.Random(seed)
    deliveries = dict(generate(seed, users=users, days=days))
    names = list(deliveries)
    if seed != 1:  # the first history comes in order
        random_numbers.shuffle(names)
    # Each change once for sessions and once for conversions.
    changes = [(change, kind) for change in CHANGES for kind in ("sessions", "conversions")]
    random_numbers.shuffle(changes)
    changes_a_batch = len(changes) // (batches - 1)
    for batch in in_batches(names, batches):
        delivered = sorted(system.files)
        for name in batch:
            system.drop(name, deliveries[name])
        random_numbers.shuffle(delivered)
        for _ in range(changes_a_batch if delivered else 0):
            change, kind = changes.pop()
            name = next(name for name in delivered if name.startswith(kind))
            delivered.remove(name)
            system.drop(name, change(random_numbers, deliveries[name]))
        for name in random_numbers.sample(batch, k=2):
            system.deliver_again(name, f"{name.removesuffix('.csv')}_again.csv")
        for name in delivered[:2]:
            system.withdraw(name)
        system.run()
        assert_marts_equal_oracle(administrator, system)

    assert changes == []
    assert_a_full_rebuild_changes_nothing(administrator, system)


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
    system.deliver_again(name, name)
    assert rows_changed(system.run()) == 0
