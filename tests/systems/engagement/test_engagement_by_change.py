"""Models that follow changes, and their publication: always right, and no more than is needed."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

from data.samples.engagement import SOURCE, generate
from tests.systems.engagement.engagement_instance import Engagement
from tests.systems.engagement.test_engagement_marts import CHANGES
from tests.systems.instance import (
    assert_a_full_rebuild_changes_nothing,
    assert_marts_equal_oracle,
)

# In the order in which they are built.
FOLLOWERS = ("dim_users", "int_user_periods", "int_activity", "int_user_returns", "int_cohorts")
FILES = ("stg_event_stream", "int_user_days_by_file", "int_interactions_by_file", "fct_events")


def something_happens(
    random_numbers: random.Random, system: Engagement, deliveries: dict[str, list[str]]
) -> None:
    """New files, corrections, or withdrawals."""
    for _ in range(random_numbers.randint(1, 4)):
        name = random_numbers.choice(sorted(deliveries))
        if name not in system.files:
            system.drop(name, deliveries[name])
        elif random_numbers.random() < 0.4:
            system.load(SOURCE)
            system.withdraw(name)
        else:
            change = random_numbers.choice(CHANGES)
            system.drop(name, change(random_numbers, deliveries[name]))
    system.load(SOURCE)


WAYS_TO_STOP = ("some models", "one in full", "not published")


def something_stops_halfway(random_numbers: random.Random, system: Engagement, way: str) -> None:
    """A build that leaves some models ahead of others, or the candidate ahead of gold."""
    if way == "not published":
        system.transform()
        return
    names = random_numbers.sample([*FILES, *FOLLOWERS], k=5 if way == "some models" else 1)
    options = ["--full-refresh"] if way == "one in full" else []
    assert system.dbt_command("run", "--select", *names, *options).success


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_marts_equal_the_oracle_whatever_stopped_halfway(
    seed: int, system: Engagement, administrator: psycopg.Connection
) -> None:
    random_numbers = random.Random(seed)
    deliveries = dict(generate(seed + 10, users=40, days=40, rows=1200))
    for name in random_numbers.sample(sorted(deliveries), k=15):
        system.drop(name, deliveries[name])
    system.run()
    first, second, third = random_numbers.sample(WAYS_TO_STOP, k=3)
    for ways in ([first, second], [third]):
        for way in ways:
            something_happens(random_numbers, system, deliveries)
            something_stops_halfway(random_numbers, system, way)
        something_happens(random_numbers, system, deliveries)
        system.run()
        assert_marts_equal_oracle(administrator, system)

    assert_a_full_rebuild_changes_nothing(administrator, system)


def rows_written(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """By model, how many rows the newest build inserted."""
    rows = connection.execute(
        """
        select split_part(unique_id, '.', 3), rows_affected from ops.node_results
        where resource_type = 'model'
            and transformation_id = (select max(transformation_id) from ops.transformations)
        """
    ).fetchall()
    return dict(rows)


def test_a_delivery_writes_what_it_changes_and_a_full_refresh_everything(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    system.drop(
        "a.csv",
        [
            "2026-05-04 10:00:00,anna,like,,,web,,AT",
            "2026-05-05 10:00:00,anna,like,,,web,,AT",
            "2026-05-05 10:00:00,ben,like,,,web,,AT",
        ],
    )
    system.run()
    gold = "update gold.{} set {} where user_id = '{}'"
    administrator.execute(gold.format("fct_events", "platform = 'kept'", "ben"))
    administrator.execute(gold.format("dim_users", "country = 'kept'", "ben"))
    system.drop("b.csv", ["2026-05-06 10:00:00,anna,like,,,web,,AT"])
    report = system.run()

    assert report.publication
    changes = {mart.mart: mart for mart in report.publication.marts}
    assert (changes["fct_events"].rows_inserted, changes["dim_users"].rows_updated) == (1, 1)
    # anna's third day, in a week and a month that are there; nobody else is looked at.
    written = rows_written(administrator)
    assert (written["dim_users"], written["int_user_periods"], written["fct_events"]) == (1, 1, 1)
    kept = "select platform from gold.fct_events where user_id = 'ben'"
    assert administrator.execute(kept).fetchall() == [("kept",)]
    kept = "select country from gold.dim_users where user_id = 'ben'"
    assert administrator.execute(kept).fetchall() == [("kept",)]

    system.run(full_refresh=True)
    assert_marts_equal_oracle(administrator, system)


def test_a_user_who_moves_takes_the_past_along(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    rows = ["2026-05-04 10:00:00,anna,like,,,web,,AT", "2026-05-05 10:00:00,anna,like,,,web,,AT"]
    system.drop("a.csv", rows)
    system.run()
    system.drop("b.csv", ["2026-06-08 10:00:00,anna,like,,,web,,DE"])
    system.run()
    assert_marts_equal_oracle(administrator, system)
    # Two days, weeks and months, all of them the country's now.
    periods = administrator.execute(
        "select count(*), min(country), max(country) from silver.int_user_periods"
    ).fetchone()
    assert periods == (3 + 2 + 2, "DE", "DE")
    system.withdraw("b.csv")
    system.run()
    assert_marts_equal_oracle(administrator, system)


def test_a_log_is_cut_off_where_everybody_has_read_it(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    for number, (name, rows) in enumerate(generate(8, users=20, days=4, rows=200)):
        system.drop(name, rows)
        system.run()
        logged = [
            administrator.execute(f"select count(*) from {log}__changes").fetchone()  # type: ignore[arg-type]
            for log in ("gold_audit.fct_events", "silver.int_user_periods")
        ]
        if number > 0:
            # The newest file's load, and what it changed: not the files' before it.
            assert logged[0] == (1,)
            changed = rows_written(administrator)["int_user_periods"]
            assert changed <= (logged[1] or (0,))[0] <= 2 * changed


def test_a_test_that_looks_at_changed_rows_sees_those_and_all_when_one_has_failed(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    def results() -> list[tuple[str, int]]:
        return administrator.execute(
            """
            select status, failures from ops.node_results
            where unique_id like '%.fct_events_has_miles_where_miles_move.%'
            order by transformation_id
            """
        ).fetchall()

    def row(number: int, miles: str) -> str:
        return f"2026-05-0{number} 10:00:00,anna,like,,{miles},web,,AT"

    system.drop("1.csv", [row(1, "")])
    system.run()
    # What was published is not looked at again by a run, but it is by dbt test.
    administrator.execute("update gold_audit.fct_events set miles_amount = 1")
    system.drop("2.csv", [row(2, "")])
    system.run()
    assert results() == [("pass", 0), ("pass", 0)]
    outcome = system.dbt_command("test", "--select", "fct_events_has_miles_where_miles_move")
    assert [result.failures for result in outcome.result] == [1]
    administrator.execute("update gold_audit.fct_events set miles_amount = null")

    system.drop("3.csv", [row(3, "5")])
    system.run()
    system.drop("4.csv", [row(4, "")])  # sound itself, but the third one still is not
    system.run()
    assert results()[2:] == [("warn", 1), ("warn", 1)]
    system.drop("3.csv", [row(3, "")])
    system.run()
    assert results()[4:] == [("pass", 0)]
