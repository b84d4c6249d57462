"""One real Airflow for the tests that need one, as `./sluice up` starts it, with the shop in it.

A start takes a quarter of a minute: every test that shares it leaves it running and idle.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from sluice.local.airflow import airflow_address, start_airflow, stop_airflow
from sluice.local.postgres import ensure_warehouse
from sluice.settings import PROJECT, Settings
from sluice.warehouse.connections import connect
from tests.conftest import free_port, make_open_folder, remove_instance
from tests.shop_project import ShopProject, make_shop

PATIENCE_SECONDS = 180.0  # as long as a busy machine may take

Found = TypeVar("Found")


def wait_for(what: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    """The first result that is not false."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"did not happen within {seconds:.0f} s")


@dataclass
class Instance:
    """A running instance with the shop as its one pipeline."""

    shop: ShopProject
    token: str = ""

    @property
    def settings(self) -> Settings:
        return self.shop.settings

    def ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Call Airflow's public interface as its user."""
        if not self.token:
            address = airflow_address(self.settings)
            login = {"username": address.user, "password": address.password}
            self.token = self._open("/auth/token", login)["access_token"]
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._open(f"/api/v2/{path}", body, headers, method)

    def _open(
        self,
        path: str,
        body: object,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> Any:
        request = urllib.request.Request(
            airflow_address(self.settings).url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or "null")

    def runs(self, dag: str = "shop") -> list[dict[str, Any]]:
        """The runs of a DAG, newest first."""
        runs: list[dict[str, Any]] = self.ask(f"dags/{dag}/dagRuns?order_by=-id")["dag_runs"]
        return runs

    def wait_until_idle(self, dag: str = "shop", after: int = 0) -> dict[str, Any]:
        """Wait until there are more runs than ``after``, all ended; the newest."""

        def ended() -> dict[str, Any] | None:
            runs = self.runs(dag)
            is_idle = all(run["state"] in ("success", "failed") for run in runs)
            return runs[0] if len(runs) > after and is_idle else None

        return wait_for(ended)

    def states(self, run: dict[str, Any]) -> dict[str, str]:
        """The state of each task of a run."""
        path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.ask(path)["task_instances"]}

    def log(self, run: dict[str, Any], task_id: str) -> str:
        path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/logs/1"
        return json.dumps(self.ask(path))

    def totals(self) -> tuple[Any, ...] | None:
        """Orders and amount in gold; None before the first publication."""
        with connect(self.settings, "reader", application_name="test") as connection:
            if connection.execute("select to_regclass('gold.total_sales')").fetchone() == (None,):
                return None
            row = connection.execute("select orders, amount from gold.total_sales").fetchone()
            return row and tuple(row)

    def orders(self) -> int:
        """How many orders gold has."""
        totals = self.totals()
        return int(totals[0]) if totals else 0

    def wait_for_orders(self, orders: int) -> None:
        wait_for(lambda: self.orders() == orders)


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    folder = make_open_folder()
    settings = Settings(
        project=folder / "project",
        home=folder / "home",
        landing=folder / "landing",
        archive=folder / "archive",
        rejected=folder / "rejected",
        postgres_port=free_port(),
        airflow_port=free_port(),
        settle_seconds=0.2,
        poll_seconds=0.1,
        lock_timeout_seconds=1,
    )
    for name in ("dags", "plugins"):
        (settings.project / name).mkdir(parents=True)
    shutil.copy(PROJECT / "dags" / "sluice_pipelines.py", settings.project / "dags")
    shutil.copy(PROJECT / "plugins" / ".airflowignore", settings.project / "plugins")
    instance = Instance(make_shop(settings))
    try:
        ensure_warehouse(settings)
        start_airflow(settings)
        # Its interface answers before the first look at the DAG files has ended.
        wait_for(lambda: dags_by_id(instance, "shop"))
        yield instance
    finally:
        stop_airflow(settings)
        remove_instance(settings)
        shutil.rmtree(folder)


def dags_by_id(instance: Instance, dag_id: str) -> list[dict[str, Any]]:
    dags: list[dict[str, Any]] = instance.ask(f"dags?dag_id_pattern={dag_id}")["dags"]
    return dags
