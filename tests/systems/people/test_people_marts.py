"""The marts, through the whole platform, held against the oracle over histories of deliveries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from data.samples.people import generate
from tests.systems.instance import (
    assert_a_full_rebuild_changes_nothing,
    assert_marts_equal_oracle,
    in_batches,
    rows_changed,
)
from tests.systems.people.people_instance import People, path_of, person

Change = Callable[[random.Random, list[str]], list[str]]


def without_some(random_numbers: random.Random, records: list[str]) -> list[str]:
    return [record for record in records if random_numbers.random() < 0.7]


def with_equal_records(random_numbers: random.Random, records: list[str]) -> list[str]:
    return records + random_numbers.choices(records, k=3)


def backwards(random_numbers: random.Random, records: list[str]) -> list[str]:
    """Of a person who is there twice the other record is the last now."""
    return records[::-1]


def everybody_moves_together(random_numbers: random.Random, records: list[str]) -> list[str]:
    location = json.loads(records[0])["location"]
    return [json.dumps({**json.loads(record), "location": location}) for record in records]


def nobody_lives_anywhere(random_numbers: random.Random, records: list[str]) -> list[str]:
    """Nothing is known of a location: it is one of its own all the same."""
    nowhere = {
        "street": {"number": None, "name": ""},
        "city": " ",
        "state": None,
        "country": None,
        "postcode": None,
        "timezone": {"offset": None, "description": ""},
    }
    return [json.dumps({**json.loads(record), "location": nowhere}) for record in records[:9]]


CHANGES: tuple[Change, ...] = (
    without_some,
    with_equal_records,
    backwards,
    everybody_moves_together,
    nobody_lives_anywhere,
)


@pytest.mark.parametrize(("seed", "persons"), [(1, 150), (2, 150), (3, 1500)])
def test_marts_equal_the_oracle_after_any_history(
    seed: int, persons: int, system: People, administrator: psycopg.Connection
) -> None:
    random_numbers = random.Random(seed)
    deliveries = {path_of(day): rows for day, rows in generate(seed, persons=persons, days=14)}
    names = list(deliveries)
    if seed != 1:  # the first history comes in order
        random_numbers.shuffle(names)
    for batch in in_batches(names, 2):
        delivered = sorted(system.files)
        random_numbers.shuffle(delivered)
        for name in batch:
            system.drop(name, deliveries[name])
        for change in CHANGES if delivered else ():
            name = delivered.pop()
            system.drop(name, change(random_numbers, deliveries[name]))
        for name in delivered[:1]:
            system.withdraw(name)
        again = random_numbers.choice(batch)
        system.deliver_again(again, again)
        # The same answer an hour later is news: so it was then as well.
        an_hour_later = again.replace("T06", "T07")
        deliveries[an_hour_later] = deliveries[again]
        system.drop(an_hour_later, deliveries[again])
        system.run()
        assert_marts_equal_oracle(administrator, system)
    assert_a_full_rebuild_changes_nothing(administrator, system)


def test_the_population_as_of_a_day(system: People, administrator: psycopg.Connection) -> None:
    """By hand: ages on the day of the newest extraction, then on another that is given."""
    first, second = date(2026, 6, 29), date(2026, 6, 30)
    system.drop(
        path_of(first),
        [
            person(1, dob__date=None, nat="gb"),
            person(2, dob__date="1926-06-30T23:00:00.000Z", gender="Male"),
            person(3, dob__date=None, gender=None, nat=""),
            person(4, registered__date="2026-06-30T01:00:00+02:00"),  # on the 29th in UTC
        ],
    )
    # One of them is known better, another one registers.
    system.drop(
        path_of(second),
        [
            person(1, dob__date="1996-06-30T00:00:00.000Z"),  # thirty on that day
            person(5, registered__date="2026-06-30T00:00:00.000Z"),
        ],
    )
    system.run()
    assert_marts_equal_oracle(administrator, system)
    query = "select age_group, population from gold.population_by_age_group where population > 0"
    assert dict(administrator.execute(query).fetchall()) == {"30-39": 3, "100+": 1, "unknown": 1}

    system.give_day(first)
    system.run()
    assert_marts_equal_oracle(administrator, system)
    assert dict(administrator.execute(query).fetchall()) == {
        "20-29": 1,
        "30-39": 1,  # without the one who registers a day later
        "90-99": 1,
        "unknown": 1,
    }
    by_gender = administrator.execute("select gender, population from gold.population_by_gender")
    assert dict(by_gender.fetchall()) == {"female": 2, "male": 1, "unknown": 1}


def test_an_old_delivery_that_comes_late_changes_nothing_newer(
    system: People, administrator: psycopg.Connection
) -> None:
    days = [date(2026, 6, day) for day in (28, 29, 30)]
    system.drop(path_of(days[1]), [person(1, email="NEW@example.com")])
    system.run()
    system.drop(path_of(days[0]), [person(1, email="old@example.com"), person(2)])
    report = system.run()
    query = "select email from gold.dim_person order by person_id"
    assert administrator.execute(query).fetchall() == [
        ("new@example.com",),
        ("anna@example.com",),
    ]
    assert report.publication is not None
    changes = {mart.mart: mart for mart in report.publication.marts}
    assert (changes["dim_person"].rows_inserted, changes["dim_person"].rows_updated) == (1, 0)
    system.withdraw(path_of(days[1]))
    system.run()
    assert administrator.execute(query).fetchall()[0] == ("old@example.com",)
    assert_marts_equal_oracle(administrator, system)
    system.deliver_again(path_of(days[0]), path_of(days[0]))
    assert rows_changed(system.run()) == 0
