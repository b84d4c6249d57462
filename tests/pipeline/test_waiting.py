"""Which inputs of a pipeline are there, and what becomes of those that are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from sluice.errors import OverdueError
from sluice.loading import load_source, make_missing_tables
from sluice.pipeline.waiting import Inputs, Wait, hold_missing_against, look_for_inputs
from sluice.registry import Pipeline, Registry, load_registry
from sluice.settings import Settings
from tests.shop_project import make_shop

SIX = datetime(2026, 6, 30, 6, tzinfo=UTC)


def pipeline(**schedule: Any) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "shop",
            "description": "x",
            "owner": "y",
            "sources": ["orders", "returns", "prices"],
            "reads": ["web"],
            "schedule": schedule,
        }
    )


ALL = pipeline(when="all", sources={"prices": {"optional": True}})
CRON: dict[str, Any] = {"when": "cron", "cron": "0 6 * * *"}


@pytest.fixture
def registry(settings: Settings, loader: psycopg.Connection) -> Registry:
    """The shop with three sources of one shape."""
    make_shop(settings)
    orders = load_registry(settings.project).source("orders")
    names = ("orders", "returns", "prices")
    loader.autocommit = True
    sources = {name: orders.model_copy(update={"name": name}) for name in names}
    make_missing_tables(loader, sources.values())
    return Registry(sources, {"shop": ALL})


def test_an_input_is_there_as_long_as_gold_does_not_contain_what_it_brought(
    settings: Settings, registry: Registry, loader: psycopg.Connection
) -> None:
    def look(since: datetime | None = None) -> Inputs:
        return look_for_inputs(loader, settings, registry, ALL, since)

    assert look() == Inputs((), ("orders", "returns", "pipeline web"))
    for source in ("orders", "prices"):
        (settings.landing / source).mkdir()
        (settings.landing / source / "a.csv").write_text("order_id,product,amount\n1,ink,2\n")
    assert look() == Inputs(("orders",), ("returns", "pipeline web"))
    load_source(settings, registry.source("orders"))
    assert look().there == ("orders",)

    # Another pipeline publishes; ours does, too, and has taken up all of it.
    for name in ("web", "shop"):
        loader.execute("insert into ops.transformations (pipeline, run_id) values (%s, '')", [name])
        loader.execute(
            "insert into ops.publications (pipeline, transformation_id)"
            " select pipeline, transformation_id from ops.transformations where pipeline = %s",
            [name],
        )
        if name == "web":
            assert look().there == ("orders", "pipeline web")
    loader.execute(
        "insert into ops.published_loads (pipeline, load_id, publication_id)"
        " select 'shop', load_id, publication_id from ops.loads, ops.publications"
        " where pipeline = 'shop'"
    )
    assert look().there == ()
    # What has come since the last time of the schedule needs not come again.
    assert look(datetime.now(UTC) - timedelta(hours=1)).there == ("orders", "pipeline web")
    assert look(datetime.now(UTC)).there == ()


def test_a_wait_is_from_the_time_before_to_the_time_and_what_it_waits_for() -> None:
    wait = Wait.of(pipeline(**CRON, wait_for={"count": 2, "period": "hour"}), SIX)
    assert (wait.since, wait.until) == (SIX - timedelta(days=1), SIX + timedelta(hours=2))
    assert Wait.of(pipeline(**CRON), SIX).until == SIX
    # Six o'clock in Vienna is four o'clock UTC in summer; on this night clocks are put forward.
    vienna = pipeline(**CRON, timezone="Europe/Vienna")
    assert Wait.of(vienna, datetime(2026, 3, 29, 4, tzinfo=UTC)).since == datetime(
        2026, 3, 28, 5, tzinfo=UTC
    )


def test_each_source_says_what_becomes_of_a_run_without_it() -> None:
    missing = ["orders", "returns", "pipeline web"]
    assert hold_missing_against(pipeline(**CRON), missing) == missing
    some = pipeline(**CRON, on_missing="skip", sources={"returns": {"on_missing": "warn"}})
    assert hold_missing_against(some, missing) == ["returns"]
    strict = pipeline(**CRON, sources={"returns": {"on_missing": "fail"}})
    with pytest.raises(OverdueError, match="Pipeline shop misses returns "):
        hold_missing_against(strict, missing)
    assert hold_missing_against(strict, ["orders"]) == ["orders"]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"when": "cron"}, "needs the time in cron"),
        ({"when": "sometimes"}, "any"),
        ({**CRON, "cron": "0 6 * *"}, "is no time of cron"),
        ({**CRON, "cron": "0 0 6 * * *"}, "is no time of cron"),
        ({**CRON, "cron": "61 6 * * *"}, "is no time of cron"),
        ({**CRON, "timezone": "Vienna"}, "is no time zone"),
        ({**CRON, "timezone": "../../etc/passwd"}, "is no time zone"),
        ({"wait_for": {"count": 1, "period": "hour"}}, "wait_for is for runs at a time"),
        ({"when": "all", "on_missing": "fail"}, "on_missing is for runs at a time"),
        ({"sources": {"orders": {"optional": True}}}, "sources is for when: all"),
        ({"when": "all", "sources": {"order": {}}}, "schedule names order"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(schedule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        pipeline(**schedule)


def test_all_needs_something_to_wait_for() -> None:
    keys = {"name": "shop", "description": "x", "owner": "y", "sources": ["orders"]}
    schedule = {"when": "all", "sources": {"orders": {"optional": True}}}
    with pytest.raises(ValidationError, match="every source is optional"):
        Pipeline.model_validate({**keys, "schedule": schedule})
