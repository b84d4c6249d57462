"""The DAG that watches how old sources and marts are, whether or not anything runs."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowSkipException

from sluice.orchestration.operators import EngineOperator
from sluice.orchestration.schedules import START
from sluice.pipeline import steps
from sluice.pipeline.freshness import is_watched, too_old
from sluice.registry import Registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

FRESHNESS_DAG = "sluice_freshness"
CHECK = "check"
NO_ERRORS = "no_errors"
NO_WARNINGS = "no_warnings"
_DOC = """\
Looks every five minutes at how old the newest delivery of each source and the marts of each
pipeline are, where the registry says how old they may be (`freshness`).

| What you see | What it means |
|---|---|
| *no_errors* is red, and so is the run | something is older than its `error_after` |
| *no_warnings* is skipped | something is older than its `warn_after`, but not `error_after` |
| all are green | nothing is |
| *check* is red | it could not be looked at; nothing is known |

The task's log has the names and times. The same is on the page *Landing zone* and in
`./sluice status`.
"""


class FreshnessOperator(EngineOperator):
    """Judge the age of everything that has a freshness."""

    ui_color = "#e8f1f8"

    def execute(self, context: Any) -> dict[str, list[str]]:  # noqa: ARG002
        """Return what is late, in words, by how late it is."""
        states = steps.freshness(self._settings, self._registry)
        late = {
            state: [str(each) for each in states if each.state == state]
            for state in ("warn", "error")
        }
        for state, words in late.items():
            for each in words:
                logger.warning("%s: %s", state, each)
        return late


class NoErrorsOperator(EngineOperator):
    """Fail where something is older than its ``error_after``."""

    def execute(self, context: Any) -> None:
        """Raise what the check has found.

        Raises:
            OverdueError: there is something.
        """
        late = context["ti"].xcom_pull(task_ids=CHECK)["error"]
        if late:
            raise too_old(late)


class NoWarningsOperator(EngineOperator):
    """Be skipped, which the grid shows and which fails no run, where something is a warning."""

    def execute(self, context: Any) -> None:
        """Skip itself with what the check has found.

        Raises:
            AirflowSkipException: there is something.
        """
        late = context["ti"].xcom_pull(task_ids=CHECK)["warn"]
        for each in late:
            logger.warning("%s", each)
        if late:
            raise AirflowSkipException("; ".join(late))


def freshness_dag(settings: Settings, registry: Registry) -> DAG | None:
    """The DAG; none where nothing has a freshness."""
    if not is_watched(registry):
        return None
    with DAG(
        FRESHNESS_DAG,
        description="Says which sources and marts are older than they may be.",
        doc_md=_DOC,
        schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
        start_date=START,
        tags=["freshness"],
        default_args={"owner": "sluice"},
        catchup=False,
        max_active_runs=1,
    ) as dag:
        known: dict[str, Any] = {"settings": settings, "registry": registry}
        FreshnessOperator(task_id=CHECK, **known) >> [
            NoErrorsOperator(task_id=NO_ERRORS, **known),
            NoWarningsOperator(task_id=NO_WARNINGS, **known),
        ]
    return dag
