"""The columns and key of a mart, and the changes that make the published table like the candidate.

Changes are made in place, by dropping and adding columns. A table that is rewritten or made anew
looks empty to a reader whose snapshot is older than the change; one that is altered does not
(PostgreSQL's manual, "Caveats" of concurrency control; docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection, errors
from psycopg.sql import SQL, Composed, Identifier, Literal

from sluice.errors import ConfigError, InternalError, RetriableError
from sluice.warehouse.catalog import table_columns

# An ALTER that waits makes every new reader of the mart wait behind it: better to come again.
ALTER_LOCK_TIMEOUT = "2s"


@dataclass(frozen=True)
class Shape:
    """A table's columns with their types, in order, and its primary key."""

    columns: Mapping[str, str]
    key: tuple[str, ...]


def shape_of(connection: Connection, schema: str, table: str) -> Shape | None:
    """The shape of a table; None where there is no such table."""
    columns = table_columns(connection, schema, table)
    if not columns:
        return None
    key = connection.execute(
        """
        select attname
        from pg_constraint
        cross join unnest(conkey) with ordinality as member (attnum, place)
        join pg_attribute on attrelid = conrelid and pg_attribute.attnum = member.attnum
        where conrelid = to_regclass(%s) and contype = 'p'
        order by place
        """,
        (f'"{schema}"."{table}"',),
    ).fetchall()
    return Shape(columns, tuple(name for (name,) in key))


def create_table(connection: Connection, mart: str, shape: Shape) -> None:
    """Make the published table of a mart that has none, empty, with its key.

    The candidate's NOT NULL is not taken over: it was tested there, and would stand in the way
    once the contract is relaxed.
    """
    columns = [_definition(name, data_type) for name, data_type in shape.columns.items()]
    connection.execute(
        SQL("create table {} ({}, primary key ({}))").format(
            Identifier("gold", mart),
            SQL(", ").join(columns),
            SQL(", ").join(map(Identifier, shape.key)),
        )
    )


def _definition(name: str, data_type: str) -> Composed:
    # The type is PostgreSQL's own spelling of the candidate's.
    return SQL("{} {}").format(Identifier(name), SQL(data_type))


@dataclass(frozen=True)
class Reshaping:
    """What has to change in a published table.

    Attributes:
        dropped: columns to drop, those of a changed type among them.
        added: columns to add, with their types, those of a changed type among them.
        key_changes: whether rows can no longer be matched by the key that is there.
        old_key: the columns of the key that is there.
        changes: the changes in words, for the ledger.
    """

    dropped: tuple[str, ...]
    added: Mapping[str, str]
    key_changes: bool
    old_key: tuple[str, ...]
    changes: tuple[str, ...]

    @classmethod
    def between(cls, published: Shape, candidate: Shape) -> Reshaping:
        """What makes ``published`` like ``candidate``."""
        retyped = [
            name
            for name, data_type in candidate.columns.items()
            if name in published.columns and published.columns[name] != data_type
        ]
        gone = [name for name in published.columns if name not in candidate.columns]
        new = [name for name in candidate.columns if name not in published.columns]
        key_changes = published.key != candidate.key or bool({*retyped, *gone} & {*published.key})
        changes = [f"column {name} added" for name in new]
        changes += [f"column {name} dropped" for name in gone]
        changes += [
            f"column {name} changed from {published.columns[name]} to {candidate.columns[name]}"
            for name in retyped
        ]
        if published.key != candidate.key:
            changes.append(f"key changed to {', '.join(candidate.key)}")
        return cls(
            dropped=(*gone, *retyped),
            added={name: candidate.columns[name] for name in (*new, *retyped)},
            key_changes=key_changes,
            old_key=published.key,
            changes=tuple(changes),
        )


def reshape(connection: Connection, mart: str, reshaping: Reshaping) -> None:
    """Alter the published table; where the key changes, it is left without one.

    Raises:
        ConfigError: a view that somebody built on the mart reads what would be dropped.
        RetriableError: a reader holds the mart for longer than others may be made to wait.
    """
    table = Identifier("gold", mart)
    actions = [SQL("drop column {}").format(Identifier(name)) for name in reshaping.dropped]
    actions += [
        SQL("add column {}").format(_definition(name, data_type))
        for name, data_type in reshaping.added.items()
    ]
    if reshaping.key_changes:
        actions.insert(0, SQL("drop constraint {}").format(_key_constraint(connection, mart)))
        actions += [
            SQL("alter column {} drop not null").format(Identifier(name))
            for name in reshaping.old_key
            if name not in reshaping.dropped
        ]
    try:
        with connection.transaction():
            connection.execute(
                SQL("set local lock_timeout = {}").format(Literal(ALTER_LOCK_TIMEOUT))
            )
            connection.execute(SQL("alter table {} {}").format(table, SQL(", ").join(actions)))
    except errors.DependentObjectsStillExist:
        raise _view_in_the_way(connection, mart, reshaping) from None
    except errors.LockNotAvailable:
        raise RetriableError(
            f"gold.{mart} has to be altered ({'; '.join(reshaping.changes)}), but a transaction"
            f" of a reader holds it for longer than {ALTER_LOCK_TIMEOUT}.",
            "It is tried again; end the transaction that has been open for long.",
        ) from None


def _key_constraint(connection: Connection, mart: str) -> Identifier:
    row = connection.execute(
        "select conname from pg_constraint where conrelid = to_regclass(%s) and contype = 'p'",
        (f'gold."{mart}"',),
    ).fetchone()
    if row is None:
        raise InternalError(f"gold.{mart} has no primary key.")
    return Identifier(row[0])


def _view_in_the_way(connection: Connection, mart: str, reshaping: Reshaping) -> ConfigError:
    rows = connection.execute(
        """
        select distinct ev_class::regclass::text, relkind
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = pg_depend.objid
        join pg_class on pg_class.oid = pg_rewrite.ev_class
        where classid = 'pg_rewrite'::regclass and refobjid = to_regclass(%s)
            and ev_class <> refobjid
        order by 1
        """,
        (f'gold."{mart}"',),
    ).fetchall()
    views = [name for name, _ in rows]
    drops = " ".join(
        f"drop {'materialized ' if kind == 'm' else ''}view {name};" for name, kind in rows
    )
    return ConfigError(
        f"gold.{mart} cannot be published ({'; '.join(reshaping.changes)}), because"
        f" {' and '.join(views) or 'another object'} reads it. Gold is as it was.",
        f"Drop what reads it, publish again, and make it anew: {drops}".rstrip(),
    )
