"""How old deliveries and marts may be, and what is said of those that are older."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from pydantic import ValidationError

from sluice.loading import load_source
from sluice.loading.kept import Selection
from sluice.loading.replay import replay
from sluice.pipeline.freshness import FreshnessState, freshness_states, is_watched, overdue_error
from sluice.registry import Registry, load_registry
from sluice.registry.freshness import Freshness
from tests.shop_project import ShopProject

DAYS = {"warn_after": {"count": 1, "period": "day"}, "error_after": {"count": 2, "period": "day"}}


def watched(registry: Registry, **keys: object) -> Registry:
    """The shop, whose source and pipeline say how old they may be."""
    freshness = Freshness.model_validate(keys or DAYS)
    source = registry.source("orders").model_copy(update={"freshness": freshness})
    pipeline = registry.pipeline("shop").model_copy(update={"freshness": freshness})
    return Registry({"orders": source}, {"shop": pipeline})


def by_name(states: list[FreshnessState]) -> dict[str, str]:
    return {state.name: state.state for state in states}


def test_a_delivery_is_late_by_its_age(shop: ShopProject, loader: psycopg.Connection) -> None:
    registry = watched(load_registry(shop.settings.project))
    orders = registry.source("orders")
    shop.drop("a.csv", "1,ink,2\n")
    load_source(shop.settings, orders)
    loader.autocommit = True
    now = datetime.now(UTC)
    for hours, state in ((1, "fresh"), (25, "warn"), (49, "error")):
        (found, _) = freshness_states(loader, registry, now + timedelta(hours=hours))
        assert (found.state, found.newest_at is not None) == (state, True)

    # What brings nothing new does not make it young: the file again, and a replay of it.
    loader.execute("update ops.loads set loaded_at = loaded_at - interval '25 hours'")
    shop.drop("a.csv", "1,ink,2\n")
    assert [entry.outcome for entry in load_source(shop.settings, orders).entries] == ["skipped"]
    replay(shop.settings, orders, Selection())
    assert by_name(freshness_states(loader, registry, now))["orders"] == "warn"
    shop.drop("b.csv", "2,ink,2\n")
    load_source(shop.settings, orders)
    assert by_name(freshness_states(loader, registry))["orders"] == "fresh"


def test_marts_are_late_by_their_publication(
    shop: ShopProject, transformer: psycopg.Connection
) -> None:
    registry = watched(load_registry(shop.settings.project))
    assert by_name(freshness_states(transformer, registry)) == {"orders": "error", "shop": "error"}
    transformer.execute(
        "insert into ops.transformations (pipeline, run_id) values ('shop', 'test')"
    )
    transformer.execute(
        "insert into ops.publications (pipeline, transformation_id)"
        " select pipeline, transformation_id from ops.transformations"
    )
    now = datetime.now(UTC)
    states = freshness_states(transformer, registry, now + timedelta(minutes=1))
    assert by_name(states) == {"orders": "error", "shop": "fresh"}
    states = freshness_states(transformer, registry, now + timedelta(days=3))
    error = overdue_error(states)
    assert error is not None
    assert "source orders: no delivery was ever loaded; it may be 2 days old" in error.message
    assert f"pipeline shop: was last published {now:%Y-%m-%d}" in error.message


def test_without_an_error_after_nothing_fails(
    shop: ShopProject, transformer: psycopg.Connection
) -> None:
    registry = load_registry(shop.settings.project)
    assert not is_watched(registry)
    assert freshness_states(transformer, registry) == []
    registry = watched(registry, warn_after={"count": 5, "period": "minute"})
    assert is_watched(registry)
    states = freshness_states(transformer, registry)
    assert by_name(states) == {"orders": "warn", "shop": "warn"}
    assert overdue_error(states) is None


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"warn_after": {"count": 0, "period": "day"}},
        {"warn_after": {"count": 1, "period": "week"}},
        {"warn_after": {"count": 1, "period": "day"}, "error_after": DAYS["error_after"], "x": 1},
        {"warn_after": DAYS["error_after"], "error_after": DAYS["warn_after"]},
    ],
)
def test_a_freshness_that_means_nothing_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Freshness.model_validate(keys)
