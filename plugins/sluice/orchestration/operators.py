"""The tasks of a pipeline's DAG: each calls one step of ``sluice.pipeline``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.models.pool import Pool
from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from sluice.errors import ConfigError
from sluice.orchestration.parameters import refuse_unknown
from sluice.orchestration.pools import DBT_POOL, LOAD_POOL
from sluice.orchestration.retries import DELAY_AFTER_A_KILL, RETRIES, RetryByClass
from sluice.pipeline import steps
from sluice.publishing import Publication
from sluice.registry import Registry
from sluice.registry.filters import RecordFilter, read_filter
from sluice.settings import Settings

logger = logging.getLogger(__name__)

SENSE = "sense"
TRANSFORM = "transform"
PUBLISH = "publish"
NOTIFY = "notify"
SENSED_KEY = "sensed"
FULL_REFRESH = "full_refresh"
FILTER = "filter"


def load_task_id(source: str) -> str:
    """The id of the task that loads a source."""
    return f"load.{source}"


class EngineOperator(BaseOperator):
    """Run something of the engine, with the settings and the registry that its DAG was built from.

    Airflow builds the DAG in the process of each task, so they are not read a second time there;
    what it keeps of the DAG in its database does not hold them.
    """

    template_fields: Sequence[str] = ()
    in_pool: ClassVar[str] = Pool.DEFAULT_POOL_NAME

    def __init__(self, *, settings: Settings, registry: Registry, **kwargs: Any) -> None:
        super().__init__(
            pool=self.in_pool,
            retries=RETRIES,
            retry_policy=RetryByClass(),
            retry_delay=DELAY_AFTER_A_KILL,
            **kwargs,
        )
        self._settings = settings
        self._registry = registry

    def pre_execute(self, context: Any) -> None:
        """Refuse a run with parameters that the DAG does not have, in its first tasks.

        Raises:
            ConfigError: there is one.
        """
        if not self.upstream_task_ids:
            refuse_unknown(self.dag_id, context["params"], self.dag.params)


class StepOperator(EngineOperator):
    """Run one step of a pipeline."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def record_filter(self, context: Any) -> RecordFilter | None:
        """The run's filter, where it has one.

        Raises:
            ConfigError: it fits no source of the pipeline.
        """
        given = context["params"].get(FILTER)
        return read_filter(self._registry, self.pipeline, given) if given else None


class SenseOperator(StepOperator, SkipMixin):
    """Ask what is pending, and skip the rest of the run as far as nothing is."""

    ui_color = "#e8f1f8"

    def execute(self, context: Any) -> None:
        """Skip the loads of sources without deliveries; all of the run, where nothing is pending.

        A run that was started by hand always transforms and publishes.
        """
        self.record_filter(context)  # a wrong one fails here, before anything is loaded
        sensed = steps.sense(self._settings, self._registry, self.pipeline)
        logger.info("deliveries wait for: %s", ", ".join(sensed.sources) or "no source")
        logger.info("loads that are not published yet: %s", sensed.pending_loads)
        logger.info("publications that were not read yet: %s", sensed.pending_publications)
        task_instance = context["ti"]
        task_instance.xcom_push(
            key=SENSED_KEY,
            value={
                "sources": list(sensed.sources),
                "pending_loads": sensed.pending_loads,
                "pending_publications": sensed.pending_publications,
            },
        )
        is_by_hand = context["dag_run"].run_type == "manual"
        wanted = {load_task_id(source) for source in sensed.sources}
        if sensed.is_anything_pending or is_by_hand:
            wanted |= {TRANSFORM, NOTIFY}
        else:
            logger.info("nothing is pending: the run ends here")
        skipped = [task for task in self.downstream_list if task.task_id not in wanted]
        self.skip(task_instance, skipped)


class LoadOperator(StepOperator):
    """Load every settled delivery of a source into its bronze table."""

    ui_color = "#f4e7d8"
    in_pool = LOAD_POOL

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def execute(self, context: Any) -> dict[str, int]:
        """Load, and return how many deliveries came to which end, and how many rows came."""
        # A DAG has one run at a time and a task one attempt: an earlier one was given up.
        task = f"airflow {self.dag_id} {self.task_id}"
        report = steps.load(
            self._settings,
            self._registry,
            self.source,
            task=task,
            record_filter=self.record_filter(context),
        )
        outcomes = Counter(entry.outcome for entry in report.entries)
        rows = sum(entry.rows_loaded for entry in report.entries)
        logger.info(
            "%s: %s deliveries loaded with %s rows, %s skipped as known",
            self.source,
            outcomes["loaded"],
            rows,
            outcomes["skipped"],
        )
        return {"loaded": outcomes["loaded"], "skipped": outcomes["skipped"], "rows": rows}


class TransformOperator(StepOperator):
    """Build and test the pipeline's candidate with dbt."""

    ui_color = "#efe4f3"
    in_pool = DBT_POOL

    def execute(self, context: Any) -> int:
        """Transform, and return the transformation's id."""
        # It follows the loads however they ended, so it also follows loads that never began.
        if context["ti"].xcom_pull(task_ids=SENSE, key=SENSED_KEY) is None:
            raise AirflowSkipException("sense has failed")
        return steps.transform(
            self._settings,
            self._registry,
            self.pipeline,
            context["run_id"],
            full_refresh=context["params"][FULL_REFRESH],
        )


class PublishOperator(StepOperator):
    """Make the tested candidate the published gold."""

    ui_color = "#f8eebb"

    def execute(self, context: Any) -> dict[str, Any]:
        """Publish, and return the publication with what it changed in each mart."""
        transformation_id = context["ti"].xcom_pull(task_ids=TRANSFORM)
        return as_value(steps.publish(self._settings, self.pipeline, transformation_id))


def as_value(published: Publication) -> dict[str, Any]:
    """A publication as a task hands it over."""
    return {
        "publication_id": published.publication_id,
        "marts": {
            change.mart: {
                "inserted": change.rows_inserted,
                "updated": change.rows_updated,
                "deleted": change.rows_deleted,
            }
            for change in published.marts
        },
    }


class ConfigErrorOperator(BaseOperator):
    """Fail with what is wrong in the registry."""

    ui_color = "#f3c6c6"

    def __init__(self, *, problems: str, **kwargs: Any) -> None:
        super().__init__(retries=0, **kwargs)
        self.problems = problems

    def execute(self, context: Any) -> None:  # noqa: ARG002
        """Raise the problems."""
        raise ConfigError(self.problems, "Mend the registry; the DAG follows within seconds.")
