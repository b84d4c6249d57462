"""What Airflow gets to see of a registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import AssetAny
from airflow.utils.file import list_py_file_paths

from sluice.errors import ConfigError
from sluice.orchestration import dags
from sluice.orchestration.dags import build_dags
from sluice.orchestration.operators import ConfigErrorOperator
from sluice.settings import PROJECT, Settings
from tests.orchestration.conftest import RegistryFiles


def edges(dag: Any) -> dict[str, set[str]]:
    return {task.task_id: task.downstream_task_ids for task in dag.tasks}


def test_a_pipeline_is_a_dag_of_its_steps(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    dag = build_dags(registry_files.settings)["shop"]

    assert edges(dag) == {
        "sense": {"load.orders", "transform"},
        "load.orders": {"transform", "all_loaded"},
        "transform": {"publish"},
        "publish": set(),
        "all_loaded": set(),
    }
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert dag.tags == {"apple", "zebra"}
    assert {task.task_id: task.owner for task in dag.tasks} == {
        "sense": "analysts",
        "load.orders": "orders-team",
        "transform": "analysts",
        "publish": "analysts",
        "all_loaded": "analysts",
    }
    assert dag.doc_md
    assert str(registry_files.settings.landing / "orders") in dag.doc_md


def test_several_sources_are_a_group_and_keep_their_task_ids(
    registry_files: RegistryFiles,
) -> None:
    registry_files.pipeline("shop", "orders", "customers")
    dag = build_dags(registry_files.settings)["shop"]

    assert edges(dag)["sense"] == {"load.orders", "load.customers", "transform"}
    assert set(dag.task_group.children) == {"sense", "load", "transform", "publish", "all_loaded"}


def test_any_source_wakes_its_pipeline(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders", "customers")
    schedule = build_dags(registry_files.settings)["shop"].timetable.asset_condition

    assert isinstance(schedule, AssetAny)
    watched = {
        asset.uri: watcher.trigger.serialize()
        for asset in schedule.objects
        for watcher in asset.watchers
    }
    path = "sluice.orchestration.trigger.LandingZoneTrigger"
    pending = "sluice.orchestration.pending_trigger.PendingTrigger"
    assert watched == {
        "sluice://landing/orders": (path, {"source": "orders"}),
        "sluice://landing/customers": (path, {"source": "customers"}),
        "sluice://pending/shop": (pending, {"pipeline": "shop"}),
    }


def test_marts_are_what_publish_brings(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    models = registry_files.settings.dbt / "models" / "gold" / "shop" / "deeper"
    models.mkdir(parents=True)
    (models / "b.sql").touch()
    (models.parent / "a.sql").touch()
    (models.parent / "a.yml").touch()
    publish = build_dags(registry_files.settings)["shop"].get_task("publish")

    assert [asset.uri for asset in publish.outlets] == ["sluice://gold/a", "sluice://gold/b"]


def test_a_broken_pipeline_says_why_and_stops_no_other(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    registry_files.pipeline("bad", "customers")
    registry_files.source("customers", "description: no owner, no columns\n")
    built = build_dags(registry_files.settings)

    assert {"bad", "shop"} < set(built)
    assert "transform" in built["shop"].task_ids
    assert built["bad"].tags == {"config-error"}
    (task,) = built["bad"].tasks
    assert isinstance(task, ConfigErrorOperator)
    with pytest.raises(ConfigError, match=r"registry/sources/customers.yml:1: owner"):
        task.execute({})
    assert built["bad"].doc_md
    assert "registry/sources/customers.yml:1: owner" in built["bad"].doc_md


def test_what_cannot_be_built_stops_no_other(
    registry_files: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry_files.pipeline("shop", "orders")
    registry_files.pipeline("stock", "shelves")
    real = dags.landing_asset

    def landing_asset(source: str) -> Any:
        if source == "orders":
            raise RuntimeError("out of assets")
        return real(source)

    monkeypatch.setattr(dags, "landing_asset", landing_asset)
    built = build_dags(registry_files.settings)

    assert "transform" in built["stock"].task_ids
    assert built["shop"].get_task("config_error").problems == "RuntimeError: out of assets"


def test_a_task_gets_its_own_dag_only(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    registry_files.pipeline("stock", "shelves")

    assert list(build_dags(registry_files.settings, only="stock")) == ["stock"]


SERIALIZE = """
import json
from airflow.serialization.serialized_objects import DagSerialization
from sluice.orchestration.dags import build_dags
from sluice.settings import load_settings
built = build_dags(load_settings())
print(json.dumps({name: DagSerialization.to_dict(dag) for name, dag in built.items()}))
"""


def test_the_same_registry_is_the_same_dags(
    registry_files: RegistryFiles, as_environment: Callable[[Settings], None]
) -> None:
    registry_files.pipeline("shop", "orders", "customers", "articles")
    registry_files.pipeline("bad")
    as_environment(registry_files.settings)
    first, second = (
        subprocess.run(
            [sys.executable, "-c", SERIALIZE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "3")
    )

    # What a task works with is its process's own, and may hold a password.
    assert '"_settings"' not in first
    assert '"_registry"' not in first
    # A difference would be a new version of the DAG, each time that it is parsed.
    dags = [without_sets(json.loads(text.splitlines()[-1])) for text in (first, second)]
    assert dags[0].keys() >= {"shop", "bad"}
    assert dags[0] == dags[1]


def without_sets(value: Any) -> Any:
    """A set is written as a list in an order of its own, which Airflow's hash leaves out too."""
    if isinstance(value, dict):
        if value.get("__type") == "set":
            return sorted(value["__var"])
        return {key: without_sets(inner) for key, inner in value.items()}
    return [without_sets(inner) for inner in value] if isinstance(value, list) else value


def test_airflow_reads_the_dag_file_of_the_project() -> None:
    bag = BundleDagBag(
        dag_folder=PROJECT / "dags", bundle_path=PROJECT / "dags", bundle_name="sluice"
    )

    assert bag.import_errors == {}
    assert "engagement" in bag.dags


def test_airflow_keeps_out_of_the_engine() -> None:
    assert list_py_file_paths(PROJECT / "plugins", safe_mode=False) == []


def test_the_ignore_file_is_what_keeps_it_out(tmp_path: Path) -> None:
    (tmp_path / "sluice").mkdir()
    (tmp_path / "sluice" / "errors.py").touch()
    assert len(list_py_file_paths(tmp_path, safe_mode=False)) == 1
    (tmp_path / ".airflowignore").write_text((PROJECT / "plugins" / ".airflowignore").read_text())
    assert list_py_file_paths(tmp_path, safe_mode=False) == []
