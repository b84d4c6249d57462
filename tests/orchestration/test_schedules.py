"""Schedules as Airflow's: what wakes a DAG, and how its first task waits, goes on or fails."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, AssetAll, AssetAny
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskDeferred
from airflow.triggers.shared_stream import SharedStreamManager

from sluice.errors import OverdueError
from sluice.orchestration import scan, waiting
from sluice.orchestration.dags import build_dags
from sluice.orchestration.waiting import InputsTrigger
from sluice.pipeline import steps
from sluice.settings import Settings
from tests.orchestration.conftest import RegistryFiles
from tests.orchestration.test_operators import Run
from tests.shop_project import ShopProject, make_shop

CRON = "when: cron, cron: '0 6 * * *'"


def with_schedule(settings: Settings, schedule: str, pipeline: str = "shop") -> DAG:
    path = settings.registry / "pipelines" / f"{pipeline}.yml"
    text = path.read_text().partition("schedule:")[0]
    path.write_text(f"{text}schedule: {{{schedule}}}\n")
    return build_dags(settings)[pipeline]


def uris(condition: Any) -> set[str]:
    return {asset.uri for asset in condition.objects}


def all_of(dag: DAG) -> AssetAll:
    """All that a pipeline waits for; beside it, what the ledger has wakes it."""
    every, pending = dag.timetable.asset_condition.objects
    assert pending.uri == "sluice://pending/shop"
    assert isinstance(every, AssetAll)
    return every


def test_what_wakes_a_pipeline(registry_files: RegistryFiles) -> None:
    settings = registry_files.settings
    registry_files.pipeline("shop", "orders", "returns")

    assert isinstance(with_schedule(settings, "when: any").timetable.asset_condition, AssetAny)
    assert "await" not in build_dags(settings)["shop"].task_ids
    every = with_schedule(settings, "when: all, sources: {returns: {optional: true}}")
    assert uris(all_of(every)) == {"sluice://landing/orders"}
    assert every.get_task("await").downstream_task_ids == {"sense"}
    assert "Runs when there is something new of orders, or by hand." in str(every.doc_md)
    timed = with_schedule(settings, f"{CRON}, timezone: Europe/Vienna").timetable
    assert (timed.expression, str(timed.timezone)) == ("0 6 * * *", "Europe/Vienna")
    both = with_schedule(settings, "when: all, cron: '@daily'")
    assert uris(all_of(both)) == {
        "sluice://landing/orders",
        "sluice://landing/returns",
    }
    assert both.timetable.timetable.expression == "0 0 * * *"
    assert "at `@daily` (UTC) at the latest" in str(both.doc_md)


def test_all_waits_for_the_marts_of_each_pipeline_that_is_read(
    registry_files: RegistryFiles,
) -> None:
    settings = registry_files.settings
    registry_files.pipeline("web", "visits")
    registry_files.pipeline("shop", "orders")
    for name in ("a", "b"):
        folder = settings.dbt / "models" / "gold" / "web"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.sql").touch()
    path = settings.registry / "pipelines" / "shop.yml"
    path.write_text(path.read_text() + "reads: [web]\n")
    dag = with_schedule(settings, "when: all")

    landing, marts = all_of(dag).objects
    assert landing.uri == "sluice://landing/orders"
    assert isinstance(marts, AssetAny)
    assert uris(marts) == {"sluice://gold/a", "sluice://gold/b"}


def test_the_graph_goes_from_landing_to_gold_across_pipelines(
    registry_files: RegistryFiles,
) -> None:
    registry_files.pipeline("shop", "orders")
    dag = with_schedule(registry_files.settings, CRON)
    load, publish = dag.get_task("load.orders"), dag.get_task("publish")
    assert [asset.uri for asset in load.inlets] == ["sluice://landing/orders"]
    assert [asset.uri for asset in load.outlets] == ["sluice://bronze/orders"]
    assert [asset.uri for asset in publish.inlets] == ["sluice://bronze/orders"]


@pytest.fixture
def shop(settings: Settings, as_environment: Callable[[Settings], None]) -> ShopProject:
    shop = make_shop(settings)
    sources = settings.registry / "sources"
    shutil.copy(sources / "orders.yml", sources / "returns.yml")
    pipeline = settings.registry / "pipelines" / "shop.yml"
    pipeline.write_text(pipeline.read_text().replace("[orders]", "[orders, returns]"))
    as_environment(settings)
    shop.drop("a.csv", "1,ink,2\n")
    return shop


def run_of(dag: DAG, run_type: str, run_after: datetime | None = None) -> Run:
    run = Run(dag, run_type)
    run.context["dag_run"] = SimpleNamespace(
        run_type=DagRunType(run_type), run_after=run_after or datetime.now(UTC)
    )
    return run


def test_a_run_at_a_time_waits_without_a_worker_and_says_for_what(shop: ShopProject) -> None:
    dag = with_schedule(shop.settings, f"{CRON}, wait_for: {{count: 1, period: hour}}")
    run = run_of(dag, "scheduled")
    until = run.context["dag_run"].run_after + timedelta(hours=1)
    with pytest.raises(TaskDeferred) as deferred:
        run.execute("await")
    assert run.instance.pushed["awaited"] == {
        "there": ["orders"],
        "awaited": ["returns"],
        "until": until.isoformat(),
    }
    trigger = deferred.value.trigger
    assert isinstance(trigger, InputsTrigger)
    path, arguments = trigger.serialize()
    assert path == "sluice.orchestration.waiting.InputsTrigger"
    assert (arguments["pipeline"], arguments["until"]) == ("shop", until.isoformat())

    # A run that is late, such as after the machine was off, has waited already.
    late = run_of(dag, "scheduled", until - timedelta(hours=3))
    assert late.execute("await") == {"there": ["orders"], "missing": ["returns"]}
    assert run_of(dag, "manual").execute("await") == {"there": [], "missing": []}


def test_after_the_wait_on_missing_decides(shop: ShopProject) -> None:
    event = {"since": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    dag = with_schedule(shop.settings, CRON)
    resumed = dag.get_task("await").resume({}, event)
    assert resumed == {"there": ["orders"], "missing": ["returns"]}
    dag = with_schedule(shop.settings, f"{CRON}, sources: {{returns: {{on_missing: fail}}}}")
    with pytest.raises(OverdueError, match="Pipeline shop misses returns"):
        dag.get_task("await").resume({}, event)


def test_a_run_that_was_woken_too_early_waits_or_ends(shop: ShopProject) -> None:
    with pytest.raises(TaskDeferred):
        run_of(with_schedule(shop.settings, "when: all"), "asset_triggered").execute("await")
    dag = with_schedule(shop.settings, "when: all, cron: '@daily'")
    with pytest.raises(DownstreamTasksSkipped) as skip:
        run_of(dag, "asset_triggered").execute("await")
    assert sorted(skip.value.tasks) == ["sense", "transform"]


def test_the_wait_ends_when_the_last_one_comes_or_its_time_is_over(
    shop: ShopProject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_schedule(shop.settings, CRON)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)
    looks: list[str] = []
    real = waiting.steps.look_for

    def look_for(*arguments: Any) -> Any:
        looks.append("look")
        if len(looks) == 2:
            folder = shop.settings.landing / "returns"
            folder.mkdir()
            (folder / "b.csv").write_text("order_id,product,amount\n1,ink,2\n")
            raise OSError("the warehouse is away")
        return real(*arguments)

    monkeypatch.setattr(waiting.steps, "look_for", look_for)
    queued_runs(monkeypatch, 0)

    over = datetime.now(UTC) + timedelta(seconds=0.01)
    assert fired(over) == {"since": None, "makes_way": False}
    looks.clear()
    assert fired(None) == {"since": None, "makes_way": False}
    assert len(looks) == 3


def test_runs_that_wait_share_one_look_and_one_budget(
    shop: ShopProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_schedule(shop.settings, CRON)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.5)
    scans, looks, readings = [], [], []
    real_take, real_look, real_read = waiting._take_turn, steps.look_for, scan.read_registry

    def look_for(*arguments: Any) -> Any:
        looks.append(1)
        busy_until = time.thread_time() + 0.02
        while time.thread_time() < busy_until:
            pass
        return real_look(*arguments)

    monkeypatch.setattr(waiting, "_take_turn", lambda *taken: scans.append(1) or real_take(*taken))
    monkeypatch.setattr(waiting.steps, "look_for", look_for)
    monkeypatch.setattr(
        scan, "read_registry", lambda project: readings.append(1) or real_read(project)
    )

    async def wait(number: int, manager: SharedStreamManager) -> None:
        until = datetime.now(UTC) + timedelta(seconds=3)
        trigger = InputsTrigger("shop", None, until.isoformat())
        stream = manager.subscribe(
            trigger_id=number, trigger=trigger, key=trigger.shared_stream_key()
        )
        async for _ in trigger.filter_shared_stream(stream):
            pass

    async def wait_together() -> None:
        manager = SharedStreamManager()
        await asyncio.gather(*(wait(number, manager) for number in range(4)))
        await manager.stop_all()

    asyncio.run(wait_together())
    # Four times 0.02 s of a core and more: the next turn is due 1.5 s later at the earliest, and
    # not 0.5 s, as by a budget for each.
    assert 4 <= len(looks) <= 4 * len(scans)
    assert len(scans) <= 3
    assert len(readings) == 1


def queued_runs(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Stand in for Airflow's database."""

    def get_dr_count(dag_id: str, states: list[str]) -> int:
        assert (dag_id, states) == ("shop", ["queued"])
        return count

    monkeypatch.setattr(waiting.RuntimeTaskInstance, "get_dr_count", get_dr_count)


def fired(until: datetime | None) -> dict[str, Any]:
    """The event that ends the wait."""

    async def events() -> list[Any]:
        trigger = InputsTrigger("shop", None, until.isoformat() if until else None)
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(asyncio.wait_for(events(), 20))
    return dict(payload)


def test_a_run_that_waits_without_an_end_makes_way_for_another(
    shop: ShopProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = with_schedule(shop.settings, "when: all")
    queued_runs(monkeypatch, 1)
    event = fired(None)
    run = run_of(dag, "asset_triggered")
    with pytest.raises(DownstreamTasksSkipped) as skip:
        dag.get_task("await").resume(run.context, event)
    assert sorted(skip.value.tasks) == ["sense", "transform"]
    # What comes until its time would not be taken up by the other one.
    assert fired(datetime.now(UTC) + timedelta(seconds=0.1))["makes_way"] is False
