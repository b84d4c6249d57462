"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from data.samples.engagement import generate
from tests.systems.engagement.engagement_instance import (
    Engagement,
    assert_marts_equal_oracle,
    contents,
    marts_in_gold,
)

INCREMENTAL = (
    ("silver", "stg_event_stream"),
    ("silver", "int_user_days_by_file"),
    ("silver", "int_interactions_by_file"),
    ("silver", "int_user_periods"),
    ("silver", "int_activity"),
    ("silver", "int_user_returns"),
    ("silver", "int_cohorts"),
    ("gold_audit", "fct_events"),
    ("gold_audit", "dim_users"),
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_marts_equal_the_oracle_after_any_history(
    seed: int, system: Engagement, administrator: psycopg.Connection
) -> None:
    random_numbers = random.Random(seed)
    deliveries = dict(generate(seed, users=60, days=100, rows=2500))
    names = sorted(deliveries)
    random_numbers.shuffle(names)
    changes = list(CHANGES)
    random_numbers.shuffle(changes)
    batch_size = len(names) // 3
    for batch in (names[:batch_size], names[batch_size : 2 * batch_size], names[2 * batch_size :]):
        for name in batch:
            system.drop(name, deliveries[name])
        # Of what was delivered before: some corrected, some delivered once more.
        delivered = sorted(set(system.files) - set(batch))
        for name in random_numbers.sample(delivered, k=min(5, len(delivered))):
            if changes:
                system.drop(name, changes.pop()(random_numbers, deliveries[name]))
        for name in random_numbers.sample(batch, k=2):
            system.deliver_again(name, f"{name.removesuffix('.csv')}_again.csv")
        system.run()
        assert_marts_equal_oracle(administrator, system)
    assert changes == []

    system.deliver_again(names[0], names[0])
    report = system.run()
    assert report.publication is not None
    assert (
        sum(
            mart.rows_inserted + mart.rows_updated + mart.rows_deleted
            for mart in report.publication.marts
        )
        == 0
    )

    incremental = [contents(administrator, *table) for table in INCREMENTAL]
    gold = marts_in_gold(administrator)
    system.run(full_refresh=True)
    assert [contents(administrator, *table) for table in INCREMENTAL] == incremental
    assert marts_in_gold(administrator) == gold
    assert_marts_equal_oracle(administrator, system)


def test_a_pipeline_without_deliveries_has_empty_marts(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    system.drop("events_2026-06-30.csv", [])
    system.run()
    assert_marts_equal_oracle(administrator, system)
