"""What each pipeline's schedule waits for, and what had not come when it was time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection
from psycopg.rows import class_row

from sluice.orchestration.page.pending import Pending
from sluice.orchestration.schedules import needs_wait, schedule_in_words
from sluice.pipeline.waiting import Inputs, awaited_sources, pipeline_input
from sluice.registry import Pipeline

# One run has noticed all of its missing inputs at once.
_MISSED = """
select wanted.pipeline, noticed_at, array_agg(input order by missing_id) as inputs,
    bool_or(on_missing = 'fail') as has_failed,
    coalesce(noticed_at > max(started_at), true) as is_newest
from unnest(%(pipelines)s::text[]) as wanted (pipeline)
cross join lateral (
    select missing_id, input, on_missing, noticed_at
    from ops.missing_inputs
    where missing_inputs.pipeline between wanted.pipeline and wanted.pipeline
    order by missing_inputs.pipeline, missing_id desc
    limit %(count)s
) as newest
left join lateral (
    select started_at
    from ops.transformations
    where transformations.pipeline between wanted.pipeline and wanted.pipeline
    order by transformations.pipeline, transformation_id desc
    limit 1
) as build on true
group by wanted.pipeline, noticed_at
order by wanted.pipeline, noticed_at desc
"""

MOST_MISSED = 50  # inputs of a pipeline


@dataclass(frozen=True)
class Missed:
    """A run at a time that had waited for long enough.

    Attributes:
        pipeline: whose.
        noticed_at: when.
        inputs: what had not come.
        has_failed: whether the run ended with that; it went on without them otherwise.
        is_newest: whether nothing was built since.
    """

    pipeline: str
    noticed_at: datetime
    inputs: list[str]
    has_failed: bool
    is_newest: bool


@dataclass(frozen=True)
class Timetable:
    """One pipeline's.

    Attributes:
        words: when it runs, as half a sentence; parts of it in backticks.
        inputs: what has something new, and what has nothing; None where it waits for nothing.
        next_at: its next time; None where it has none.
        missed: what had not come by its times, newest first.
    """

    words: str
    inputs: Inputs | None
    next_at: datetime | None
    missed: tuple[Missed, ...]

    @property
    def failure(self) -> Missed | None:
        """The run that has failed for want of inputs, where nothing was built since."""
        newest = self.missed[0] if self.missed else None
        return newest if newest and newest.has_failed and newest.is_newest else None


def timetables(
    connection: Connection,
    pipelines: Sequence[Pipeline],
    arrived: Collection[str],
    pending: Mapping[str, Pending],
) -> dict[str, Timetable]:
    """The timetable of each pipeline, by name.

    Args:
        connection: to the ledger.
        pipelines: of the registry.
        arrived: the sources of which settled deliveries lie in the landing zone.
        pending: what each pipeline's gold lacks.
    """
    missed = missed_inputs(connection, [pipeline.name for pipeline in pipelines])
    now = datetime.now(UTC)
    return {
        pipeline.name: Timetable(
            schedule_in_words(pipeline),
            _inputs(pipeline, pending[pipeline.name].inputs.union(arrived))
            if needs_wait(pipeline)
            else None,
            pipeline.schedule.time_after(now) if pipeline.schedule.cron else None,
            tuple(missed.get(pipeline.name, ())),
        )
        for pipeline in pipelines
    }


def missed_inputs(connection: Connection, pipelines: Sequence[str]) -> dict[str, list[Missed]]:
    """What each pipeline has missed lately, newest first."""
    found: dict[str, list[Missed]] = {}
    with connection.cursor(row_factory=class_row(Missed)) as cursor:
        parameters = {"pipelines": list(pipelines), "count": MOST_MISSED}
        for each in cursor.execute(_MISSED, parameters):
            found.setdefault(each.pipeline, []).append(each)
    return found


def _inputs(pipeline: Pipeline, there: Collection[str]) -> Inputs:
    awaited = [*awaited_sources(pipeline), *map(pipeline_input, pipeline.reads)]
    return Inputs(
        tuple(name for name in awaited if name in there),
        tuple(name for name in awaited if name not in there),
    )
