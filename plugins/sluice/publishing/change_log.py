"""What a candidate's own log says has changed since it was published.

dbt's incremental models keep the log, ``gold_audit.<mart>__changes``: what went and what came with
each build, by the log's columns, such as the loads or the keys (dbt/macros/changes.sql). It says
everything as long as the candidate is the table that was published: a build in full makes another
one, of another generation, and a table that no log can vouch for has no generation at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from sluice.warehouse.catalog import table_columns

_OWN_COLUMNS = ("_change_id", "_change")


@dataclass(frozen=True)
class ChangeLog:
    """The log of a candidate.

    Attributes:
        mart: whose.
        columns: by which it tells rows; all rows of a changed value may have changed.
        generation: the build in full that made the candidate.
        latest: the last change in it.
        published: the last change that gold contains; None where it does not go back so far.
    """

    mart: str
    columns: tuple[str, ...]
    generation: str
    latest: int
    published: int | None

    @property
    def table(self) -> Identifier:
        """The log itself."""
        return Identifier("gold_audit", f"{self.mart}__changes")


def read_log(connection: Connection, mart: str) -> ChangeLog | None:
    """Find the log of a candidate, and keep builds out until the transaction ends.

    None where the candidate has none that tells everything.
    """
    row = connection.execute(
        "select substring(obj_description(to_regclass(%s), 'pg_class') from ' in run (.*)$')",
        (f'gold_audit."{mart}"',),
    ).fetchone()
    columns = table_columns(connection, "gold_audit", f"{mart}__changes")
    if row is None or row[0] is None or not columns:
        return None
    # A build by hand takes no advisory lock; what it did after the log was read would be lost.
    connection.execute(SQL("lock table {} in share mode").format(Identifier("gold_audit", mart)))
    table = Identifier("gold_audit", f"{mart}__changes")
    latest = connection.execute(
        SQL("select coalesce(max(_change_id), 0) from {}").format(table)
    ).fetchone()
    published = connection.execute(
        """
        select change_id from ops.change_readers
        where reader = %s and model = %s and generation = %s
        """,
        (f"gold.{mart}", f"gold_audit.{mart}", row[0]),
    ).fetchone()
    return ChangeLog(
        mart=mart,
        columns=tuple(name for name in columns if name not in _OWN_COLUMNS),
        generation=row[0],
        latest=max(latest[0] if latest else 0, published[0] if published else 0),
        published=published[0] if published else None,
    )


def note_published(connection: Connection, log: ChangeLog) -> None:
    """Record that gold contains everything that is in the log."""
    connection.execute(
        """
        insert into ops.change_readers (reader, model, generation, change_id)
        values (%s, %s, %s, %s)
        on conflict (reader, model) do update
        set generation = excluded.generation, change_id = excluded.change_id
        """,
        (f"gold.{log.mart}", f"gold_audit.{log.mart}", log.generation, log.latest),
    )
