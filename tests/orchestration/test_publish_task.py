"""A publication that waits in Airflow, and what ends that: an answer there, or one elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from airflow.providers.standard.operators import hitl as hitl_operators
from airflow.providers.standard.triggers import hitl as hitl_triggers
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from psycopg import Connection

from sluice.errors import BuiltOverError, HeldError, TransformError
from sluice.orchestration.approval import SETTLED_ELSEWHERE, DecisionTrigger
from sluice.orchestration.dags import build_dags
from sluice.pipeline import steps
from sluice.publishing.approval import Difference, hold
from sluice.settings import Settings
from tests.orchestration.test_operators import Run
from tests.shop_project import make_shop


@pytest.fixture
def dag(settings: Settings, as_environment: Callable[[Settings], None]) -> DAG:
    make_shop(settings)
    entry = settings.registry / "pipelines" / "shop.yml"
    entry.write_text(f"{entry.read_text()}approve_when: {{rows_changed: 0}}\n")
    as_environment(settings)
    return build_dags(settings)["shop"]


def built(transformer: Connection) -> int:
    row = transformer.execute(
        "insert into ops.transformations (pipeline, run_id, status) values ('shop', 'x', 'passed')"
        " returning transformation_id"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def held(
    dag: DAG, transformer: Connection, monkeypatch: pytest.MonkeyPatch
) -> tuple[Run, DecisionTrigger]:
    """A run whose task ``publish`` waits, with its trigger; nobody has answered in Airflow."""
    transformer.autocommit = True
    transformation = built(transformer)
    hold(transformer, "shop", transformation, [Difference("sales", 1, 1, 0, 0)], ["too much"])

    def too_much(*_: object) -> NoReturn:
        raise HeldError("too much")

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl_operators, "upsert_hitl_detail", lambda **values: asked.append(values))
    run = Run(dag)
    run.instance.id = uuid4()  # type: ignore[attr-defined]
    run.context["task_instance"] = run.instance
    run.instance.pushed["transform"] = transformation
    with monkeypatch.context() as patch:
        patch.setattr(steps, "publish", too_much)
        with pytest.raises(TaskDeferred) as deferred:
            run.execute("publish")
    assert "- too much" in asked[0]["body"]
    assert deferred.value.method_name == "execute_complete"
    trigger = deferred.value.trigger
    path, arguments = trigger.serialize()
    assert path == "sluice.orchestration.approval.DecisionTrigger"
    return run, DecisionTrigger(**{**arguments, "poke_interval": 0.01})


def fired(trigger: DecisionTrigger) -> dict[str, Any]:
    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(asyncio.wait_for(events(), 20))
    return dict(payload)


def airflow_answers(
    monkeypatch: pytest.MonkeyPatch, after: Callable[[int], None], chosen: str | None = None
) -> None:
    """Stand in for Airflow's database; ``after`` is called with how often it was asked."""
    asked: list[object] = []

    def answer(ti_id: object) -> SimpleNamespace:
        asked.append(ti_id)
        after(len(asked))
        return SimpleNamespace(
            response_received=chosen is not None,
            chosen_options=[chosen] if chosen else None,
            params_input={},
            responded_at=None,
            responded_by_user=SimpleNamespace(id="1", name="ada") if chosen else None,
        )

    monkeypatch.setattr(hitl_triggers, "get_hitl_detail_content_detail", answer)


def test_a_refusal_on_the_command_line_ends_the_wait(
    held: tuple[Run, DecisionTrigger], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trigger = held
    looks: list[int] = []
    real = steps.waiting_publication

    def waiting(*arguments: Any) -> Any:
        looks.append(1)
        if len(looks) == 1:
            raise OSError("the warehouse is away")
        return real(*arguments)

    def refuse(asked: int) -> None:
        if asked == 3:
            assert len(looks) == 2  # a look that failed, and one that found it undecided
            publication = real(settings, "shop")
            assert publication is not None
            steps.decide(settings, publication, "refused", "cli:ada")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "waiting_publication", waiting)
        airflow_answers(patch, refuse)
        event = fired(trigger)
    assert event == {SETTLED_ELSEWHERE: True}
    with pytest.raises(TransformError, match="cli:ada has refused"):
        run.dag.get_task("publish").execute_complete(run.context, event)


def test_a_newer_build_ends_the_wait(
    held: tuple[Run, DecisionTrigger], transformer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trigger = held
    newer = built(transformer)
    airflow_answers(monkeypatch, lambda _: None)
    event = fired(trigger)
    run.dag.get_task("publish").execute_complete(run.context, event)
    assert transformer.execute("select transformation_id from ops.publications").fetchall() == [
        (newer,)
    ]


def test_a_newer_build_that_waits_itself_is_left_to_those_whom_it_asks(
    held: tuple[Run, DecisionTrigger], transformer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one's task is neither a failure nor asks: its loads are in the newer one."""
    run, trigger = held
    newer = built(transformer)
    hold(transformer, "shop", newer, [Difference("sales", 1, 1, 0, 0)], ["too much"])
    airflow_answers(monkeypatch, lambda _: None)
    event = fired(trigger)

    def too_much(*_: object) -> NoReturn:
        raise HeldError("too much")

    monkeypatch.setattr(steps, "publish", too_much)
    task = run.dag.get_task("publish")
    with pytest.raises(AirflowSkipException, match=f"Transformation {newer} has taken the place"):
        task.execute_complete(run.context, event)
    with pytest.raises(AirflowSkipException, match="sluice approve shop"):
        run.execute("publish")  # as where the newer one came before the task had begun


def test_a_newer_build_that_failed_ends_the_wait_as_a_failure(
    held: tuple[Run, DecisionTrigger], transformer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trigger = held
    transformer.execute(
        "insert into ops.transformations (pipeline, run_id, status, marts)"
        """ values ('shop', 'x', 'failed', '[{"name": "sales", "key": ["id"]}]')"""
    )
    airflow_answers(monkeypatch, lambda _: None)
    event = fired(trigger)
    with pytest.raises(BuiltOverError, match="The loads stay pending"):
        run.dag.get_task("publish").execute_complete(run.context, event)


def test_an_answer_in_airflow_is_recorded_as_the_decision(
    held: tuple[Run, DecisionTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trigger = held
    airflow_answers(monkeypatch, lambda _: None, "Refuse")
    event = fired(trigger)
    assert event["chosen_options"] == ["Refuse"]
    monkeypatch.setitem(event, "responded_at", SimpleNamespace(isoformat=lambda: "now"))
    with pytest.raises(TransformError, match="airflow:ada has refused"):
        run.dag.get_task("publish").execute_complete(run.context, event)
