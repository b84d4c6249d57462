"""How old the newest delivery of each source and the marts of each pipeline are, and may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, LiteralString

from psycopg import Connection

from sluice.errors import OverdueError
from sluice.registry import Registry
from sluice.registry.freshness import Freshness, Span

State = Literal["fresh", "warn", "error"]

# A replay brings nothing new. As a range, so that the index on source and load_id is taken: see
# overview.py.
_NEWEST_LOADS = """
select wanted.source, loaded_at
from unnest(%s::text[]) as wanted (source)
cross join lateral (
    select loaded_at from ops.loads
    where loads.source between wanted.source and wanted.source
        and outcome = 'loaded' and delivery_kind <> 'same_again'
    order by loads.source, load_id desc limit 1
) as newest
"""
_NEWEST_PUBLICATIONS = """
select wanted.pipeline, published_at
from unnest(%s::text[]) as wanted (pipeline)
cross join lateral (
    select published_at from ops.publications
    where publications.pipeline between wanted.pipeline and wanted.pipeline
    order by publications.pipeline, publication_id desc limit 1
) as newest
"""


@dataclass(frozen=True)
class FreshnessState:
    """One source, or the marts of one pipeline, at one moment.

    Attributes:
        kind: which of the two.
        name: the source's or the pipeline's.
        state: how it stands. What never came is as late as can be.
        newest_at: when its newest delivery was loaded, or it was published last; None for never.
        warn_after: when it is shown as a warning, in words; None where never.
        error_after: when it is shown as an error, likewise.
    """

    kind: Literal["source", "pipeline"]
    name: str
    state: State
    newest_at: datetime | None
    warn_after: str | None
    error_after: str | None

    def __str__(self) -> str:
        """What is late, in words; see ``state`` for whether it is."""
        what = f"{self.kind} {self.name}"
        came = "no delivery was ever loaded" if self.kind == "source" else "was never published"
        if self.newest_at is not None:
            at = f"{self.newest_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            verb = "newest delivery was loaded" if self.kind == "source" else "was last published"
            came = f"{verb} {at}"
        allowed = self.error_after if self.state == "error" else self.warn_after
        return f"{what}: {came}; it may be {allowed} old" if allowed else f"{what}: {came}"


def is_watched(registry: Registry) -> bool:
    """Whether anything in the registry has a freshness."""
    sources, pipelines = registry.sources.values(), registry.pipelines.values()
    return any(source.freshness for source in sources) or any(
        pipeline.freshness for pipeline in pipelines
    )


def freshness_states(
    connection: Connection, registry: Registry, now: datetime | None = None
) -> list[FreshnessState]:
    """The state of each source, then each pipeline, that says how old it may be.

    Args:
        connection: of a role that reads schema ops.
        registry: the sources and pipelines.
        now: the moment to judge by; the present one where None.
    """
    return list(_states(connection, registry, now or datetime.now(UTC)))


def overdue_error(states: Sequence[FreshnessState]) -> OverdueError | None:
    """One error that names everything that is late by more than its ``error_after``."""
    late = [str(state) for state in states if state.state == "error"]
    return too_old(late) if late else None


def too_old(late: Sequence[str]) -> OverdueError:
    """The error of what is late by more than its ``error_after``, in words."""
    return OverdueError(
        "Too old:\n  " + "\n  ".join(late), "Ask who delivers it, or look at why it was not loaded."
    )


def _states(connection: Connection, registry: Registry, now: datetime) -> Iterator[FreshnessState]:
    sources = {name: each.freshness for name, each in registry.sources.items() if each.freshness}
    pipelines = {
        name: each.freshness for name, each in sorted(registry.pipelines.items()) if each.freshness
    }
    loaded = _newest(connection, _NEWEST_LOADS, [*sources])
    published = _newest(connection, _NEWEST_PUBLICATIONS, [*pipelines])
    for name, allowed in sources.items():
        yield _judged("source", name, allowed, loaded.get(name), now)
    for name, allowed in pipelines.items():
        yield _judged("pipeline", name, allowed, published.get(name), now)


def _newest(connection: Connection, query: LiteralString, names: list[str]) -> dict[str, datetime]:
    return dict(connection.execute(query, (names,)).fetchall())


def _judged(
    kind: Literal["source", "pipeline"],
    name: str,
    allowed: Freshness,
    newest: datetime | None,
    now: datetime,
) -> FreshnessState:
    age = now - newest if newest else timedelta.max
    state: State = "fresh"
    if _is_over(allowed.error_after, age):
        state = "error"
    elif _is_over(allowed.warn_after, age):
        state = "warn"
    warn, error = allowed.warn_after, allowed.error_after
    return FreshnessState(
        kind, name, state, newest, str(warn) if warn else None, str(error) if error else None
    )


def _is_over(span: Span | None, age: timedelta) -> bool:
    return span is not None and age > span.length
