"""What waits for a build of a pipeline, and is told to nobody by an event."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sluice.loading import load_source, make_missing_tables
from sluice.pipeline import untaken
from sluice.pipeline.untaken import untaken_inputs
from sluice.registry import Pipeline, Registry, load_registry
from sluice.settings import Settings
from tests.shop_project import make_shop


@pytest.fixture
def registry(
    settings: Settings, loader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A shop that reads the pipeline web, and has a source in common with it."""
    monkeypatch.setattr(untaken, "GRACE_SECONDS", 0)
    make_shop(settings)
    loader.autocommit = True
    orders = load_registry(settings.project).source("orders")
    sources = {name: orders.model_copy(update={"name": name}) for name in ("orders", "visits")}
    make_missing_tables(loader, sources.values())
    shop = pipeline("shop", ["orders", "visits"], reads=["web"])
    return Registry(sources, {"shop": shop, "web": pipeline("web", ["visits"])})


def pipeline(name: str, sources: list[str], **keys: Any) -> Pipeline:
    given = {"name": name, "description": "x", "owner": "y", "sources": sources}
    return Pipeline.model_validate({**given, **keys})


def load(settings: Settings, registry: Registry, source: str, name: str) -> None:
    folder = settings.landing / source
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"order_id,product,amount\n1,{name},2\n")
    load_source(settings, registry.source(source))


def build(loader: psycopg.Connection, name: str, *, is_published: bool = False) -> None:
    """A build of all loads that there are."""
    loader.execute(
        "insert into ops.transformations (pipeline, run_id, loads)"
        " select %s, '', coalesce(array_agg(load_id), '{}') from ops.loads",
        [name],
    )
    if is_published:
        loader.execute(
            "insert into ops.publications (pipeline, transformation_id)"
            " select pipeline, max(transformation_id) from ops.transformations"
            " where pipeline = %s group by pipeline",
            [name],
        )


def kinds(found: untaken.Untaken) -> dict[str, list[str]]:
    return {
        name: sorted(word.rpartition(" ")[0] for word in words) for name, words in found.items()
    }


def test_what_came_since_the_newest_build_waits(
    settings: Settings, registry: Registry, loader: psycopg.Connection
) -> None:
    assert untaken_inputs(loader, settings, registry) == {}
    load(settings, registry, "visits", "a.csv")
    assert kinds(untaken_inputs(loader, settings, registry)) == {
        "shop": ["source visits"],
        "web": ["source visits"],
    }
    # As on the command line: one of them builds and publishes, the other is told of both.
    build(loader, "web", is_published=True)
    assert kinds(untaken_inputs(loader, settings, registry)) == {
        "shop": ["pipeline web", "source visits"]
    }
    build(loader, "shop")  # it may fail, and somebody sees to that
    assert untaken_inputs(loader, settings, registry) == {}
    load(settings, registry, "orders", "a.csv")
    first = untaken_inputs(loader, settings, registry)
    load(settings, registry, "orders", "b.csv")
    second = untaken_inputs(loader, settings, registry)
    assert kinds(first) == kinds(second) == {"shop": ["source orders"]}
    assert first != second


def test_a_run_that_is_about_to_build_is_left_to_it(
    settings: Settings,
    registry: Registry,
    loader: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(untaken, "GRACE_SECONDS", 30)
    load(settings, registry, "visits", "a.csv")
    assert untaken_inputs(loader, settings, registry) == {}


def test_a_schedule_is_kept(
    settings: Settings, registry: Registry, loader: psycopg.Connection
) -> None:
    registry.pipelines["shop"] = pipeline("shop", ["orders", "visits"], schedule={"when": "all"})
    registry.pipelines["web"] = pipeline(
        "web", ["visits"], schedule={"when": "cron", "cron": "@daily"}
    )
    load(settings, registry, "visits", "a.csv")
    assert untaken_inputs(loader, settings, registry) == {}
    load(settings, registry, "orders", "a.csv")
    assert kinds(untaken_inputs(loader, settings, registry)) == {
        "shop": ["source orders", "source visits"]
    }


def test_a_load_that_is_committed_while_a_build_begins_waits_for_the_next(
    settings: Settings, registry: Registry, loader: psycopg.Connection
) -> None:
    load(settings, registry, "orders", "a.csv")
    # It is older than the build, and not in it.
    loader.execute("insert into ops.transformations (pipeline, run_id) values ('shop', '')")
    assert kinds(untaken_inputs(loader, settings, registry)) == {"shop": ["source orders"]}
    build(loader, "shop", is_published=True)
    loader.execute(
        "insert into ops.published_loads (pipeline, load_id, publication_id)"
        " select 'shop', load_id, publication_id from ops.loads, ops.publications"
    )
    loader.execute("insert into ops.transformations (pipeline, run_id) values ('shop', '')")
    assert untaken_inputs(loader, settings, registry) == {}
