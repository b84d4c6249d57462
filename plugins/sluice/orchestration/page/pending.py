"""What each pipeline's gold lacks: loads, and publications of the pipelines that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import Connection

from sluice.errors import counted
from sluice.pipeline.waiting import pipeline_input
from sluice.registry import Pipeline

# How many pending loads of a source, and publications of a pipeline, are counted; from there on it
# says "or more".
MOST_PENDING = 1000

# A run takes all that is pending at once: what is pending lies among the newest loads.
_LOADS = """
select wanted.pipeline, wanted.source, count(*) as pending
from unnest(%(pipelines)s::text[], %(inputs)s::text[]) as wanted (pipeline, source)
cross join lateral (
    select load_id
    from ops.loads
    where loads.source between wanted.source and wanted.source
        and outcome in ('loaded', 'withdrawn')
    order by loads.source desc, loads.load_id desc
    limit %(most)s
) as recent
where not exists (
    select from ops.published_loads
    where published_loads.pipeline = wanted.pipeline and published_loads.load_id = recent.load_id
)
group by wanted.pipeline, wanted.source
"""

# Those since the build that gold is of began.
_PUBLICATIONS = """
select wanted.pipeline, wanted.other, count(*) as pending
from unnest(%(pipelines)s::text[], %(inputs)s::text[]) as wanted (pipeline, other)
cross join lateral (
    select published_at
    from ops.publications
    where publications.pipeline between wanted.other and wanted.other
    order by publications.pipeline, publication_id desc
    limit %(most)s
) as recent
left join lateral (
    select started_at
    from (
        select transformation_id
        from ops.publications
        where publications.pipeline between wanted.pipeline and wanted.pipeline
        order by publications.pipeline, publication_id desc
        limit 1
    ) as own
    inner join ops.transformations using (transformation_id)
) as build on true
where build.started_at is null or recent.published_at > build.started_at
group by wanted.pipeline, wanted.other
"""


@dataclass(frozen=True)
class Pending:
    """What one pipeline's gold lacks.

    Attributes:
        loads: of each source that has any, how many.
        publications: of each pipeline that it reads and that has any, how many.
    """

    loads: Mapping[str, int] = field(default_factory=dict)
    publications: Mapping[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> frozenset[str]:
        """The names of what there is something new of."""
        return frozenset({*self.loads, *map(pipeline_input, self.publications)})

    def __str__(self) -> str:
        """Both in words: ``2 loads, 1 publication``."""
        words = [_words(self.loads, "load")] if self.loads else []
        words += [_words(self.publications, "publication")] if self.publications else []
        return ", ".join(words) or "nothing"


def _words(counts: Mapping[str, int], noun: str) -> str:
    more = " or more" if max(counts.values()) >= MOST_PENDING else ""
    return counted(sum(counts.values()), noun) + more


def pending_of(connection: Connection, pipelines: Sequence[Pipeline]) -> dict[str, Pending]:
    """What each of these pipelines' gold lacks, by name."""
    sources = [(pipeline.name, source) for pipeline in pipelines for source in pipeline.sources]
    others = [(pipeline.name, other) for pipeline in pipelines for other in pipeline.reads]
    loads = _counts(connection, _LOADS, sources)
    publications = _counts(connection, _PUBLICATIONS, others)
    return {
        pipeline.name: Pending(loads.get(pipeline.name, {}), publications.get(pipeline.name, {}))
        for pipeline in pipelines
    }


def _counts(
    connection: Connection, query: LiteralString, pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[str, int]]:
    parameters = {
        "pipelines": [pipeline for pipeline, _ in pairs],
        "inputs": [name for _, name in pairs],
        "most": MOST_PENDING,
    }
    found: dict[str, dict[str, int]] = {}
    for pipeline, name, count in connection.execute(query, parameters):
        found.setdefault(pipeline, {})[name] = count
    return found
