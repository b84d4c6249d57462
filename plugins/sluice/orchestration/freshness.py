"""The DAG that watches how old sources and marts are, whether or not anything runs."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import DAG, CronTriggerTimetable

from sluice.orchestration.operators import EngineOperator
from sluice.orchestration.schedules import START
from sluice.pipeline import steps
from sluice.pipeline.freshness import is_watched, overdue_error
from sluice.registry import Registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

FRESHNESS_DAG = "sluice_freshness"
CHECK = "check"
ALL_FRESH = "all_fresh"
WARNING = "warning"
_DOC = """\
Looks every five minutes at how old the newest delivery of each source and the marts of each
pipeline are, where the registry says how old they may be (`freshness`).

| What you see | What it means |
|---|---|
| *check* is red | something is older than its `error_after`; its log says what |
| *warning* has run | something is older than its `warn_after`; the log of *check* says what |
| *all_fresh* has run | nothing is |

The same is in `./sluice status`.
"""


class FreshnessOperator(EngineOperator, SkipMixin):
    """Judge the age of everything that has a freshness."""

    ui_color = "#e8f1f8"

    def execute(self, context: Any) -> None:
        """Push what is late, and skip the task that does not apply.

        Raises:
            OverdueError: something is older than its ``error_after``.
        """
        states = steps.freshness(self._settings, self._registry)
        late = [state for state in states if state.state != "fresh"]
        for state in late:
            logger.warning("%s", state)
        instance = context["ti"]
        instance.xcom_push(key="late", value=[f"{state.state}: {state}" for state in late])
        error = overdue_error(states)
        if error:
            raise error
        unfit = ALL_FRESH if late else WARNING
        self.skip(instance, [task for task in self.downstream_list if task.task_id == unfit])


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
        check = FreshnessOperator(task_id=CHECK, settings=settings, registry=registry)
        check >> [EmptyOperator(task_id=ALL_FRESH), EmptyOperator(task_id=WARNING)]
    return dag
