"""The ledger of loads: what is known of a delivery, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import class_row

from sluice.errors import DeliveryError, InternalError
from sluice.warehouse.connections import advisory_key

DeliveryKind = Literal["new", "same_again", "correction", "redelivery"]
Outcome = Literal["loaded", "skipped", "rejected"]


@dataclass(frozen=True)
class Known:
    """What the ledger says of a delivery.

    Attributes:
        kind: which of the four cases it is.
        replaces_load_id: the load whose rows a correction takes the place of.
        duplicate_of_load_id: the load that brought the same bytes before.
    """

    kind: DeliveryKind
    replaces_load_id: int | None = None
    duplicate_of_load_id: int | None = None

    @property
    def is_to_load(self) -> bool:
        """Whether its rows are not in bronze yet."""
        return self.kind in ("new", "correction")


@dataclass(frozen=True)
class Entry:
    """One row of ``ops.loads``: an attempt that ended."""

    load_id: int
    source: str
    file_name: str
    content_sha256: str
    content_bytes: int
    outcome: Outcome
    delivery_kind: DeliveryKind
    started_at: datetime
    replaces_load_id: int | None = None
    duplicate_of_load_id: int | None = None
    rows_loaded: int = 0
    rows_replaced: int = 0
    reject_code: str | None = None
    reject_reason: str | None = None
    reject_record: int | None = None
    reject_column: str | None = None
    stored_path: str | None = None


ENTRY_COLUMNS = ", ".join(Entry.__dataclass_fields__)


def begin_load(connection: Connection) -> tuple[int, date]:
    """The id of the load that the open transaction is, and its day in UTC."""
    row = connection.execute("select ops.current_load_id(), now()::date").fetchone()
    if row is None:
        raise InternalError("PostgreSQL gave no load id.")
    return row[0], row[1]


def keep_load_ids_ascending(connection: Connection) -> None:
    """Raise the number that makes load ids of transaction ids, where that is needed.

    After a restore on another server, transaction ids start low again; no load may ever get the
    id of another. The connection is in autocommit.
    """
    if _missing_offset(connection) is None:
        return
    with connection.transaction():
        # One at a time: two that replace the function at once would fail.
        key = advisory_key("ledger", "load_ids")
        connection.execute("select pg_advisory_xact_lock(%s)", (key,))
        offset = _missing_offset(connection)
        if offset is not None:
            connection.execute(
                "create or replace function ops.current_load_id() returns bigint"
                f" language sql stable parallel safe return txid_current() + {offset}"
            )


def _missing_offset(connection: Connection) -> int | None:
    """None where the next load id is above all others, else the number to add for that.

    The snapshot of the statement is older than the id that it assigns, so every load that it sees
    has a lower one, unless the ids come from another server.
    """
    row = connection.execute(
        """
        select ops.current_load_id(), txid_current(),
            coalesce((select max(load_id) from ops.loads), 0)
        """
    ).fetchone()
    if row is None or row[0] > row[2]:
        return None
    return int(row[2] + 1 - row[1])


def bytes_may_be_known(connection: Connection, source: str, size: int) -> bool:
    """Whether any load of the source had as many bytes: if none had, the content is new."""
    query = """
        select exists (
            select from ops.loads
            where source = %s and content_bytes = %s and outcome = 'loaded'
        )
    """
    row = connection.execute(query, (source, size)).fetchone()
    return bool(row and row[0])


def classify(connection: Connection, source: str, file_name: str, sha256: str | None) -> Known:
    """Which of the four cases a delivery is; ``sha256`` None stands for bytes never seen.

    A rejected delivery is not known: the same file may load once the registry is mended.
    """
    current = connection.execute(
        """
        select loads.load_id, loads.content_sha256
        from ops.files
        join ops.loads on loads.load_id = files.current_load_id
        where files.source = %s and files.file_name = %s
        """,
        (source, file_name),
    ).fetchone()
    if current and current[1] == sha256:
        return Known("same_again", duplicate_of_load_id=current[0])
    if current:
        return Known("correction", replaces_load_id=current[0])
    earlier = connection.execute(
        """
        select min(load_id) from ops.loads
        where source = %s and content_sha256 = %s and outcome = 'loaded'
        """,
        (source, sha256),
    ).fetchone()
    if earlier and earlier[0] is not None:
        return Known("redelivery", duplicate_of_load_id=earlier[0])
    return Known("new")


def record(connection: Connection, entry: Entry) -> None:
    """Write an entry, and point the file at its load where the load brought rows."""
    file_id = connection.execute(
        """
        insert into ops.files (source, file_name) values (%s, %s)
        on conflict (source, file_name) do update set source = excluded.source
        returning file_id
        """,
        (entry.source, entry.file_name),
    ).fetchone()
    values = [getattr(entry, name) for name in Entry.__dataclass_fields__]
    marks = ", ".join(["%s"] * (len(values) + 1))
    connection.execute(
        f"insert into ops.loads (file_id, {ENTRY_COLUMNS}) values ({marks})",  # noqa: S608
        [file_id and file_id[0], *values],
    )
    if entry.outcome == "loaded":
        connection.execute(
            "update ops.files set current_load_id = %s where source = %s and file_name = %s",
            (entry.load_id, entry.source, entry.file_name),
        )


def entries_to_store(connection: Connection, source: str) -> Sequence[Entry]:
    """The entries whose files were not moved to their place yet, oldest first."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            f"select {ENTRY_COLUMNS} from ops.loads"  # noqa: S608
            " where source = %s and stored_at is null order by load_id",
            (source,),
        ).fetchall()


def mark_stored(connection: Connection, load_id: int, *, is_gone: bool = False) -> None:
    """Record that a load's file is where ``stored_path`` says, or gone before it could be."""
    connection.execute(
        """
        update ops.loads
        set stored_at = clock_timestamp(), stored_path = case when %s then null else stored_path end
        where load_id = %s
        """,
        (is_gone, load_id),
    )


def reject_fields(error: DeliveryError) -> dict[str, str | int | None]:
    """What an entry says of the reason for a rejection."""
    reason = f"{error.message} {error.remedy}".strip()
    return {
        "reject_code": error.code,
        "reject_reason": reason,
        "reject_record": error.record,
        "reject_column": error.column,
    }
