"""What the page asks of the ledger: each query is bounded, however long the history is.

Lists are read by their key, backwards from the newest: ``before`` is the key at which the last page
ended. A source is compared as a range where the order is (source, load_id): with ``=`` PostgreSQL
may walk back over the loads of all sources instead (see ``pipeline/overview.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from sluice.publishing.approval import HAS_BUILT

Row = dict[str, Any]

# What keeps a build from being published; a skipped node follows from one of these.
_IS_FAILURE = "status not in ('success', 'pass', 'warn', 'no-op', 'skipped')"

# dbt's other kinds of nodes make tables.
_IS_TEST = "resource_type in ('test', 'unit_test')"

# More rows than are kept of a test.
MOST_FAILING_ROWS = 1000

# More nodes than any one build should have.
MOST_NODES = 5000

# Builds in which a node is looked for: 0.1 s.
MOST_BUILDS = 10_000

_LAST_DELIVERIES = """
select newest.*
from unnest(%(sources)s::text[]) as wanted (source)
cross join lateral (
    select source, load_id, file_name, outcome, delivery_kind, rows_loaded, rows_rejected, loaded_at
    from ops.loads
    where loads.source between wanted.source and wanted.source
    order by loads.source, loads.load_id desc
    limit 1
) as newest
"""

# Two short walks, each along an index of its own, so that a million skipped deliveries between
# two loads cost nothing.
_RECENT_LOADS = """
select recent.*
from unnest(%(sources)s::text[]) as wanted (source)
cross join lateral (
    (
        select source, load_id, outcome, rows_loaded, rows_rejected, loaded_at
        from ops.loads
        where loads.source between wanted.source and wanted.source and outcome = 'loaded'
        order by loads.source desc, loads.load_id desc
        limit %(count)s
    )
    union all
    (
        select source, load_id, outcome, rows_loaded, rows_rejected, loaded_at
        from ops.loads
        where loads.source between wanted.source and wanted.source and outcome = 'rejected'
        order by loads.source, loads.load_id desc
        limit %(count)s
    )
    order by load_id desc
    limit %(count)s
) as recent
"""

_LOADS = """
select load_id, file_name, outcome, delivery_kind, rows_loaded, rows_rejected, rows_replaced,
    reject_reason, reject_code, reject_record, reject_column, loaded_at
from ops.loads
where source between %(source)s and %(source)s
    and (%(before)s::bigint is null or load_id < %(before)s)
order by source, load_id desc
limit %(count)s
"""

_LOAD = """
select loads.*, files.current_load_id is not distinct from loads.load_id as is_in_bronze
from ops.loads
inner join ops.files using (file_id)
where load_id = %(load_id)s
"""

_OF_FILE = """
select load_id, outcome, delivery_kind, rows_loaded, rows_rejected, loaded_at
from ops.loads
where file_id = %(file_id)s
order by load_id desc
limit %(count)s
"""

_PUBLISHED = """
select pipeline, publication_id, transformation_id, published_at
from ops.published_loads
inner join ops.publications using (pipeline, publication_id)
where pipeline = any(%(pipelines)s) and load_id = %(load_id)s
order by published_at
"""

_PIPELINES = """
select
    wanted.pipeline, newest.transformation_id, newest.started_at, newest.message,
    case
        when newest.transformation_id = published.transformation_id then 'published'
        when held.held_at is not null then coalesce(held.decision, 'held')
        else newest.status
    end as status,
    published.transformation_id as published_transformation_id, published.published_at
from unnest(%(pipelines)s::text[]) as wanted (pipeline)
left join lateral (
    select transformation_id, status, started_at, message
    from ops.transformations
    where transformations.pipeline between wanted.pipeline and wanted.pipeline
    order by transformations.pipeline, transformation_id desc
    limit 1
) as newest on true
left join ops.held_publications as held on held.transformation_id = newest.transformation_id
left join lateral (
    select transformation_id, published_at
    from ops.publications
    where publications.pipeline between wanted.pipeline and wanted.pipeline
    order by publications.pipeline, publication_id desc
    limit 1
) as published on true
order by wanted.pipeline
"""

_BUILD_COLUMNS = """
    transformation_id, builds.run_id, builds.message, builds.started_at, builds.ended_at,
    case
        when published_at is not null then 'published'
        when held.decision = 'refused' then 'refused'
        when builds.status = 'passed' and superseded_by is not null then 'superseded'
        when held.held_at is not null and held.decision is null then 'held'
        else builds.status
    end as status,
    superseded_by, newer_status, cardinality(builds.loads) as loads, publication_id, published_at,
    counted.*, changed.*
"""
_BUILD_JOINS = f"""
left join ops.publications using (transformation_id)
left join ops.held_publications as held using (transformation_id)
left join lateral (
    select transformation_id as superseded_by, status as newer_status
    from ops.transformations
    where pipeline between builds.pipeline and builds.pipeline
        and transformation_id > builds.transformation_id
        and published_at is null and {HAS_BUILT}
    order by pipeline, transformation_id
    limit 1
) as newer on true
cross join lateral (
    select
        count(*) filter (where {_IS_TEST} and status = 'pass') as tests_passed,
        count(*) filter (where status = 'warn') as warned,
        count(*) filter (where {_IS_FAILURE} and {_IS_TEST}) as tests_failed,
        count(*) filter (where {_IS_FAILURE} and not {_IS_TEST}) as models_failed,
        count(*) filter (where resource_type = 'model' and status = 'success') as models_built
    from ops.node_results
    where node_results.transformation_id = builds.transformation_id
) as counted
cross join lateral (
    select
        coalesce(sum(rows_inserted), 0)::bigint as rows_inserted,
        coalesce(sum(rows_updated), 0)::bigint as rows_updated,
        coalesce(sum(rows_deleted), 0)::bigint as rows_deleted
    from ops.published_marts
    where published_marts.publication_id = publications.publication_id
) as changed
"""  # noqa: S608

_BUILDS = f"""
select {_BUILD_COLUMNS}
from (
    select * from ops.transformations
    where pipeline between %(pipeline)s and %(pipeline)s
        and (%(before)s::bigint is null or transformation_id < %(before)s)
    order by pipeline, transformation_id desc
    limit %(count)s
) as builds
{_BUILD_JOINS}
order by transformation_id desc
"""  # noqa: S608

_BUILD = f"""
select builds.pipeline, {_BUILD_COLUMNS}
from (select * from ops.transformations where transformation_id = %(build)s) as builds
{_BUILD_JOINS}
"""  # noqa: S608

_MARTS = """
select mart, rows_inserted, rows_updated, rows_deleted, schema_changes
from ops.published_marts where publication_id = %(publication)s order by mart
"""

# What stops a publication first, then what a person should look at, then the slowest.
_NODES = f"""
select unique_id, resource_type, status, failures, rows_affected, message, execution_seconds,
    {_IS_FAILURE} as is_failure, {_IS_TEST} as is_test
from ops.node_results
where transformation_id = %(build)s
order by
    is_failure desc, status <> 'warn', status <> 'skipped', execution_seconds desc, unique_id
limit %(count)s
"""  # noqa: S608

_FAILING_ROWS = """
select unique_id, failing_row::text as failing_row
from ops.failing_rows
where transformation_id = %(build)s and row_number <= %(count)s
order by unique_id, row_number
"""

# Of the newest build that kept any: the rows of earlier ones are gone.
_NEWEST_FAILING_ROWS = """
select failing_rows.transformation_id, failing_row::text as failing_row
from ops.failing_rows
inner join ops.transformations using (transformation_id)
where unique_id = %(node)s and pipeline = %(pipeline)s
order by failing_rows.transformation_id desc, row_number
limit %(count)s
"""

# Back over the pipeline's builds, each looked up by its key; a node that is new in the pipeline has
# fewer results than were looked at.
_NODE_HISTORY = f"""
select builds.transformation_id, builds.started_at, resource_type, status, failures, rows_affected,
    message, execution_seconds, {_IS_FAILURE} as is_failure, {_IS_TEST} as is_test
from (
    select transformation_id, started_at from ops.transformations
    where pipeline between %(pipeline)s and %(pipeline)s
        and (%(before)s::bigint is null or transformation_id < %(before)s)
    order by pipeline, transformation_id desc
    limit %(count)s
) as builds
left join ops.node_results
    on node_results.transformation_id = builds.transformation_id
    and node_results.unique_id = %(node)s
order by builds.transformation_id desc
"""  # noqa: S608


# A node that is not in any of these is taken for one that never was.
_HAS_NODE = """
select exists (
    select
    from (
        select transformation_id from ops.transformations
        where pipeline between %(pipeline)s and %(pipeline)s
        order by pipeline, transformation_id desc
        limit %(count)s
    ) as builds
    inner join ops.node_results using (transformation_id)
    where unique_id = %(node)s
) as found
"""


def _rows(connection: Connection, query: LiteralString, **parameters: Any) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def last_deliveries(connection: Connection, sources: Sequence[str]) -> dict[str, Row]:
    """The newest ledger entry of each source that has any."""
    rows = _rows(connection, _LAST_DELIVERIES, sources=list(sources))
    return {row["source"]: row for row in rows}


def recent_loads(
    connection: Connection, sources: Sequence[str], count: int
) -> dict[str, list[Row]]:
    """The newest loads and rejected deliveries of each source, newest first."""
    found: dict[str, list[Row]] = {source: [] for source in sources}
    for row in _rows(connection, _RECENT_LOADS, sources=list(sources), count=count):
        found[row["source"]].append(row)
    return found


def loads(connection: Connection, source: str, before: int | None, count: int) -> list[Row]:
    """A source's ledger entries, newest first."""
    return _rows(connection, _LOADS, source=source, before=before, count=count)


def load(connection: Connection, load_id: int) -> Row | None:
    """A ledger entry, with ``is_in_bronze``; None where there is none."""
    return next(iter(_rows(connection, _LOAD, load_id=load_id)), None)


def loads_of_file(connection: Connection, file_id: int, count: int) -> list[Row]:
    """What became of the same file's deliveries, newest first."""
    return _rows(connection, _OF_FILE, file_id=file_id, count=count)


def publications_of_load(
    connection: Connection, load_id: int, pipelines: Sequence[str]
) -> list[Row]:
    """The first publication of each of these pipelines whose gold contains a load."""
    return _rows(connection, _PUBLISHED, load_id=load_id, pipelines=list(pipelines))


def pipelines(connection: Connection, names: Sequence[str]) -> list[Row]:
    """The newest build and publication of each pipeline, by name."""
    return _rows(connection, _PIPELINES, pipelines=list(names))


def builds(connection: Connection, pipeline: str, before: int | None, count: int) -> list[Row]:
    """A pipeline's builds, newest first, with what they published."""
    return _rows(connection, _BUILDS, pipeline=pipeline, before=before, count=count)


def build(connection: Connection, build_id: int) -> Row | None:
    """One build, by its transformation's id, with its pipeline; None where there is none."""
    return next(iter(_rows(connection, _BUILD, build=build_id)), None)


def marts(connection: Connection, publication_id: int) -> list[Row]:
    """What a publication changed in each mart, by name."""
    return _rows(connection, _MARTS, publication=publication_id)


def nodes(connection: Connection, build_id: int) -> list[Row]:
    """The models and tests of a build: failures first, then warnings, then the slowest."""
    return _rows(connection, _NODES, build=build_id, count=MOST_NODES)


def failing_rows(connection: Connection, build_id: int, count: int) -> dict[str, list[str]]:
    """The first rows that each test of a build found wrong, as JSON, by the test's id."""
    found: dict[str, list[str]] = {}
    for row in _rows(connection, _FAILING_ROWS, build=build_id, count=count):
        found.setdefault(row["unique_id"], []).append(row["failing_row"])
    return found


def newest_failing_rows(connection: Connection, pipeline: str, node: str) -> list[Row]:
    """The rows that are kept of a test in a pipeline: ``transformation_id`` and ``failing_row``."""
    return _rows(
        connection, _NEWEST_FAILING_ROWS, pipeline=pipeline, node=node, count=MOST_FAILING_ROWS
    )


def node_history(
    connection: Connection, pipeline: str, node: str, before: int | None, count: int
) -> list[Row]:
    """What became of a model or test in each of a pipeline's builds, newest first.

    Builds that did not have it have None for all but ``transformation_id`` and ``started_at``.
    """
    return _rows(
        connection, _NODE_HISTORY, pipeline=pipeline, node=node, before=before, count=count
    )


def has_node(connection: Connection, pipeline: str, node: str) -> bool:
    """Whether any of a pipeline's builds had a model or test."""
    (row,) = _rows(connection, _HAS_NODE, pipeline=pipeline, node=node, count=MOST_BUILDS)
    return bool(row["found"])
