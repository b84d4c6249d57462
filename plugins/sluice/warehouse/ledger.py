"""The ledger of loads: what is known of a delivery, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import class_row

from sluice.errors import DeliveryError

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
    """The id of the load that the open transaction is, and its day in UTC.

    After a restore on another server, transaction ids start low again; then the number that
    makes load ids of them is raised, once, so that no load ever gets the id of another.
    """
    query = """
        select ops.current_load_id(), now()::date,
            coalesce((select max(load_id) from ops.loads), 0)
    """
    # The snapshot of a statement is older than the id that it assigns, so every load that it
    # sees has a lower one, unless the ids come from another server.
    load_id, day, highest = connection.execute(query).fetchone() or (0, None, 0)
    if load_id <= highest:
        _raise_load_ids(connection, highest)
        load_id = connection.execute("select ops.current_load_id()").fetchone()[0]  # type: ignore[index]
    return load_id, day


def _raise_load_ids(connection: Connection, highest: int) -> None:
    transaction = connection.execute("select txid_current()").fetchone()
    offset = highest + 1 - (transaction[0] if transaction else 0)
    connection.execute(
        "create or replace function ops.current_load_id() returns bigint"
        f" language sql stable parallel safe return txid_current() + {int(offset)}"
    )


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
