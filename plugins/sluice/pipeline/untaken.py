"""What the ledger has for a pipeline, and none of its builds has taken up.

A run of the orchestrator loads, and builds what it has loaded. What came in another way (``sluice
run`` of a pipeline that this one reads, or that shares a source with it; a replay) has no event,
and neither has what came while the orchestrator was away.
"""

from __future__ import annotations

from psycopg import Connection

from sluice.loading.pending import list_pending
from sluice.pipeline.waiting import look_for_inputs
from sluice.registry import Registry
from sluice.settings import Settings

# A run that has loaded something takes no longer to build it, unless it loads more.
GRACE_SECONDS = 30

# Newest entries only, each found along an index. Written as a range, so that PostgreSQL takes it:
# see overview.py.
_UNTAKEN = """
with inputs as (
    select * from unnest(%(pipelines)s::text[], %(kinds)s::text[], %(names)s::text[])
        as given (pipeline, kind, name)
), newest as (
    select inputs.*, load_id as id, loaded_at as came_at
    from inputs
    cross join lateral (
        select load_id, loaded_at from ops.loads
        where loads.source between inputs.name and inputs.name
            and outcome in ('loaded', 'withdrawn')
        order by loads.source desc, load_id desc
        limit 1
    ) as load
    where kind = 'source'
    union all
    select inputs.*, publication_id, published_at
    from inputs
    cross join lateral (
        select publication_id, published_at from ops.publications
        where publications.pipeline = inputs.name
        order by publication_id desc
        limit 1
    ) as publication
    where kind = 'pipeline'
)
select newest.pipeline, array_agg(concat_ws(' ', kind, name, id) order by kind, name)
from newest
left join lateral (
    select started_at, loads from ops.transformations
    where transformations.pipeline = newest.pipeline
    order by transformation_id desc
    limit 1
) as build on true
where came_at < clock_timestamp() - make_interval(secs => %(grace)s)
    and case kind
        -- Not by its time: what is committed while a build begins is older, and not in it.
        when 'source' then coalesce(id <> all(loads), true) and not exists (
            select from ops.published_loads
            where published_loads.pipeline = newest.pipeline and load_id = id
        )
        else came_at > coalesce(started_at, '-infinity')
    end
group by newest.pipeline
"""

Untaken = dict[str, frozenset[str]]


def untaken_inputs(connection: Connection, settings: Settings, registry: Registry) -> Untaken:
    """What waits for a build of each pipeline that arrivals wake: its newest loads, publications.

    Of a pipeline that waits for all of its inputs, only once all of them are there. What a build
    has taken up and failed on is not named: somebody has to see to that.

    Args:
        connection: of a role that reads schema ops.
        settings: the instance.
        registry: its registry.
    """
    inputs = [
        (pipeline.name, kind, name)
        for pipeline in registry.pipelines.values()
        if pipeline.schedule.when != "cron"
        for kind, names in (("source", pipeline.sources), ("pipeline", pipeline.reads))
        for name in names
    ]
    if not inputs:
        return {}
    pipelines, kinds, names = map(list, zip(*inputs, strict=True))
    given = {"pipelines": pipelines, "kinds": kinds, "names": names, "grace": GRACE_SECONDS}
    found = {name: frozenset(words) for name, words in connection.execute(_UNTAKEN, given)}
    waiting = [
        pipeline for name in found if (pipeline := registry.pipelines[name]).schedule.when == "all"
    ]
    if waiting:
        sources = registry.sources_beside({name for each in waiting for name in each.sources})
        arrived = {each.source for each in list_pending(connection, settings, sources).deliveries}
        for each in waiting:
            if look_for_inputs(connection, settings, registry, each, arrived=arrived).missing:
                del found[each.name]
    return found
