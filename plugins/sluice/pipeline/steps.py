"""The steps of a run: the functions that the DAG's tasks and ``sluice run`` both call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sluice.loading import (
    SourceReport,
    load_source,
    make_missing_tables,
    rejection_error,
)
from sluice.loading.kept import Selection
from sluice.loading.pending import list_pending
from sluice.loading.replay import replay as replay_source
from sluice.loading.withdrawal import was_withdrawn as file_was_withdrawn
from sluice.loading.withdrawal import withdraw as withdraw_file
from sluice.pipeline.freshness import FreshnessState, freshness_states
from sluice.pipeline.waiting import Inputs, look_for_inputs
from sluice.pipeline.waiting import note_missing as note_missing_inputs
from sluice.publishing import Publication, approval
from sluice.publishing import publish as publish_candidate
from sluice.publishing.approval import Decision, HeldPublication
from sluice.registry import Registry
from sluice.registry.filters import RecordFilter
from sluice.registry.schedule import ApproveWhen
from sluice.settings import Settings
from sluice.transforming import (
    TestWarning,
    pending_loads,
    pending_publications,
    warned_tests,
)
from sluice.transforming import transform as transform_pipeline
from sluice.warehouse import ledger
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
    with (
        retriable_failures(f"{pipeline_name} was sensed", lock="The ledger is locked."),
        connect(
            settings,
            "loader",
            application_name=f"sluice sense {pipeline_name}",
            autocommit=True,
        ) as connection,
    ):
        listing = list_pending(connection, settings, registry.sources_beside(pipeline.sources))
        make_missing_tables(connection, sources)
        loads = len(pending_loads(connection, pipeline))
        publications = len(pending_publications(connection, pipeline))
    waiting = {delivery.source for delivery in listing.deliveries}
    waiting_sources = tuple(name for name in pipeline.sources if name in waiting)
    return Sensed(waiting_sources, loads, publications)


def load(
    settings: Settings,
    registry: Registry,
    source_name: str,
    *,
    task: str | None = None,
    record_filter: RecordFilter | None = None,
) -> SourceReport:
    """Load what has arrived for a source.

    Args:
        settings: the instance.
        registry: its registry.
        source_name: which source.
        task: the orchestrator's name for this work, where it runs one attempt of it at a time:
            an earlier attempt of the same name that hangs is ended.
        record_filter: where it is of this source, only the records that it wants are loaded.

    Raises:
        DeliveryError: a delivery was rejected; every other one was dealt with before.
        ConfigError: there is no such source, or its table does not fit the registry.
        RetriableError: the warehouse is away, or another load of the source is under way.
    """
    beside = registry.sources_beside([source_name])
    source = registry.source(source_name)
    report = load_source(settings, source, beside, task=task, record_filter=record_filter)
    if report.rejected:
        raise rejection_error(report.rejected)
    return report


def replay(
    settings: Settings,
    registry: Registry,
    source_name: str,
    selection: Selection,
    *,
    task: str | None = None,
) -> SourceReport:
    """Load deliveries of a source again from where their bytes are kept.

    Raises:
        ConfigError: there is no such source or delivery.
        RetriableError: the warehouse is away, or a load of the source is under way.
    """
    return replay_source(settings, registry.source(source_name), selection, task=task)


def withdraw(
    settings: Settings,
    registry: Registry,
    source_name: str,
    file_name: str,
    *,
    load_id: int | None = None,
    task: str | None = None,
) -> ledger.Entry:
    """Take a file's rows out of bronze.

    Raises:
        ConfigError: there is no such source, or no row of such a file is in bronze, or its newest
            load there is another than was said.
        RetriableError: the warehouse is away, or a load of the source is under way.
    """
    source = registry.source(source_name)
    return withdraw_file(settings, source, file_name, load_id=load_id, task=task)


def was_withdrawn(
    settings: Settings, registry: Registry, source_name: str, file_name: str, *, since: datetime
) -> bool:
    """Whether a file was withdrawn, and nothing has come of it after that.

    Raises:
        ConfigError: there is no such source.
        RetriableError: the warehouse is away.
    """
    return file_was_withdrawn(settings, registry.source(source_name), file_name, since)


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


def warned(settings: Settings, pipeline_name: str, transformation_id: int) -> list[TestWarning]:
    """The tests that warned in a build.

    Raises:
        RetriableError: the warehouse is away.
    """
    with (
        retriable_failures(f"{pipeline_name} was looked at", lock="The ledger is locked."),
        connect(settings, "transformer", application_name="sluice tests") as connection,
    ):
        return warned_tests(connection, transformation_id)


def look_for(
    settings: Settings,
    registry: Registry,
    pipeline_name: str,
    since: datetime | None = None,
    arrived: Collection[str] | None = None,
) -> Inputs:
    """Which inputs of a pipeline are there; see ``look_for_inputs``.

    Raises:
        ConfigError: there is no such pipeline, or it is broken.
        RetriableError: the warehouse is away.
    """
    pipeline = registry.pipeline(pipeline_name)
    application = f"sluice await {pipeline_name}"
    with (
        retriable_failures(f"{pipeline_name} was looked at", lock="The ledger is locked."),
        connect(settings, "loader", application_name=application) as connection,
    ):
        return look_for_inputs(connection, settings, registry, pipeline, since, arrived)


def note_missing(
    settings: Settings, registry: Registry, pipeline_name: str, missing: Sequence[str]
) -> None:
    """Record which inputs of a pipeline a run has not waited for any longer.

    Raises:
        RetriableError: the warehouse is away.
    """
    pipeline = registry.pipeline(pipeline_name)
    application = f"sluice await {pipeline_name}"
    with (
        retriable_failures(f"{pipeline_name} was looked at", lock="The ledger is locked."),
        connect(settings, "loader", application_name=application) as connection,
    ):
        note_missing_inputs(connection, pipeline, missing)


def freshness(settings: Settings, registry: Registry) -> list[FreshnessState]:
    """How old everything is that says how old it may be.

    Raises:
        RetriableError: the warehouse is away.
    """
    with (
        retriable_failures("freshness was looked at", lock="The ledger is locked."),
        connect(settings, "transformer", application_name="sluice freshness") as connection,
    ):
        return freshness_states(connection, registry)


def publish(
    settings: Settings,
    pipeline_name: str,
    transformation_id: int,
    approve_when: ApproveWhen | None = None,
) -> Publication:
    """Make the tested candidate the published gold; or the one that has taken its place.

    Args:
        settings: the instance.
        pipeline_name: whose candidate.
        transformation_id: what built it.
        approve_when: how much it may change before a person has to approve it.

    Raises:
        HeldError: it changes more than the pipeline may without a person's approval.
        TransformError: it was refused; gold is as it was.
        BuiltOverError: a build that did not pass has written over it; gold is as it was.
        ConfigError: a view stands in the way of a changed column.
        RetriableError: the warehouse is away, or a lock was not to be had in time.
    """
    return publish_candidate(settings, pipeline_name, transformation_id, approve_when)


def waiting_publication(settings: Settings, pipeline_name: str) -> HeldPublication | None:
    """The publication of a pipeline that waits for a person, if one does.

    Raises:
        RetriableError: the warehouse is away.
    """
    with (
        retriable_failures(f"{pipeline_name} was looked at", lock="The ledger is locked."),
        connect(settings, "transformer", application_name="sluice approve") as connection,
    ):
        return approval.waiting_publication(connection, pipeline_name)


def decide(
    settings: Settings, held: HeldPublication, decision: Decision, decided_by: str
) -> HeldPublication:
    """Record what a person has decided of a publication that waits; publishes nothing.

    Raises:
        ConfigError: it does not wait any more.
        RetriableError: the warehouse is away.
    """
    with (
        retriable_failures(f"{held.pipeline} was decided on", lock="The ledger is locked."),
        connect(settings, "transformer", application_name="sluice approve") as connection,
    ):
        return approval.decide(connection, held, decision, decided_by)
