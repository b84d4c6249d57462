"""The forms: what they refuse before a run, and what their tasks do with what was filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from sluice.errors import ConfigError, DeliveryError
from sluice.orchestration.dags import build_dags
from sluice.settings import Settings
from tests.orchestration.conftest import RegistryFiles
from tests.orchestration.test_operators import Run
from tests.shop_project import ShopProject, make_shop

# What would be something else to a template, a shell or SQL.
ODD = "{{ 1 + 1 }}'; drop table bronze.orders; -- $(id).csv"


@pytest.fixture
def shop(settings: Settings, as_environment: Callable[[Settings], None]) -> ShopProject:
    as_environment(settings)
    return make_shop(settings)


@pytest.fixture
def dags(shop: ShopProject) -> dict[str, DAG]:
    return build_dags(shop.settings)


def filled_in(dag: DAG, **values: Any) -> dict[str, Any]:
    """The parameters of a run, as Airflow checks them."""
    params = copy(dag.params)
    for name, value in values.items():
        params[name] = value
    return dict(params.validate())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"source": "unknown"},
        {"source": "orders; drop table x"},
        {"source": "orders", "files": "a.csv"},
        {"source": "orders", "files": [""]},
        {"source": "orders", "files": ["a.csv", "a.csv"]},
        {"source": "orders", "files": [1]},
        {"source": "orders", "first_day": "yesterday"},
        {"source": "orders", "last_day": "2026-02-30"},
        {"source": "orders", "files": ["a.csv"], "load_id": "1"},
        {"source": "orders", "files": ["a.csv"], "load_id": 0},
        {"source": "orders", "files": ["a.csv"], "load_id": 2**63},
    ],
)
def test_a_form_refuses_what_it_does_not_ask_for(
    dags: dict[str, DAG], values: dict[str, Any]
) -> None:
    with pytest.raises(ParamValidationError):
        filled_in(dags["sluice_replay"], **values)


@pytest.mark.parametrize(
    ("form", "first_task", "values", "said"),
    [
        (
            "sluice_replay",
            "replay",
            {"source": "orders", "file": ["a.csv"]},
            "given 'file'; .* takes files, first_day, last_day, load_id, source.*mean files",
        ),
        (
            "sluice_withdraw",
            "withdraw",
            {"source": "orders", "file": "a.csv", "bogus": 1},
            "given 'bogus'; sluice_withdraw takes file, load_id, source",
        ),
        ("shop", "sense", {"fullrefresh": True}, "shop takes filter, full_refresh.*full_refresh"),
    ],
)
def test_an_unknown_key_is_refused_before_anything_is_done(
    dags: dict[str, DAG],
    shop: ShopProject,
    loader: psycopg.Connection[Any],
    form: str,
    first_task: str,
    values: dict[str, Any],
    said: str,
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    Run(dags["shop"]).execute("load.orders")
    # Airflow has nothing against it.
    run = Run(dags[form], "manual", **filled_in(dags[form], **values))
    with pytest.raises(ConfigError) as refusal:
        run.execute(first_task)
    assert re.search(said, str(refusal.value), re.DOTALL)
    assert "Nothing was done" in str(refusal.value)
    assert loader.execute("select count(*) from ops.loads").fetchone() == (1,)
    assert loader.execute("select count(*) from bronze.orders").fetchone() == (1,)


def test_a_run_may_bring_what_airflow_itself_adds(dags: dict[str, DAG]) -> None:
    Run(dags["shop"], "manual", openlineage={"parentRunId": "x"}).skipped()


def test_days_in_the_wrong_order_are_refused(dags: dict[str, DAG]) -> None:
    form = dags["sluice_replay"]
    days = {"first_day": "2026-02-02", "last_day": "2026-02-01"}
    run = Run(form, "manual", **filled_in(form, source="orders", **days))
    with pytest.raises(ConfigError, match="first_day 2026-02-02 comes after last_day 2026-02-01"):
        run.execute("replay")


def test_what_is_filled_in_is_never_a_template(dags: dict[str, DAG]) -> None:
    for name in ("sluice_replay", "sluice_withdraw", "shop"):
        for task in dags[name].tasks:
            if task.task_id not in ("rebuild", "all_loaded"):
                assert tuple(task.template_fields) == ()
    # The one task with templates is given the names of pipelines, and nothing of the form.
    rebuild = dags["sluice_replay"].get_task("rebuild")
    assert rebuild.expand_input.value.keys() == {"trigger_dag_id"}


def test_a_replay_loads_again_and_names_what_is_to_be_rebuilt(
    dags: dict[str, DAG], shop: ShopProject, loader: psycopg.Connection[Any]
) -> None:
    shop.drop(ODD, "1,ink,2\n")
    Run(dags["shop"]).execute("load.orders")
    values = filled_in(dags["sluice_replay"], source="orders", files=[ODD], first_day="2026-01-01")
    run = Run(dags["sluice_replay"], "manual", **values)

    assert run.execute("replay") == ["shop"]
    run.execute("all_loaded")
    ends = loader.execute("select outcome, delivery_kind from ops.loads order by load_id")
    assert ends.fetchall() == [("loaded", "new"), ("loaded", "same_again")]


def test_a_replace_source_goes_back_to_the_file_that_is_named(
    shop: ShopProject, loader: psycopg.Connection[Any]
) -> None:
    entry = shop.settings.registry / "sources" / "orders.yml"
    entry.write_text(entry.read_text() + "write_disposition: replace\n")
    dags = build_dags(shop.settings)
    for name in ("a.csv", "b.csv"):
        shop.drop(name, f"1,{name[0]},2\n")
        Run(dags["shop"]).execute("load.orders")
    form = dags["sluice_replay"]
    run = Run(form, "manual", **filled_in(form, source="orders", files=["a.csv"]))

    assert run.execute("replay") == ["shop"]
    assert loader.execute("select product from bronze.orders").fetchall() == [("a",)]


def test_what_could_not_be_loaded_again_is_said_by_a_task_of_its_own(
    dags: dict[str, DAG], shop: ShopProject
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "2,pen,3\n")
    Run(dags["shop"]).execute("load.orders")
    (kept,) = shop.settings.archive.rglob("a.csv")
    kept.unlink()
    run = Run(dags["sluice_replay"], "manual", **filled_in(dags["sluice_replay"], source="orders"))

    assert run.execute("replay") == ["shop"]
    with pytest.raises(DeliveryError, match=r"a\.csv.* is not there any more"):
        run.execute("all_loaded")


def test_a_withdrawal_takes_the_rows_out(
    dags: dict[str, DAG], shop: ShopProject, loader: psycopg.Connection[Any]
) -> None:
    shop.drop(ODD, "1,ink,2\n")
    Run(dags["shop"]).execute("load.orders")
    form = dags["sluice_withdraw"]
    run = Run(form, "manual", **filled_in(form, source="orders", file=ODD))

    assert run.execute("withdraw") == ["shop"]
    assert loader.execute("select count(*) from bronze.orders").fetchone() == (0,)
    with pytest.raises(ConfigError, match="withdrew it already"):
        run.execute("withdraw")


@pytest.mark.parametrize(
    ("form", "task", "named"),
    [
        ("sluice_withdraw", "withdraw", {"file": "a.csv"}),
        ("sluice_replay", "replay", {"files": ["a.csv"]}),
    ],
)
def test_a_correction_that_nobody_saw_is_let_be(
    dags: dict[str, DAG],
    shop: ShopProject,
    loader: psycopg.Connection[Any],
    form: str,
    task: str,
    named: dict[str, Any],
) -> None:
    for product in ("ink", "pen"):
        shop.drop("a.csv", f"1,{product},2\n")
        Run(dags["shop"]).execute("load.orders")
    ids = loader.execute("select load_id from ops.loads order by load_id").fetchall()
    (seen,), (newest,) = ids
    values = filled_in(dags[form], source="orders", load_id=seen, **named)
    with pytest.raises(ConfigError, match=f"asked for on load {seen}. Nothing was"):
        Run(dags[form], "manual", **values).execute(task)
    loader.rollback()
    assert loader.execute("select product from bronze.orders").fetchall() == [("pen",)]
    assert loader.execute("select count(*) from ops.loads").fetchone() == (2,)
    loader.rollback()

    values = filled_in(dags[form], source="orders", load_id=newest, **named)
    assert Run(dags[form], "manual", **values).execute(task) == ["shop"]
    if task == "replay":  # an attempt that was killed after its commit goes on
        assert Run(dags[form], "manual", **values).execute(task) == ["shop"]


def test_a_load_is_of_the_file_that_is_named(dags: dict[str, DAG], shop: ShopProject) -> None:
    form = dags["sluice_replay"]
    shop.drop("a.csv", "1,ink,2\n")
    Run(dags["shop"]).execute("load.orders")
    for values, said in (
        ({"load_id": 1}, "name that file"),
        ({"load_id": 4711, "files": ["a.csv"]}, "There is no load 4711"),
    ):
        run = Run(form, "manual", **filled_in(form, source="orders", **values))
        with pytest.raises(ConfigError, match=said):
            run.execute("replay")


def test_a_withdrawal_that_was_killed_after_its_commit_is_rebuilt(
    dags: dict[str, DAG], shop: ShopProject
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    Run(dags["shop"]).execute("load.orders")
    form = dags["sluice_withdraw"]
    asked_at = datetime.now(UTC)
    run = Run(form, "manual", **filled_in(form, source="orders", file="a.csv"))
    run.context["dag_run"] = SimpleNamespace(run_type="manual", run_after=asked_at)
    run.execute("withdraw")  # and is killed here, so that nothing hears of it

    run.instance.try_number = 2
    assert run.execute("withdraw") == ["shop"]
    # Tried again by a person, another run that came too late fails as before.
    run.context["dag_run"].run_after = datetime.now(UTC)
    with pytest.raises(ConfigError, match="withdrew it already"):
        run.execute("withdraw")


def test_a_pipeline_can_be_built_in_full(
    dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "sluice.pipeline.steps.transform",
        lambda *_, full_refresh: asked.append(full_refresh) or 7,
    )
    for params in ({}, {"full_refresh": True}):
        run = Run(dags["shop"], "manual", **filled_in(dags["shop"], **params))
        run.instance.pushed["sensed"] = {}
        assert run.execute("transform") == 7
    assert asked == [False, True]
    with pytest.raises(ParamValidationError):
        filled_in(dags["shop"], full_refresh="yes; drop table x")


def test_without_a_sound_source_there_is_no_form(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("bad")
    assert list(build_dags(registry_files.settings)) == ["bad"]
