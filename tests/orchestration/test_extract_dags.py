"""The DAGs that fetch sources from an API, and what their one task does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization

from sluice.errors import RetriableError
from sluice.orchestration import dags
from sluice.orchestration.dags import build_dags
from sluice.orchestration.extract_dags import EXTRACT
from sluice.orchestration.operators import ConfigErrorOperator
from sluice.orchestration.retries import RETRIES
from tests.http_api import HttpApi, Reply, http_api, records
from tests.orchestration.conftest import RegistryFiles

__all__ = ["http_api"]

FETCHED = """\
description: {{name}} of an API. They are many.
owner: crm
format: jsonl
columns:
  id: {{{{data_type: bigint}}}}
extract:
  url: {url}
  data_selector: results
  schedule: {schedule}
  backoff_seconds: 0
"""


def fetched(files: RegistryFiles, url: str, schedule: str = '"30 5 * * *"') -> DAG:
    files.pipeline("shop", "orders", "users")
    files.source("users", FETCHED.format(url=url, schedule=schedule))
    return build_dags(files.settings)["extract_users"]


def test_each_fetched_source_has_a_dag_on_its_schedule(registry_files: RegistryFiles) -> None:
    dag = fetched(registry_files, "https://api.example.org/")
    built = build_dags(registry_files.settings)

    assert {name for name in built if name.startswith("extract_")} == {"extract_users"}
    assert list(build_dags(registry_files.settings, only="extract_users")) == ["extract_users"]
    assert "load.users" in built["shop"].task_ids
    assert dag.schedule == CronTriggerTimetable(
        "30 5 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)
    )
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    (task,) = dag.tasks
    assert (task.task_id, task.owner, task.retries) == (EXTRACT, "crm", RETRIES)
    text = json.dumps(DagSerialization.to_dict(dag))
    assert '"_settings"' not in text
    assert '"_source"' not in text


def test_a_source_may_be_fetched_by_hand_only(registry_files: RegistryFiles) -> None:
    assert not fetched(
        registry_files, "https://api.example.org/", "null"
    ).timetable.can_be_scheduled


def test_what_cannot_be_built_stops_no_other(
    registry_files: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extract_dag(*_: object) -> DAG:
        raise RuntimeError("out of schedules")

    monkeypatch.setattr(dags, "extract_dag", extract_dag)
    (task,) = fetched(registry_files, "https://api.example.org/").tasks
    assert isinstance(task, ConfigErrorOperator)
    assert "out of schedules" in task.problems
    assert "transform" in build_dags(registry_files.settings)["shop"].task_ids


def test_a_pipeline_of_the_same_name_goes_first_and_is_a_problem(
    registry_files: RegistryFiles,
) -> None:
    registry_files.pipeline("extract_users", "orders")
    assert "transform" in fetched(registry_files, "https://api.example.org/").task_ids


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ({"logical_date": datetime(2026, 6, 30, tzinfo=UTC)}, "users_20260630T000000Z.jsonl"),
        (
            {"dag_run": SimpleNamespace(run_after=datetime(2026, 7, 1, 12, 5, 9, tzinfo=UTC))},
            "users_20260701T120509Z.jsonl",
        ),
    ],
)
def test_the_task_delivers_under_the_moment_of_its_run(
    context: dict[str, Any], name: str, registry_files: RegistryFiles, http_api: HttpApi
) -> None:
    http_api.answer = lambda _: records({"id": 1}, {"id": 2})
    task = fetched(registry_files, http_api.url).get_task(EXTRACT)
    for _ in range(2):  # a run that is repeated has the same name
        assert task.execute(context) == {
            "file_name": name,
            "records": 2,
            "pages": 1,
            "requests": 1,
        }
    landing = registry_files.settings.landing
    assert [path.name for path in (landing / "users").iterdir()] == [name]


def test_a_failure_that_may_go_over_is_one_to_retry(
    registry_files: RegistryFiles, http_api: HttpApi
) -> None:
    http_api.answer = lambda _: Reply(status=503)
    task = fetched(registry_files, http_api.url).get_task(EXTRACT)
    with pytest.raises(RetriableError):
        task.execute({"logical_date": datetime(2026, 6, 30, tzinfo=UTC)})
    assert list((registry_files.settings.landing / "users").iterdir()) == []
