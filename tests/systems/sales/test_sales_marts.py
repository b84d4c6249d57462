"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from data.samples.sales import generate
from tests.systems.instance import (
    assert_a_full_rebuild_changes_nothing,
    assert_marts_equal_oracle,
    in_batches,
)
from tests.systems.sales.sales_instance import Sales

Change = Callable[[random.Random, list[str]], list[str]]


def without_some(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [row for row in rows if random_numbers.random() < 0.7]


def a_month_earlier(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return [row.replace(",2026-06-", ",2026-05-") for row in rows]


def all_renamed(random_numbers: random.Random, rows: list[str]) -> list[str]:
    fields = [row.split(",") for row in rows]
    return [",".join([*row[:2], f"New {row[2]}", *row[3:]]) for row in fields]


def without_names(random_numbers: random.Random, rows: list[str]) -> list[str]:
    fields = [row.split(",") for row in rows]
    return [",".join([*row[:2], "None", "", "", row[5], " ", *row[7:]]) for row in fields]


def with_ids_of_each_other(random_numbers: random.Random, rows: list[str]) -> list[str]:
    """Half of the sales of the file are others now, some of them twice."""
    ids = [row.partition(",")[0] for row in rows]
    return [f"{random_numbers.choice(ids)},{row.partition(',')[2]}" for row in rows]


def nothing_left(random_numbers: random.Random, rows: list[str]) -> list[str]:
    return []


CHANGES: tuple[Change, ...] = (
    without_some,
    a_month_earlier,
    all_renamed,
    without_names,
    with_ids_of_each_other,
    nothing_left,
)


@pytest.mark.parametrize(
    ("seed", "products", "days", "rows", "batches"),
    [(1, 20, 30, 400, 3), (2, 20, 30, 400, 3), (3, 80, 45, 6000, 3)],
)
def test_marts_equal_the_oracle_after_any_history(
    seed: int,
    products: int,
    days: int,
    rows: int,
    batches: int,
    system: Sales,
    administrator: psycopg.Connection,
) -> None:
    random_numbers = random.Random(seed)
    deliveries = {
        path[-14:-4]: lines for path, lines in generate(seed, products, days=days, rows=rows)
    }
    names = list(deliveries)
    if seed != 1:  # the first history comes in order
        random_numbers.shuffle(names)
    changes = list(CHANGES)
    random_numbers.shuffle(changes)
    for batch in in_batches(names, batches):
        delivered = [path[-14:-4] for path in sorted(system.files)]
        random_numbers.shuffle(delivered)
        for name in batch:
            system.drop(name, deliveries[name])
        for _ in range(len(CHANGES) // (batches - 1) if delivered else 0):
            name = delivered.pop()
            system.drop(name, changes.pop()(random_numbers, deliveries[name]))
        for name in random_numbers.sample(batch, k=2):
            path = f"sales/sales_{name}.csv"
            system.deliver_again(path, f"{path.removesuffix('.csv')}_again.csv")
        for name in delivered[:2]:
            system.withdraw(f"sales/sales_{name}.csv")
        system.run()
        assert_marts_equal_oracle(administrator, system)

    assert changes == []
    assert_a_full_rebuild_changes_nothing(administrator, system)
