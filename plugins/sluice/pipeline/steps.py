"""The steps of a run: the functions that the DAG's tasks and ``sluice run`` both call."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.landing.zone import list_deliveries
from sluice.loading import (
    SourceReport,
    load_source,
    make_missing_tables,
    rejection_error,
)
from sluice.publishing import Publication
from sluice.publishing import publish as publish_candidate
from sluice.registry import Registry
from sluice.settings import Settings
from sluice.transforming import pending_loads, pending_publications
from sluice.transforming import transform as transform_pipeline
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import retriable_failures


@dataclass(frozen=True)
class Sensed:
    """What is to be done for a pipeline.

    Attributes:
        sources: its sources with settled deliveries in the landing zone.
        pending_loads: how many loads its published gold does not contain yet.
        pending_publications: how many publications of the pipelines that it reads, likewise.
    """

    sources: tuple[str, ...]
    pending_loads: int
    pending_publications: int = 0

    @property
    def is_anything_pending(self) -> bool:
        """Whether a run would change anything that is known here."""
        return bool(self.sources) or self.pending_loads > 0 or self.pending_publications > 0


def sense(settings: Settings, registry: Registry, pipeline_name: str) -> Sensed:
    """Ask the landing zone and the ledger what is pending; events are no work list.

    Tables of sources that have never delivered are made, so that models find them empty.

    Raises:
        ConfigError: there is no such pipeline, or it is broken.
        RetriableError: the warehouse is away.
    """
    pipeline = registry.pipeline(pipeline_name)
    sources = [registry.source(name) for name in pipeline.sources]
    listing = list_deliveries(settings, registry.sources_beside(pipeline.sources))
    waiting = {delivery.source for delivery in listing.deliveries}
    with (
        retriable_failures(f"{pipeline_name} was sensed", lock="The ledger is locked."),
        connect(
            settings,
            "loader",
            application_name=f"sluice sense {pipeline_name}",
            autocommit=True,
        ) as connection,
    ):
        make_missing_tables(connection, sources)
        loads = len(pending_loads(connection, pipeline))
        publications = len(pending_publications(connection, pipeline))
    waiting_sources = tuple(name for name in pipeline.sources if name in waiting)
    return Sensed(waiting_sources, loads, publications)


def load(
    settings: Settings, registry: Registry, source_name: str, *, task: str | None = None
) -> SourceReport:
    """Load what has arrived for a source.

    Args:
        settings: the instance.
        registry: its registry.
        source_name: which source.
        task: the orchestrator's name for this work, where it runs one attempt of it at a time:
            an earlier attempt of the same name that hangs is ended.

    Raises:
        DeliveryError: a delivery was rejected; every other one was dealt with before.
        ConfigError: there is no such source, or its table does not fit the registry.
        RetriableError: the warehouse is away, or another load of the source is under way.
    """
    beside = registry.sources_beside([source_name])
    report = load_source(settings, registry.source(source_name), beside, task=task)
    if report.rejected:
        raise rejection_error(report.rejected)
    return report


def transform(
    settings: Settings,
    registry: Registry,
    pipeline_name: str,
    run_id: str,
    *,
    full_refresh: bool = False,
) -> int:
    """Build and test the candidate; the id that ``publish`` takes.

    Raises:
        TransformError: a model or a test of severity ``error`` failed; gold is as it was.
        ConfigError: the pipeline or the dbt project is broken.
        RetriableError: the warehouse is away.
    """
    pipeline = registry.pipeline(pipeline_name)
    return transform_pipeline(settings, pipeline, run_id, full_refresh=full_refresh)


def publish(settings: Settings, pipeline_name: str, transformation_id: int) -> Publication:
    """Make the tested candidate the published gold.

    Raises:
        TransformError: the candidate was built over since; gold is as it was.
        ConfigError: a view stands in the way of a changed column.
        RetriableError: the warehouse is away, or a lock was not to be had in time.
    """
    return publish_candidate(settings, pipeline_name, transformation_id)
