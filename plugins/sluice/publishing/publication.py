"""The one transaction that makes a tested candidate the published gold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection, Rollback
from psycopg.sql import SQL, Identifier

from sluice.errors import BuiltOverError, HeldError, InternalError, TransformError
from sluice.publishing import approval
from sluice.publishing.change_log import ChangeLog, note_published, read_log
from sluice.publishing.changes import MartChange, Publication
from sluice.publishing.indexes import copy_indexes
from sluice.publishing.merging import (
    columns_of,
    index_changes,
    insert_all,
    merge_all,
    merge_changes,
)
from sluice.publishing.shape import Reshaping, Shape, create_table, reshape, shape_of
from sluice.registry.schedule import ApproveWhen
from sluice.settings import Settings
from sluice.warehouse.connections import advisory_key, connect
from sluice.warehouse.failures import retriable_failures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """How one mart is published.

    Attributes:
        mart: its name.
        candidate: the shape that it shall have.
        reshaping: what makes the published table have it; None where there is no such table.
        log: what has changed; None where only a look at all rows can tell.
    """

    mart: str
    candidate: Shape
    reshaping: Reshaping | None
    log: ChangeLog | None


@dataclass(frozen=True)
class _Build:
    """What a transformation has built and tested.

    Attributes:
        pipeline: whose.
        transformation_id: its id.
        marts: the marts with their keys.
        loads: the loads that it was frozen on.
    """

    pipeline: str
    transformation_id: int
    marts: Sequence[tuple[str, tuple[str, ...]]]
    loads: Sequence[int]


def publish(
    settings: Settings,
    pipeline: str,
    transformation_id: int,
    approve_when: ApproveWhen | None = None,
) -> Publication:
    """Merge the candidate that a transformation built and tested into ``gold``.

    Repeating it for the same transformation finds the publication and changes nothing. Where a
    newer build has taken its place, that one is published: it began when this one had passed, so
    it contains all that this one did.

    Args:
        settings: the instance.
        pipeline: whose candidate.
        transformation_id: what built it.
        approve_when: how much it may change before a person has to approve it.

    Raises:
        HeldError: it would change more, and nobody has decided yet.
        TransformError: a person has refused it, or the transformation did not pass.
        BuiltOverError: a newer build has written over its candidate, and did not pass.
        ConfigError: a view of somebody's stands in the way of a changed column.
        RetriableError: the warehouse went away, or a lock was not to be had in time.
    """
    application = f"sluice publish {pipeline}"
    busy = f"Another run is building models of pipeline {pipeline}."
    with (
        retriable_failures(f"{pipeline} was published", lock=busy),
        connect(settings, "transformer", application_name=application) as connection,
    ):
        build = _tested_candidate(connection, pipeline, transformation_id)
        found: Publication | list[str] | None = _find(connection, build)
        if found is None:
            if approve_when and _is_approved(connection, build.transformation_id):
                approve_when = None
            found = _publish_or_hold(connection, build, approve_when)
    if not isinstance(found, Publication):
        raise HeldError(
            f"The publication of pipeline {pipeline} waits for approval:\n  " + "\n  ".join(found),
            f"Decide: ./sluice approve {pipeline}, or ./sluice refuse {pipeline}; in Airflow, at"
            " the task publish.",
        )
    _log(found)
    return found


def _publish_or_hold(
    connection: Connection, build: _Build, approve_when: ApproveWhen | None
) -> Publication | list[str]:
    """Publish; where that exceeds the limits, undo it and record why: the reasons."""
    names = [mart for mart, _ in build.marts] if approve_when else []
    before = approval.rows_published(connection, names)
    with connection.transaction() as attempt:
        changes = _publish_marts(connection, build.marts)
        found = approval.differences(changes, before) if approve_when else []
        reasons = approval.exceeded(approve_when, found) if approve_when else []
        if not reasons:
            return _record(connection, build, changes)
        raise Rollback(attempt)
    approval.hold(connection, build.pipeline, build.transformation_id, found, reasons)
    return reasons


def _log(published: Publication) -> None:
    for change in published.marts:
        logger.info(
            "gold.%s: %s inserted, %s updated, %s deleted%s",
            change.mart,
            change.rows_inserted,
            change.rows_updated,
            change.rows_deleted,
            "".join(f"; {what}" for what in change.schema_changes),
        )


def _is_approved(connection: Connection, transformation_id: int) -> bool:
    """Whether a person has approved the publication.

    Raises:
        TransformError: a person has refused it.
    """
    held = approval.find_held(connection, transformation_id)
    if held and held.decision == "refused":
        raise approval.refused_error(held)
    return held is not None and held.decision == "approved"


def _tested_candidate(connection: Connection, pipeline: str, transformation_id: int) -> _Build:
    """Lock the candidate against being built over: the one that has taken its place, if one has."""
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
    build = _Build(pipeline, transformation_id, keys, list(loads))
    newer = _find_newer(connection, build)
    if newer is None:
        return build
    newer_id, newer_status = newer
    if newer_status != "passed":  # running is one that was killed: it holds no lock any more
        what = "has failed" if newer_status == "failed" else "has not ended"
        raise BuiltOverError(
            f"The candidate of transformation {transformation_id} was built over by transformation"
            f" {newer_id}, which {what}. Gold is as it was.",
            "The loads stay pending: mend what was wrong there (./sluice status), then run the"
            " pipeline again.",
        )
    logger.info(
        "transformation %s has taken the place of %s, and contains all that it did",
        newer_id,
        transformation_id,
    )
    return _tested_candidate(connection, pipeline, newer_id)


def _find_newer(connection: Connection, build: _Build) -> tuple[int, str] | None:
    """The build that has taken the place of one: its id and status; None for what is published.

    The newest of those that gold contains, or else of those that may still come there.
    """
    row = connection.execute(
        f"""
        select transformations.transformation_id, status
        from ops.transformations
        left join ops.publications using (transformation_id)
        where transformations.pipeline = %(pipeline)s
            and transformation_id > %(build)s and {approval.HAS_BUILT}
            and not exists (select from ops.publications where transformation_id = %(build)s)
        order by publication_id desc nulls last, transformation_id desc
        limit 1
        """,  # noqa: S608
        {"pipeline": build.pipeline, "build": build.transformation_id},
    ).fetchone()
    return row and (row[0], row[1])


def _publish_marts(
    connection: Connection, marts: Sequence[tuple[str, tuple[str, ...]]]
) -> list[MartChange]:
    """Publish each mart, those that are altered last: from there on their readers wait."""
    plans: list[_Plan] = []
    for mart, key in marts:
        log = read_log(connection, mart)
        built = shape_of(connection, "gold_audit", mart)
        if built is None:
            raise InternalError(f"gold_audit.{mart} is missing, though its build passed.")
        candidate = Shape(built.columns, key)
        published = shape_of(connection, "gold", mart)
        reshaping = Reshaping.between(published, candidate) if published else None
        plans.append(_Plan(mart, candidate, reshaping, log))
    plans.sort(key=lambda plan: bool(plan.reshaping and plan.reshaping.changes))
    changes = []
    for plan in plans:
        changes.append(_publish_mart(connection, plan))
        if plan.log:
            index_changes(connection, plan.mart, plan.candidate, plan.log)
            note_published(connection, plan.log)
        copy_indexes(connection, plan.mart)
    return sorted(changes, key=lambda change: change.mart)


def _publish_mart(connection: Connection, plan: _Plan) -> MartChange:
    mart, candidate, reshaping = plan.mart, plan.candidate, plan.reshaping
    if reshaping is None:
        create_table(connection, mart, candidate)
        return MartChange(mart, insert_all(connection, mart, candidate), 0, 0, ("table created",))
    if reshaping.changes:
        reshape(connection, mart, reshaping)
    if reshaping.key_changes:
        table = Identifier("gold", mart)
        deleted = connection.execute(SQL("delete from {}").format(table)).rowcount
        inserted = insert_all(connection, mart, candidate)
        connection.execute(
            SQL("alter table {} add primary key ({})").format(table, columns_of(candidate.key))
        )
        return MartChange(mart, inserted, 0, deleted, reshaping.changes)
    if plan.log and plan.log.published is not None and not reshaping.changes:
        counts = merge_changes(connection, mart, candidate, plan.log)
    else:
        counts = merge_all(connection, mart, candidate)
    return MartChange(
        mart,
        counts.get("INSERT", 0),
        counts.get("UPDATE", 0),
        counts.get("DELETE", 0),
        reshaping.changes,
    )


def _record(connection: Connection, build: _Build, changes: Sequence[MartChange]) -> Publication:
    row = connection.execute(
        """
        insert into ops.publications (pipeline, transformation_id) values (%s, %s)
        returning publication_id
        """,
        (build.pipeline, build.transformation_id),
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
            (build.pipeline, list(build.loads), publication_id),
        )
    return Publication(publication_id, build.pipeline, tuple(changes), len(build.loads))


def _find(connection: Connection, build: _Build) -> Publication | None:
    """The publication of a build, if an earlier attempt or another run made it."""
    rows = connection.execute(
        """
        select publication_id, mart, rows_inserted, rows_updated, rows_deleted, schema_changes
        from ops.publications
        join ops.published_marts using (publication_id)
        where transformation_id = %s
        order by mart
        """,
        (build.transformation_id,),
    ).fetchall()
    if not rows:
        return None
    changes = tuple(
        MartChange(mart, inserted, updated, deleted, tuple(schema_changes))
        for _, mart, inserted, updated, deleted, schema_changes in rows
    )
    return Publication(rows[0][0], build.pipeline, changes, len(build.loads))
