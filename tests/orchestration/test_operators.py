"""What the tasks do, outside of Airflow but with a real warehouse: skip, load, fail, retry."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG, RetryAction
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from sluice.errors import ConfigError, DeliveryError, RetriableError, TransformError
from sluice.orchestration.dags import build_dags
from sluice.orchestration.executor import MODULES
from sluice.orchestration.retries import RetryByClass
from sluice.pipeline import steps
from sluice.registry import load_registry
from sluice.settings import Settings
from tests.shop_project import ShopProject, make_shop


class TaskInstance:
    """Stands in for Airflow's: keeps what the tasks hand over."""

    map_index = -1
    try_number = 1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.pushed.get(key if key != "return_value" else task_ids)


class Run:
    """Executes tasks of one run in this process."""

    def __init__(self, dag: DAG, run_type: str = "asset_triggered", **params: Any) -> None:
        self.dag = dag
        self.instance = TaskInstance()
        self.context = {
            "ti": self.instance,
            "run_id": "test",
            "dag_run": SimpleNamespace(run_type=run_type),
            "params": {name: dag.params[name] for name in dag.params} | params,
        }

    def execute(self, task_id: str) -> Any:
        task = self.dag.get_task(task_id)
        task.pre_execute(self.context)
        result = task.execute(self.context)
        self.instance.pushed[task_id] = result
        return result

    def skipped(self) -> list[str]:
        """The tasks that sense skips."""
        try:
            self.execute("sense")
        except DownstreamTasksSkipped as skip:
            return sorted(skip.tasks)
        return []


@pytest.fixture
def shop(settings: Settings, as_environment: Callable[[Settings], None]) -> ShopProject:
    shop = make_shop(settings)
    sources = settings.registry / "sources"
    shutil.copy(sources / "orders.yml", sources / "returns.yml")
    pipeline = settings.registry / "pipelines" / "shop.yml"
    pipeline.write_text(pipeline.read_text().replace("[orders]", "[orders, returns]"))
    as_environment(settings)
    return shop


@pytest.fixture
def dag(shop: ShopProject) -> DAG:
    return build_dags(shop.settings)["shop"]


def test_a_run_without_anything_pending_ends_with_sense(dag: DAG) -> None:
    assert Run(dag).skipped() == ["load.orders", "load.returns", "transform"]


def test_a_run_by_hand_always_transforms(dag: DAG) -> None:
    assert Run(dag, "manual").skipped() == ["load.orders", "load.returns"]


def test_only_sources_with_deliveries_are_loaded(dag: DAG, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    run = Run(dag)

    assert run.skipped() == ["load.returns"]
    assert run.instance.pushed["sensed"] == {
        "sources": ["orders"],
        "pending_loads": 0,
        "pending_publications": 0,
    }


def test_a_filter_takes_a_part_of_one_source(dag: DAG, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    wanted = {"source": "orders", "column": "Product", "equals": "pen"}
    run = Run(dag, filter=wanted)
    run.skipped()
    assert run.execute("load.orders") == {"loaded": 1, "skipped": 0, "rows": 1}
    for wrong in ({**wanted, "column": "colour"}, {"column": "product", "equals": "pen"}):
        with pytest.raises(ConfigError, match="filter"):
            Run(dag, filter=wrong).execute("sense")


def test_a_run_brings_deliveries_into_gold(
    dag: DAG, shop: ShopProject, reader: psycopg.Connection[Any]
) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    run = Run(dag)
    run.skipped()

    assert run.execute("load.orders") == {"loaded": 1, "skipped": 0, "rows": 2}
    run.execute("transform")
    published = run.execute("publish")
    assert published["marts"]["total_sales"] == {"inserted": 1, "updated": 0, "deleted": 0}
    assert reader.execute("select orders, amount from gold.total_sales").fetchall() == [(2, 5)]


@pytest.mark.parametrize("command_first", [False, True])
def test_a_command_that_builds_meanwhile_fails_neither(
    dag: DAG, shop: ShopProject, reader: psycopg.Connection[Any], command_first: bool
) -> None:
    """``./sluice run`` while the DAG takes up the same file: one publication has both."""
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    run = Run(dag)
    run.skipped()
    run.execute("load.orders")
    run.execute("transform")
    registry = load_registry(shop.settings.project)
    newer = steps.transform(shop.settings, registry, "shop", "cli")
    if command_first:
        command = steps.publish(shop.settings, "shop", newer)
        task = run.execute("publish")
    else:
        task = run.execute("publish")
        command = steps.publish(shop.settings, "shop", newer)

    assert task["publication_id"] == command.publication_id
    assert task["marts"]["total_sales"] == {"inserted": 1, "updated": 0, "deleted": 0}
    assert command.loads == 1
    assert reader.execute("select orders, amount from gold.total_sales").fetchall() == [(2, 5)]
    assert Run(dag).skipped() == ["load.orders", "load.returns", "transform"]


def test_loads_that_are_not_published_are_reason_enough(dag: DAG, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    Run(dag).execute("load.orders")

    assert Run(dag).skipped() == ["load.orders", "load.returns"]


def test_a_rejected_delivery_fails_its_load_after_the_others(dag: DAG, shop: ShopProject) -> None:
    shop.drop("bad.csv", "one,ink,2\n")
    shop.drop("good.csv", "1,ink,2\n")
    run = Run(dag)
    run.skipped()

    with pytest.raises(DeliveryError, match=r"bad\.csv"):
        run.execute("load.orders")
    run.execute("transform")
    assert run.execute("publish")["marts"]["total_sales"]["inserted"] == 1


def test_nothing_is_transformed_after_a_sense_that_failed(dag: DAG) -> None:
    with pytest.raises(AirflowSkipException):
        Run(dag).execute("transform")


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (RetriableError("The warehouse is away."), RetryAction.RETRY),
        (ConfigError("x"), RetryAction.FAIL),
        (DeliveryError("x", code="wrong_type"), RetryAction.FAIL),
        (TransformError("x"), RetryAction.FAIL),
        (KeyError("a bug"), RetryAction.FAIL),
    ],
)
def test_the_class_of_an_error_decides_on_a_retry(error: Exception, action: RetryAction) -> None:
    assert RetryByClass().evaluate(error, try_number=1, max_tries=3).action == action


def test_retries_wait_longer_each_time() -> None:
    decisions = [
        RetryByClass().evaluate(RetriableError("The warehouse is away."), number, 3)
        for number in (1, 2, 3)
    ]

    assert [decision.retry_delay.total_seconds() for decision in decisions] == [5, 20, 80]  # type: ignore[union-attr]
    assert decisions[0].reason == "The warehouse is away."


@pytest.mark.parametrize("module", MODULES)
def test_what_workers_import_ahead_is_there(module: str) -> None:
    # A name that is wrong would only be logged, and every task be slow.
    importlib.import_module(module)
