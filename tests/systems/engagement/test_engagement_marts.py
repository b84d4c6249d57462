"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from data.samples.engagement import generate
from tests.systems.engagement.engagement_instance import Engagement
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


def in_another_country(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [
        row.rpartition(",")[0] + ",NL" if random_numbers.random() < 0.3 else row for row in rows
    ]


def a_month_earlier(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [row.replace("2026-05-", "2026-04-", 1) for row in rows]


def with_quoted_emptiness(random_numbers: random.Random, rows: list[str]) -> list[str]:
    """Empty text in quotes is an empty text for PostgreSQL, and not null."""
    texts = (3, 5, 6, 7)
    return [
        ",".join(
            '""' if position in texts and not field else field
            for position, field in enumerate(row.split(","))
        )
        for row in rows
    ]


def in_one_instant(random_numbers: random.Random, rows: list[str]) -> list[str]:
    """Ties of the latest event: each row comes twice more, later, from two countries at once."""
    parts = [row.split(",") for row in rows]
    latest = [["2026-06-30 23:59:59.999999", *part[1:-1]] for part in parts]
    return rows + [",".join([*part, country]) for part in latest for country in ("SE", "NO")]


def nothing_left(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return []


CHANGES: tuple[Change, ...] = (
    without_some,
    with_equal_records,
    in_another_country,
    a_month_earlier,
    with_quoted_emptiness,
    in_one_instant,
    nothing_left,
)


@pytest.mark.parametrize(
    ("seed", "users", "days", "batches"), [(1, 30, 35, 2), (2, 30, 35, 2), (3, 60, 100, 3)]
)
def test_marts_equal_the_oracle_after_any_history(
    seed: int,
    users: int,
    days: int,
    batches: int,
    system: Engagement,
    administrator: psycopg.Connection,
) -> None:
    random_numbers = random.Random(seed)
    deliveries = dict(generate(seed, users=users, days=days, rows=25 * days))
    names = sorted(deliveries)
    if seed != 1:  # the first history comes in order
        random_numbers.shuffle(names)
    changes = list(CHANGES)
    random_numbers.shuffle(changes)
    changes_a_batch = -(-len(changes) // (batches - 1))
    for batch in in_batches(names, batches):
        delivered = sorted(system.files)
        for name in batch:
            system.drop(name, deliveries[name])
        # Of what was delivered before: some corrected, one withdrawn, some delivered once more.
        if delivered:
            *corrected, withdrawn, again = random_numbers.sample(delivered, changes_a_batch + 2)
            for name in corrected[: len(changes)]:
                system.drop(name, changes.pop()(random_numbers, deliveries[name]))
            system.withdraw(withdrawn)
            system.deliver_again(again, again)
        for name in random_numbers.sample(batch, k=2):
            system.deliver_again(name, f"{name.removesuffix('.csv')}_again.csv")
        system.run()
        assert_marts_equal_oracle(administrator, system)
    assert changes == []
    assert_a_full_rebuild_changes_nothing(administrator, system)


def test_a_pipeline_without_deliveries_has_empty_marts(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    system.drop("events_2026-06-30.csv", [])
    system.run()
    assert_marts_equal_oracle(administrator, system)


def test_a_file_delivered_again_changes_nothing(system: Engagement) -> None:
    for name, rows in generate(4, users=10, days=3, rows=60):
        system.drop(name, rows)
    system.run()
    system.deliver_again(name, name)
    assert rows_changed(system.run()) == 0
