"""The rows of a candidate into the published table: all of them, or those that have changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import Connection
from psycopg.sql import SQL, Composable, Composed, Identifier

from sluice.publishing.change_log import ChangeLog
from sluice.publishing.shape import Shape

_MERGE: LiteralString = """
    with merged as (
        merge into {published} as published
        using {candidate} as candidate on {matching}
        {update}
        when not matched then insert ({columns}) values ({candidate_columns})
        {delete}
        returning merge_action() as action
    )
    select action, count(*) from merged group by action
"""

_CHANGED: LiteralString = """
    create temporary table {changed} on commit drop as
    select {columns}, bool_or(_change < 0) as has_gone, bool_or(_change > 0) as has_come
    from {log} where _change_id > %s
    group by {columns}
"""

_DELETE: LiteralString = """
    delete from {published} as published using {changed} as changed
    where changed.has_gone and {same_change} and not exists (
        select from {candidate} as candidate where {matching}
    )
"""

_LONGEST_NAME = 63


def insert_all(connection: Connection, mart: str, shape: Shape) -> int:
    """Fill a published table that is empty; how many rows."""
    query = SQL("insert into {} ({}) select {} from {}").format(
        Identifier("gold", mart),
        columns_of(shape.columns),
        columns_of(shape.columns),
        Identifier("gold_audit", mart),
    )
    return connection.execute(query).rowcount


def merge_all(connection: Connection, mart: str, shape: Shape) -> dict[str, int]:
    """Make the published rows equal to the candidate's, touching those that differ only.

    Returns:
        How many rows by what was done: INSERT, UPDATE, DELETE.
    """
    return _merge(
        connection,
        mart,
        shape,
        Identifier("gold_audit", mart),
        SQL("when not matched by source then delete"),
    )


def merge_changes(
    connection: Connection, mart: str, shape: Shape, log: ChangeLog
) -> dict[str, int]:
    """Do the same, looking only at the rows that the log says have changed.

    A row leaves gold where its value in the log's columns has gone, and its key is no longer in
    the candidate; rows of a value that has come are merged. All others are as they were published.
    """
    if log.latest == log.published:
        return {}
    changed = Identifier("changed_rows")
    candidate = Identifier("gold_audit", mart)
    connection.execute(
        SQL(_CHANGED).format(changed=changed, columns=columns_of(log.columns), log=log.table),
        (log.published,),
    )
    # With its statistics the planner knows whether few rows are to be looked up or most of them.
    connection.execute(SQL("analyze {}").format(changed))
    deleted = connection.execute(
        SQL(_DELETE).format(
            published=Identifier("gold", mart),
            changed=changed,
            same_change=_equal(log.columns, "published", "changed"),
            candidate=candidate,
            matching=_equal(shape.key, "published", "candidate"),
        )
    ).rowcount
    come = SQL(
        "(select candidate.* from {} as candidate join {} as changed on {} where changed.has_come)"
    ).format(candidate, changed, _equal(log.columns, "candidate", "changed"))
    counts = _merge(connection, mart, shape, come, SQL(""))
    connection.execute(SQL("drop table {}").format(changed))
    return {**counts, "DELETE": deleted}


def index_changes(connection: Connection, mart: str, shape: Shape, log: ChangeLog) -> None:
    """Have an index find the published rows of what has gone, where the key's does not."""
    if shape.key[: len(log.columns)] == log.columns:
        return
    name = f"{mart}__by_{'_'.join(log.columns)}"[:_LONGEST_NAME]
    connection.execute(
        SQL("create index if not exists {} on {} ({})").format(
            Identifier(name), Identifier("gold", mart), columns_of(log.columns)
        )
    )


def columns_of(names: Iterable[str], table: str | None = None) -> Composed:
    """The names as a list in SQL, each below its table where one is given."""
    parts = [Identifier(table, name) if table else Identifier(name) for name in names]
    return SQL(", ").join(parts)


def _merge(
    connection: Connection, mart: str, shape: Shape, candidate: Composable, delete: SQL
) -> dict[str, int]:
    values = [name for name in shape.columns if name not in shape.key]
    update = SQL("when matched and ({}) is distinct from ({}) then update set {}").format(
        columns_of(values, "published"),
        columns_of(values, "candidate"),
        SQL(", ").join(
            SQL("{} = {}").format(Identifier(name), Identifier("candidate", name))
            for name in values
        ),
    )
    query = SQL(_MERGE).format(
        published=Identifier("gold", mart),
        candidate=candidate,
        matching=_equal(shape.key, "published", "candidate"),
        update=update if values else SQL(""),
        columns=columns_of(shape.columns),
        candidate_columns=columns_of(shape.columns, "candidate"),
        delete=delete,
    )
    return dict(connection.execute(query).fetchall())


def _equal(columns: Iterable[str], one: str, other: str) -> Composed:
    return SQL(" and ").join(
        SQL("{} = {}").format(Identifier(one, name), Identifier(other, name)) for name in columns
    )
