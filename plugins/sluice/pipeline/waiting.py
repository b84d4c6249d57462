"""What a pipeline's schedule waits for: which of its inputs are there, which are missing.

An input is a source, or a pipeline that is read. Files in the landing zone and the ledger decide;
events of the orchestrator are no list of what has arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection

from sluice.errors import OverdueError
from sluice.loading.pending import list_pending
from sluice.registry import Pipeline, Registry
from sluice.registry.schedule import OnMissing
from sluice.settings import Settings
from sluice.transforming import pending_loads, pending_publications

_SOURCES_OF_LOADS = "select distinct source from ops.loads where load_id = any(%s)"
_LOADED_SINCE = """
select exists (
    select from ops.loads
    where source = %s and outcome = 'loaded' and delivery_kind <> 'same_again' and loaded_at > %s
)
"""
_PIPELINES_OF_PUBLICATIONS = """
select distinct pipeline from ops.publications where publication_id = any(%s)
"""
_PUBLISHED_SINCE = """
select exists (select from ops.publications where pipeline = %s and published_at > %s)
"""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a pipeline that its schedule waits for, in the registry's order.

    Attributes:
        there: those with something new.
        missing: the others.
    """

    there: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        """Both in words."""
        there = ", ".join(self.there) or "nothing"
        return f"there: {there}; awaited: {', '.join(self.missing) or 'nothing'}"


def pipeline_input(name: str) -> str:
    """What a pipeline that is read is called among the inputs: a source may have its name."""
    return f"pipeline {name}"


def look_for_inputs(
    connection: Connection,
    settings: Settings,
    registry: Registry,
    pipeline: Pipeline,
    since: datetime | None = None,
    arrived: Collection[str] | None = None,
) -> Inputs:
    """Which inputs have something that the pipeline's gold does not contain yet.

    Args:
        connection: of a role that reads schema ops.
        settings: the instance.
        registry: its registry.
        pipeline: whose inputs.
        since: what has come after this moment counts as well, although it may be published by now.
        arrived: the sources of which settled deliveries lie in the landing zone, where that is
            known; it is looked at where None.
    """
    if arrived is None:
        listing = list_pending(connection, settings, registry.sources_beside(pipeline.sources))
        arrived = {delivery.source for delivery in listing.deliveries}
    there = {*arrived, *_new_loads(connection, pipeline, since)}
    there |= {*_new_publications(connection, pipeline, since)}
    awaited = [*awaited_sources(pipeline), *map(pipeline_input, pipeline.reads)]
    return Inputs(
        tuple(name for name in awaited if name in there),
        tuple(name for name in awaited if name not in there),
    )


def awaited_sources(pipeline: Pipeline) -> list[str]:
    """The sources that are not optional."""
    return [name for name in pipeline.sources if not pipeline.schedule.of_source(name).optional]


def hold_missing_against(pipeline: Pipeline, missing: Sequence[str]) -> list[str]:
    """What is to be said of inputs that have not come in time.

    Returns:
        Those with ``on_missing: warn``.

    Raises:
        OverdueError: for one of them, ``on_missing`` is ``fail``.
    """
    by_word: dict[OnMissing, list[str]] = {"skip": [], "warn": [], "fail": []}
    for name in missing:
        by_word[pipeline.schedule.on_missing_of(name)].append(name)
    if by_word["fail"]:
        raise OverdueError(
            f"Pipeline {pipeline.name} misses {', '.join(by_word['fail'])} (on_missing is fail).",
            "Nothing was loaded. Ask for the deliveries; then run the pipeline by hand, or let the"
            " next time of its schedule take them up.",
        )
    return by_word["warn"]


def note_missing(connection: Connection, pipeline: Pipeline, missing: Sequence[str]) -> None:
    """Record which inputs have not come in time, but for those with ``on_missing: skip``.

    The connection is the loader's.
    """
    connection.execute(
        """
        insert into ops.missing_inputs (pipeline, input, on_missing)
        select %s, * from unnest(%s::text[], %s::text[]) as missing (input, on_missing)
        where on_missing <> 'skip'
        """,
        (
            pipeline.name,
            list(missing),
            [pipeline.schedule.on_missing_of(name) for name in missing],
        ),
    )


def _new_loads(connection: Connection, pipeline: Pipeline, since: datetime | None) -> Iterator[str]:
    loads = pending_loads(connection, pipeline)
    yield from _first_column(connection.execute(_SOURCES_OF_LOADS, (loads,)).fetchall())
    for name in pipeline.sources if since else ():
        row = connection.execute(_LOADED_SINCE, (name, since)).fetchone()
        if row and row[0]:
            yield name


def _new_publications(
    connection: Connection, pipeline: Pipeline, since: datetime | None
) -> Iterator[str]:
    publications = pending_publications(connection, pipeline)
    rows = connection.execute(_PIPELINES_OF_PUBLICATIONS, (publications,)).fetchall()
    yield from map(pipeline_input, _first_column(rows))
    for name in pipeline.reads if since else ():
        row = connection.execute(_PUBLISHED_SINCE, (name, since)).fetchone()
        if row and row[0]:
            yield pipeline_input(name)


def _first_column(rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [row[0] for row in rows]


@dataclass(frozen=True)
class Wait:
    """What a run at a time waits for.

    Attributes:
        since: the time of the schedule before; what came after it is there.
        until: when the wait ends; the run's own time where it does not wait.
    """

    since: datetime
    until: datetime

    @classmethod
    def of(cls, pipeline: Pipeline, run_after: datetime) -> Wait:
        """The wait of a run that is due at a moment."""
        wait_for = pipeline.schedule.wait_for
        until = run_after + wait_for.length if wait_for else run_after
        return cls(pipeline.schedule.time_before(run_after), until)

    @property
    def is_over(self) -> bool:
        """Whether its end has passed."""
        return datetime.now(UTC) >= self.until
