"""The ledger of loads: what is known of a delivery, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import class_row

from sluice.errors import DeliveryError, InternalError
from sluice.registry import Source
from sluice.registry.file_names import say_the_same
from sluice.warehouse.connections import advisory_key
from sluice.warehouse.scopes import Scope, covers, union

DeliveryKind = Literal["new", "same_again", "extension", "correction", "redelivery", "withdrawal"]
Outcome = Literal["loaded", "skipped", "rejected", "withdrawn"]
Action = Literal["load", "skip", "fail"]


@dataclass(frozen=True)
class Known:
    """What the ledger says of a delivery, and what its source wants done with such a one.

    Attributes:
        kind: which of the cases it is.
        action: whether it is loaded, skipped as known, or rejected for being what it is.
        takes_out: the loads whose rows it takes the place of, ascending.
        duplicate_of_load_id: the load that brought the same bytes before.
        part: which of the file's parts its rows are; see ``ops.files.part``.
        filters: how much of it is to be loaded.
        is_known_in_part: whether it is rejected because of its bytes only a part is in bronze.
    """

    kind: DeliveryKind
    action: Action = "load"
    takes_out: tuple[int, ...] = ()
    duplicate_of_load_id: int | None = None
    part: int = 1
    filters: Scope = None
    is_known_in_part: bool = False

    @property
    def is_to_load(self) -> bool:
        """Whether its rows shall come into bronze."""
        return self.action == "load"

    @property
    def replaces_load_id(self) -> int | None:
        """The newest of the loads that it takes the place of."""
        return self.takes_out[-1] if self.takes_out else None


@dataclass(frozen=True)
class Current:
    """A load whose rows are in bronze.

    Attributes:
        load_id: the load.
        part: which part of its file it is.
        content_sha256: of the bytes that it brought.
        filters: how much of them it brought.
    """

    load_id: int
    part: int
    content_sha256: str
    filters: Sequence[str] | None = None

    @property
    def scope(self) -> Scope:
        """How much of its file is loaded."""
        return None if self.filters is None else tuple(self.filters)


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
    rows_rejected: int = 0
    reject_code: str | None = None
    reject_reason: str | None = None
    reject_record: int | None = None
    reject_column: str | None = None
    stored_path: str | None = None
    notes: list[str] = field(default_factory=list)
    file_columns: list[str] | None = None
    filters: list[str] | None = None
    rows_left_out: int = 0
    from_file_name: list[str] | None = None


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


def classify(
    connection: Connection,
    source: Source,
    file_name: str,
    sha256: str | None,
    wanted: Scope = None,
) -> Known:
    """Which of the cases a delivery is; ``sha256`` None stands for bytes never seen.

    The name is asked first, then the bytes: docs/adr/0004. A rejected delivery is not known, so
    that the same file may load once the registry is mended; nor is a withdrawn one. Where less
    than the whole file is ``wanted``, what was loaded of it before stays wanted: docs/adr/0010.
    """
    own = current_loads(connection, source.name, file_name)
    if source.write_disposition == "replace":
        return _classify_whole_truth(connection, source, file_name, own, sha256)
    same = [load for load in own if load.content_sha256 == sha256]
    if same:
        return _same_bytes(same[-1], wanted)
    if own and source.on_changed_file == "append":
        return Known("correction", part=own[-1].part + 1, filters=wanted)
    if own:
        scope = union(wanted, *(load.scope for load in own))
        return _correction(source, tuple(sorted(load.load_id for load in own)), scope)
    earlier = _loads_of_bytes(connection, source, file_name, sha256)
    if earlier:
        covering = [load for load in earlier if covers(load.scope, wanted)]
        is_in_part = source.on_duplicate_file == "skip" and not covering
        return Known(
            "redelivery",
            "fail" if is_in_part else source.on_duplicate_file,
            duplicate_of_load_id=(covering or earlier)[0].load_id,
            filters=wanted,
            is_known_in_part=is_in_part,
        )
    return Known("new", filters=wanted)


def _same_bytes(load: Current, wanted: Scope) -> Known:
    """A file again whose bytes are in bronze, as far as they were wanted."""
    if covers(load.scope, wanted):
        return Known("same_again", "skip", duplicate_of_load_id=load.load_id, filters=wanted)
    filters = union(load.scope, wanted)
    return Known("extension", takes_out=(load.load_id,), part=load.part, filters=filters)


def _classify_whole_truth(
    connection: Connection,
    source: Source,
    file_name: str,
    own: Sequence[Current],
    sha256: str | None,
) -> Known:
    """The same for a source whose newest delivery is all that there is.

    Known bytes are those in bronze: older ones become the truth again when they are delivered
    again.
    """
    truth = connection.execute(
        """
        select load_id, content_sha256, loads.file_name, from_file_name, file_columns
        from ops.files
        join ops.loads on load_id = current_load_id
        where files.source = %s and current_load_id is not null
        order by load_id
        """,
        (source.name,),
    ).fetchall()
    takes_out = tuple(load_id for load_id, *_ in truth)
    known = [content for _, content, *name in truth if say_the_same(source, file_name, *name)]
    if len(truth) == 1 and known == [sha256]:
        kind: DeliveryKind = "same_again" if own else "redelivery"
        action = "skip" if own else source.on_duplicate_file
        replaced = takes_out if action == "load" else ()
        return Known(kind, action, replaced, duplicate_of_load_id=takes_out[0])
    if own:
        return _correction(source, takes_out)
    earlier = _loads_of_bytes(connection, source, file_name, sha256)
    kind = "redelivery" if earlier else "new"
    first = earlier[0].load_id if earlier else None
    return Known(kind, takes_out=takes_out, duplicate_of_load_id=first)


def _correction(source: Source, takes_out: tuple[int, ...], filters: Scope = None) -> Known:
    if source.on_changed_file == "fail":
        return Known("correction", "fail", filters=filters)
    return Known("correction", takes_out=takes_out, filters=filters)


def current_loads(connection: Connection, source: str, file_name: str) -> list[Current]:
    """The loads of a file whose rows are in bronze, by part: one, unless changes are appended."""
    with connection.cursor(row_factory=class_row(Current)) as cursor:
        return cursor.execute(
            """
            select load_id, part, content_sha256, filters from ops.files
            join ops.loads on load_id = current_load_id
            where files.source = %s and files.file_name = %s
            order by part
            """,
            (source, file_name),
        ).fetchall()


def _loads_of_bytes(
    connection: Connection, source: Source, file_name: str, sha256: str | None
) -> list[Current]:
    """The loads that brought the same and were not withdrawn with their file since.

    The same are these bytes, under a name that says the same where the bytes do not say it.
    """
    if sha256 is None:
        return []
    loads = connection.execute(
        """
        select load_id, filters, file_name, from_file_name, file_columns from ops.loads
        where source = %s and content_sha256 = %s and outcome = 'loaded' and not exists (
            select from ops.loads as withdrawal
            where withdrawal.source = loads.source and withdrawal.file_name = loads.file_name
                and withdrawal.outcome = 'withdrawn' and withdrawal.load_id > loads.load_id
        )
        order by load_id
        """,
        (source.name, sha256),
    ).fetchall()
    return [
        Current(load_id, 1, sha256, filters)
        for load_id, filters, *name in loads
        if say_the_same(source, file_name, *name)
    ]


def record(connection: Connection, entry: Entry, known: Known | None = None) -> None:
    """Write an entry, and point the files at the loads whose rows are in bronze now.

    Args:
        connection: in the transaction that is the load.
        entry: what to write. A withdrawn file has no bytes to move, so nothing is left to do.
        known: which loads it takes the place of, and which part of its file it is.
    """
    part = known.part if known else 1
    file_id = connection.execute(
        """
        insert into ops.files (source, file_name, part) values (%s, %s, %s)
        on conflict (source, file_name, part) do update set source = excluded.source
        returning file_id
        """,
        (entry.source, entry.file_name, part),
    ).fetchone()
    values = [getattr(entry, name) for name in Entry.__dataclass_fields__]
    marks = ", ".join(["%s"] * (len(values) + 1))
    connection.execute(
        f"""
        insert into ops.loads (file_id, {ENTRY_COLUMNS}, stored_at)
        values ({marks}, case when %s then clock_timestamp() end)
        """,  # noqa: S608
        [file_id and file_id[0], *values, entry.outcome == "withdrawn"],
    )
    if entry.outcome not in ("loaded", "withdrawn"):
        return
    if known and known.takes_out:
        connection.execute(
            """
            update ops.files set current_load_id = null
            where source = %s and current_load_id = any(%s)
            """,
            (entry.source, list(known.takes_out)),
        )
    if entry.outcome == "loaded":
        connection.execute(
            "update ops.files set current_load_id = %s where file_id = %s",
            (entry.load_id, file_id and file_id[0]),
        )


def entries_to_store(connection: Connection, source: str) -> Sequence[Entry]:
    """The entries whose files were not moved to their place yet, oldest first."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            f"select {ENTRY_COLUMNS} from ops.loads"  # noqa: S608
            " where source = %s and stored_at is null order by load_id",
            (source,),
        ).fetchall()


def plan_moves(connection: Connection, paths: Mapping[int, str]) -> Sequence[Entry]:
    """Write where the files of loads go, before the first of them is moved.

    Args:
        connection: the loader's.
        paths: the ``stored_path`` of each load, by its id.

    Returns:
        The entries as they are now, oldest first.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(Entry)) as cursor:
        cursor.executemany(
            "update ops.loads set stored_path = %s where load_id = %s and stored_at is null",
            [(path, load_id) for load_id, path in paths.items()],
        )
        return cursor.execute(
            f"select {ENTRY_COLUMNS} from ops.loads"  # noqa: S608
            " where load_id = any(%s) order by load_id",
            (list(paths),),
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
