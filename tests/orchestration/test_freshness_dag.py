"""The DAG that watches ages: there where something has one, and red where something is late."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from sluice.errors import OverdueError
from sluice.orchestration.dags import build_dags
from sluice.settings import Settings
from tests.orchestration.conftest import RegistryFiles
from tests.orchestration.test_operators import Run
from tests.shop_project import make_shop

LATE = "freshness: {{{key}: {{count: 1, period: minute}}}}\n"


def checked(settings: Settings, key: str) -> Run:
    """A check of a shop that has never published."""
    path = settings.registry / "pipelines" / "shop.yml"
    path.write_text(path.read_text().partition("freshness")[0] + LATE.format(key=key))
    run = Run(build_dags(settings)["sluice_freshness"], "scheduled")
    run.execute("check")
    return run


def test_what_is_late_is_a_warning_or_an_error(
    settings: Settings, as_environment: Callable[[Settings], None]
) -> None:
    make_shop(settings)
    as_environment(settings)
    words = "pipeline shop: was never published; it may be 1 minute old"
    run = checked(settings, "warn_after")
    assert run.instance.pushed["check"] == {"warn": [words], "error": []}
    run.execute("no_errors")
    with pytest.raises(AirflowSkipException, match=words):
        run.execute("no_warnings")
    run = checked(settings, "error_after")
    assert run.instance.pushed["check"] == {"warn": [], "error": [words]}
    run.execute("no_warnings")
    with pytest.raises(OverdueError, match=words):
        run.execute("no_errors")


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
        "check": {"no_errors", "no_warnings"},
        "no_errors": set(),
        "no_warnings": set(),
    }
