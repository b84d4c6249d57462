"""A DAG for each source that is fetched from an API: one task, on the source's own schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable

from sluice.extracting import extract_source
from sluice.extracting.requests import shown
from sluice.orchestration.operators import EngineOperator
from sluice.orchestration.pools import LOAD_POOL
from sluice.registry import Registry, Source
from sluice.settings import Settings

EXTRACT = "extract"
# A new DAG waits for its next moment: nothing is fetched because an installation was started. The
# minutes are for Airflow, which may parse the DAG anew between that moment and the run.
_FIRST_RUN_LATE = timedelta(minutes=5)


class ExtractOperator(EngineOperator):
    """Fetch a source's records and deliver them into its landing folder.

    The pipelines are woken by the delivery, as by any other; so the task tells them nothing.
    """

    ui_color = "#dff0e3"
    in_pool = LOAD_POOL

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def execute(self, context: Any) -> dict[str, Any]:
        """Extract, and return what came.

        The delivery is named by the run's moment, not by that of the attempt: a run that is
        repeated brings a correction, or the same again.
        """
        moment = context.get("logical_date") or context["dag_run"].run_after
        source = self._registry.source(self.source)
        extraction = extract_source(self._settings, source, moment)
        return {
            "file_name": extraction.file_name,
            "records": extraction.records,
            "pages": extraction.pages,
            "requests": extraction.requests,
        }


def extract_dag_id(source: str) -> str:
    """The id of the DAG that fetches a source."""
    return f"extract_{source}"


def fetched_sources(registry: Registry) -> dict[str, Source]:
    """The sound sources that have an ``extract`` block, by the ids of their DAGs.

    A source whose entry is broken is told of by its pipelines' DAGs.
    """
    return {
        extract_dag_id(name): source
        for name, source in sorted(registry.sources.items())
        if source.extract is not None
    }


def extract_dag(settings: Settings, registry: Registry, source: Source) -> DAG:
    """Build the DAG that fetches a source, which has an ``extract`` block."""
    extract = source.extract
    if extract is None:
        raise ValueError(f"{source.name} is not fetched from anywhere")
    dag = DAG(
        extract_dag_id(source.name),
        description=f"Fetches {source.name} from {shown(extract.url)}",
        doc_md=(
            f"{source.description}\n\nFetches a delivery for source `{source.name}` from"
            f" {shown(extract.url)}. It lands in `{source.landing_path}/` of the landing zone,"
            " which wakes the pipelines that read it. Nothing is delivered where a page is missing."
        ),
        schedule=extract.schedule
        and CronTriggerTimetable(extract.schedule, timezone="UTC", run_immediately=_FIRST_RUN_LATE),
        tags=["extract"],
        default_args={"owner": source.owner},
        catchup=False,
        max_active_runs=1,
    )
    with dag:
        ExtractOperator(task_id=EXTRACT, settings=settings, registry=registry, source=source.name)
    return dag
