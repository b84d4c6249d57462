"""The one transaction that makes a tested candidate the published gold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from sluice.errors import InternalError, TransformError
from sluice.publishing.shape import Reshaping, Shape, create_table, reshape, shape_of
from sluice.settings import Settings
from sluice.warehouse.connections import advisory_key, connect
from sluice.warehouse.failures import retriable_failures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MartChange:
    """What a publication changed in one mart."""

    mart: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    schema_changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """A publication that was committed.

    Attributes:
        publication_id: its id in ``ops.publications``.
        pipeline: whose marts.
        marts: what changed in each mart, by name.
        loads: how many loads it marked as published.
    """

    publication_id: int
    pipeline: str
    marts: tuple[MartChange, ...]
    loads: int


def publish(settings: Settings, pipeline: str, transformation_id: int) -> Publication:
    """Merge the candidate that a transformation built and tested into ``gold``.

    Repeating it for the same transformation finds the publication and changes nothing.

    Raises:
        TransformError: the transformation did not pass, or its candidate was built over since.
        ConfigError: a view of somebody's stands in the way of a changed column.
        RetriableError: the warehouse went away, or a lock was not to be had in time.
    """
    application = f"sluice publish {pipeline}"
    busy = f"Another run is building models of pipeline {pipeline}."
    with (
        retriable_failures(f"{pipeline} was published", lock=busy),
        connect(settings, "transformer", application_name=application) as connection,
    ):
        marts, loads = _tested_candidate(connection, pipeline, transformation_id)
        published = _find(connection, pipeline, transformation_id)
        if published is None:
            changes = _publish_marts(connection, marts)
            published = _record(connection, pipeline, transformation_id, changes, loads)
    for change in published.marts:
        logger.info(
            "gold.%s: %s inserted, %s updated, %s deleted%s",
            change.mart,
            change.rows_inserted,
            change.rows_updated,
            change.rows_deleted,
            "".join(f"; {what}" for what in change.schema_changes),
        )
    return published


def _tested_candidate(
    connection: Connection, pipeline: str, transformation_id: int
) -> tuple[list[tuple[str, tuple[str, ...]]], list[int]]:
    """Lock the candidate against being built over; its marts with keys, and its loads."""
    query = """
        select status, marts, loads, message from ops.transformations
        where transformation_id = %s and pipeline = %s
    """
    row = connection.execute(query, (transformation_id, pipeline)).fetchone()
    if row is None:
        raise InternalError(f"There is no transformation {transformation_id} of {pipeline}.")
    status, marts, loads, message = row
    if status != "passed":
        raise TransformError(f"Transformation {transformation_id} has {status}: {message}")
    keys: list[tuple[str, tuple[str, ...]]] = sorted(
        (mart["name"], tuple(mart["key"])) for mart in marts
    )
    for name, _ in keys:
        connection.execute("select pg_advisory_xact_lock(%s)", (advisory_key("model", name),))
    newer = connection.execute(
        """
        select transformation_id, status from ops.transformations
        where pipeline = %s and transformation_id > %s
        order by transformation_id desc limit 1
        """,
        (pipeline, transformation_id),
    ).fetchone()
    if newer is not None and _find(connection, pipeline, transformation_id) is None:
        raise TransformError(
            f"The candidate of transformation {transformation_id} was built over by"
            f" transformation {newer[0]} ({newer[1]}). Gold is as it was.",
            "That run publishes what it built; look at it: ./sluice status",
        )
    return keys, list(loads)


def _publish_marts(
    connection: Connection, marts: Sequence[tuple[str, tuple[str, ...]]]
) -> list[MartChange]:
    """Publish each mart, those that are altered last: from there on their readers wait."""
    plans: list[tuple[str, Shape, Reshaping | None]] = []
    for mart, key in marts:
        built = shape_of(connection, "gold_audit", mart)
        if built is None:
            raise InternalError(f"gold_audit.{mart} is missing, though its build passed.")
        candidate = Shape(built.columns, key)
        published = shape_of(connection, "gold", mart)
        reshaping = Reshaping.between(published, candidate) if published else None
        plans.append((mart, candidate, reshaping))
    plans.sort(key=lambda plan: bool(plan[2] and plan[2].changes))
    changes = [_publish_mart(connection, *plan) for plan in plans]
    return sorted(changes, key=lambda change: change.mart)


def _publish_mart(
    connection: Connection, mart: str, candidate: Shape, reshaping: Reshaping | None
) -> MartChange:
    if reshaping is None:
        create_table(connection, mart, candidate)
        return MartChange(mart, _insert_all(connection, mart, candidate), 0, 0, ("table created",))
    if reshaping.changes:
        reshape(connection, mart, reshaping)
    if reshaping.key_changes:
        table = Identifier("gold", mart)
        deleted = connection.execute(SQL("delete from {}").format(table)).rowcount
        inserted = _insert_all(connection, mart, candidate)
        connection.execute(
            SQL("alter table {} add primary key ({})").format(table, _columns(candidate.key))
        )
        return MartChange(mart, inserted, 0, deleted, reshaping.changes)
    counts = _merge(connection, mart, candidate)
    return MartChange(
        mart,
        counts.get("INSERT", 0),
        counts.get("UPDATE", 0),
        counts.get("DELETE", 0),
        reshaping.changes,
    )


def _insert_all(connection: Connection, mart: str, shape: Shape) -> int:
    query = SQL("insert into {} ({}) select {} from {}").format(
        Identifier("gold", mart),
        _columns(shape.columns),
        _columns(shape.columns),
        Identifier("gold_audit", mart),
    )
    return connection.execute(query).rowcount


def _merge(connection: Connection, mart: str, shape: Shape) -> dict[str, int]:
    """Make the published rows equal to the candidate's, touching those that differ only."""
    values = [name for name in shape.columns if name not in shape.key]
    update = SQL("when matched and ({}) is distinct from ({}) then update set {}").format(
        _columns(values, "published"),
        _columns(values, "candidate"),
        SQL(", ").join(
            SQL("{} = {}").format(Identifier(name), Identifier("candidate", name))
            for name in values
        ),
    )
    query = SQL(
        """
        with merged as (
            merge into {published} as published
            using {candidate} as candidate on {matching}
            {update}
            when not matched then insert ({columns}) values ({candidate_columns})
            when not matched by source then delete
            returning merge_action() as action
        )
        select action, count(*) from merged group by action
        """
    ).format(
        published=Identifier("gold", mart),
        candidate=Identifier("gold_audit", mart),
        matching=SQL(" and ").join(
            SQL("{} = {}").format(Identifier("published", name), Identifier("candidate", name))
            for name in shape.key
        ),
        update=update if values else SQL(""),
        columns=_columns(shape.columns),
        candidate_columns=_columns(shape.columns, "candidate"),
    )
    return dict(connection.execute(query).fetchall())


def _columns(names: Any, table: str | None = None) -> Composed:
    """The names as a list in SQL, each below its table where one is given."""
    parts = [Identifier(table, name) if table else Identifier(name) for name in names]
    return SQL(", ").join(parts)


def _record(
    connection: Connection,
    pipeline: str,
    transformation_id: int,
    changes: Sequence[MartChange],
    loads: Sequence[int],
) -> Publication:
    row = connection.execute(
        """
        insert into ops.publications (pipeline, transformation_id) values (%s, %s)
        returning publication_id
        """,
        (pipeline, transformation_id),
    ).fetchone()
    publication_id = int(row[0]) if row else 0
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.published_marts (
                publication_id, mart, rows_inserted, rows_updated, rows_deleted, schema_changes
            ) values (%s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    publication_id,
                    change.mart,
                    change.rows_inserted,
                    change.rows_updated,
                    change.rows_deleted,
                    list(change.schema_changes),
                )
                for change in changes
            ],
        )
        # A load may be published already: the build before may have seen more than its list.
        cursor.execute(
            """
            insert into ops.published_loads (pipeline, load_id, publication_id)
            select %s, unnest(%s::bigint[]), %s
            on conflict (pipeline, load_id) do nothing
            """,
            (pipeline, list(loads), publication_id),
        )
    return Publication(publication_id, pipeline, tuple(changes), len(loads))


def _find(connection: Connection, pipeline: str, transformation_id: int) -> Publication | None:
    """The publication of a transformation, if an earlier attempt made it."""
    rows = connection.execute(
        """
        select publication_id, mart, rows_inserted, rows_updated, rows_deleted, schema_changes
        from ops.publications
        join ops.published_marts using (publication_id)
        where transformation_id = %s
        order by mart
        """,
        (transformation_id,),
    ).fetchall()
    if not rows:
        return None
    changes = tuple(
        MartChange(mart, inserted, updated, deleted, tuple(schema_changes))
        for _, mart, inserted, updated, deleted, schema_changes in rows
    )
    return Publication(rows[0][0], pipeline, changes, 0)
