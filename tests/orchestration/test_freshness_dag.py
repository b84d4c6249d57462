"""The DAG that watches ages: there where something has one, and red where something is late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped

from sluice.errors import OverdueError
from sluice.orchestration.dags import build_dags
from sluice.settings import Settings
from tests.orchestration.conftest import RegistryFiles
from tests.orchestration.test_operators import Run
from tests.shop_project import make_shop

LATE = "freshness: {{{key}: {{count: 1, period: minute}}}}\n"


def check(settings: Settings, key: str) -> tuple[Run, Any]:
    """What becomes of a check of a shop that has never published: run, skipped tasks."""
    path = settings.registry / "pipelines" / "shop.yml"
    path.write_text(path.read_text() + LATE.format(key=key))
    run = Run(build_dags(settings)["sluice_freshness"], "scheduled")
    try:
        run.execute("check")
    except DownstreamTasksSkipped as skip:
        return run, list(skip.tasks)
    return run, None


def test_what_is_late_is_a_warning_or_an_error(
    settings: Settings, as_environment: Callable[[Settings], None]
) -> None:
    make_shop(settings)
    as_environment(settings)
    run, skipped = check(settings, "warn_after")
    assert skipped == ["all_fresh"]
    assert run.instance.pushed["late"] == [
        "warn: pipeline shop: was never published; it may be 1 minute old"
    ]
    text = (settings.registry / "pipelines" / "shop.yml").read_text()
    (settings.registry / "pipelines" / "shop.yml").write_text(text.partition("freshness")[0])
    with pytest.raises(OverdueError, match="pipeline shop: was never published"):
        check(settings, "error_after")


def test_nothing_is_watched_where_nothing_says_how_old_it_may_be(
    registry_files: RegistryFiles,
) -> None:
    registry_files.pipeline("shop", "orders")
    assert "sluice_freshness" not in build_dags(registry_files.settings)
    path = registry_files.settings.registry / "sources" / "orders.yml"
    path.write_text(path.read_text() + LATE.format(key="warn_after"))
    dag = build_dags(registry_files.settings)["sluice_freshness"]
    assert dag.timetable.expression == "*/5 * * * *"
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "check": {"all_fresh", "warning"},
        "all_fresh": set(),
        "warning": set(),
    }
