"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from data.samples.affiliate import Delivery, Record, generate
from tests.systems.affiliate.affiliate_instance import MARTS, REPLACED, Affiliate
from tests.systems.instance import (
    assert_a_full_rebuild_changes_nothing,
    assert_marts_equal_oracle,
    contents,
)

Change = Callable[[random.Random, Delivery], list[Record]]


def without_some(random_numbers: random.Random, delivery: Delivery) -> list[Record]:
    return [record for record in delivery.records if random_numbers.random() < 0.7]


def with_equal_records(random_numbers: random.Random, delivery: Delivery) -> list[Record]:
    return [*delivery.records, *random_numbers.choices(delivery.records, k=3)]


def with_one_record_only(random_numbers: random.Random, delivery: Delivery) -> list[Record]:
    return [random_numbers.choice(delivery.records)]


def a_month_earlier(random_numbers: random.Random, delivery: Delivery) -> list[Record]:
    return [tuple(value.replace("-06-", "-05-") for value in record) for record in delivery.records]


def with_new_names(random_numbers: random.Random, delivery: Delivery) -> list[Record]:
    """Names of marketing sources and operators that nothing lists, some equal but for case."""
    return [
        tuple(
            random_numbers.choice(("Zeta  One", "zeta one", "Zeta Two "))
            if value[:1].isalpha() and random_numbers.random() < 0.2
            else value
            for value in record
        )
        for record in delivery.records
    ]


CHANGES: tuple[Change, ...] = (
    without_some,
    with_equal_records,
    with_one_record_only,
    a_month_earlier,
)
SIZES = {
    "small": {"marketing_sources": 4, "operators": 5, "days": 12},
    "large": {"marketing_sources": 12, "operators": 15, "days": 30},
}


@pytest.mark.parametrize(("seed", "size"), [(1, "small"), (2, "small"), (3, "large")])
def test_marts_equal_the_oracle_after_any_history(
    seed: int, size: str, system: Affiliate, administrator: psycopg.Connection
) -> None:
    random_numbers = random.Random(seed)
    deliveries = list(generate(seed, **SIZES[size]))
    half = next(
        position
        for position, delivery in enumerate(deliveries)
        if position > 3 and delivery.source == "deals"
    )
    for delivery in deliveries[:half]:  # in order
        system.drop(delivery)
    system.run()
    assert_marts_equal_oracle(administrator, system)

    rest = deliveries[half:]
    random_numbers.shuffle(rest)
    for delivery in rest:
        system.drop(delivery)
    delivered = [
        one for one in deliveries[:half] if one.source not in REPLACED and len(one.records) > 1
    ]
    # Some are left as they are: for new names, and to be delivered again.
    corrected = random_numbers.sample(delivered, k=min(2 * len(CHANGES), len(delivered) - 8))
    for change, delivery in zip(CHANGES * 2, corrected, strict=False):
        system.drop(replace(delivery, records=tuple(change(random_numbers, delivery))))
    renamed = next(one for one in delivered if one.source == "routy" and one not in corrected)
    system.drop(replace(renamed, records=tuple(with_new_names(random_numbers, renamed))))
    again = [one for one in delivered if one not in corrected and one is not renamed]
    for delivery in random_numbers.sample(again, k=3):
        path = f"{delivery.source}/{delivery.file_name}"
        system.deliver_again(path, f"{path.removesuffix('.csv')}_again.csv")
    system.run()
    assert_marts_equal_oracle(administrator, system)
    assert_a_full_rebuild_changes_nothing(administrator, system)


def test_pipelines_without_records_have_empty_marts(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    system.drop_lines("routy", "2024-03-07.csv")
    system.run()
    for mart in MARTS:
        assert contents(administrator, "gold", mart) == []
