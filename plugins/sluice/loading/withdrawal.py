"""A file's rows back out of bronze: one transaction, recorded like a load."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from psycopg import Connection

from sluice.errors import ConfigError, printable
from sluice.landing.zone import ledger_name
from sluice.loading.table import delete_loads
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import retriable_failures
from sluice.warehouse.fencing import hold_source

logger = logging.getLogger(__name__)

# How many of a source's newest names are looked through for one that is like a mistyped one.
NAMES_LOOKED_AT = 5_000


@dataclass(frozen=True)
class InBronze:
    """What a withdrawal would take out.

    Attributes:
        source: the source's name.
        file_name: the file, as the ledger writes its name.
        load_ids: the loads that brought its rows, ascending.
        rows: how many rows they brought.
        loaded_at: when the newest of them was loaded.
    """

    source: str
    file_name: str
    load_ids: tuple[int, ...]
    rows: int
    loaded_at: datetime

    @property
    def newest_load_id(self) -> int:
        """The newest of these loads."""
        return self.load_ids[-1]


def find_file(settings: Settings, source: Source, file_name: str) -> InBronze:
    """What is in bronze of a file; changes nothing.

    Args:
        settings: the instance.
        source: whose file.
        file_name: its name, as the sender wrote it or as the ledger does.

    Raises:
        ConfigError: no rows of such a file are in bronze; says why, and which names are like it.
        RetriableError: the warehouse is away.
    """
    activity = f"{source.name} was looked up"
    application = f"sluice withdraw {source.name}"
    with (
        retriable_failures(activity, lock="The ledger is locked."),
        connect(settings, "loader", application_name=application) as connection,
    ):
        return _find(connection, source, file_name)


def withdraw(
    settings: Settings,
    source: Source,
    file_name: str,
    *,
    load_id: int | None = None,
    task: str | None = None,
) -> ledger.Entry:
    """Take a file's rows out of bronze, and record it.

    The delivered bytes stay in the archive, and the loads in the ledger. Pipelines see the
    withdrawal as a pending load: silver and gold follow with their next run. The file is then
    unknown: delivered again, under this or another name, it is loaded as a new one.

    Args:
        settings: the instance.
        source: whose file.
        file_name: its name, as the sender wrote it or as the ledger does.
        load_id: the newest load of the file whose rows are in bronze, as whoever asked for it has
            seen; whichever it is where None.
        task: see ``hold_source``.

    Returns:
        The withdrawal's entry in the ledger; ``rows_replaced`` says how many rows went.

    Raises:
        ConfigError: no rows of such a file are in bronze; says why, and which names are like it.
            Or another load of the file is the newest by now.
        RetriableError: the warehouse went away, or a load of the source holds its lock.
    """
    started_at = datetime.now(UTC)
    application = f"sluice withdraw {source.name}"
    with (
        retriable_failures(
            f"{source.name} was changed", lock=f"bronze.{source.name} is locked by somebody."
        ),
        connect(settings, "loader", application_name=application, autocommit=True) as connection,
        hold_source(connection, settings, source.name, task=task),
    ):
        ledger.keep_load_ids_ascending(connection)
        with connection.transaction():
            found = _find(connection, source, file_name)
            if load_id is not None and load_id != found.newest_load_id:
                raise _another(found, load_id)
            entry = _withdraw(connection, source, found, started_at)
    logger.info(
        "%s/%s: withdrew %s rows as load %s",
        source.name,
        printable(entry.file_name),
        entry.rows_replaced,
        entry.load_id,
    )
    return entry


def was_withdrawn(settings: Settings, source: Source, file_name: str, since: datetime) -> bool:
    """Whether the last that befell a file is a withdrawal that began at a moment or later.

    Args:
        settings: the instance.
        source: whose file.
        file_name: its name, as the sender wrote it or as the ledger does.
        since: the moment.

    Raises:
        RetriableError: the warehouse is away.
    """
    activity = f"{source.name} was looked up"
    application = f"sluice withdraw {source.name}"
    with (
        retriable_failures(activity, lock="The ledger is locked."),
        connect(settings, "loader", application_name=application) as connection,
    ):
        row = connection.execute(
            """
            select loads.outcome = 'withdrawn' and loads.started_at >= %s
            from ops.files
            join ops.loads using (file_id)
            where files.source = %s and files.file_name = any(%s)
            order by loads.load_id desc limit 1
            """,
            (since, source.name, [ledger_name(file_name), file_name]),
        ).fetchone()
    return bool(row and row[0])


def _withdraw(
    connection: Connection, source: Source, found: InBronze, started_at: datetime
) -> ledger.Entry:
    load_id, _ = ledger.begin_load(connection)
    newest = ledger.current_loads(connection, source.name, found.file_name)[-1]
    known = ledger.Known("withdrawal", takes_out=found.load_ids, part=newest.part)
    rows = delete_loads(connection, source, found.load_ids)
    size = connection.execute(
        "select content_bytes from ops.loads where load_id = %s", (newest.load_id,)
    ).fetchone()
    entry = ledger.Entry(
        load_id=load_id,
        source=source.name,
        file_name=found.file_name,
        content_sha256=newest.content_sha256,
        content_bytes=size[0] if size else 0,
        outcome="withdrawn",
        delivery_kind="withdrawal",
        started_at=started_at,
        replaces_load_id=known.replaces_load_id,
        rows_replaced=rows,
    )
    ledger.record(connection, entry, known)
    return entry


def _find(connection: Connection, source: Source, file_name: str) -> InBronze:
    for name in dict.fromkeys((ledger_name(file_name), file_name)):
        loads = sorted(load.load_id for load in ledger.current_loads(connection, source.name, name))
        if loads:
            row = connection.execute(
                "select sum(rows_loaded)::bigint, max(loaded_at) from ops.loads"
                " where load_id = any(%s)",
                (loads,),
            ).fetchone() or (0, datetime.now(UTC))
            return InBronze(source.name, name, tuple(loads), *row)
    raise _not_there(connection, source, file_name)


def _another(found: InBronze, load_id: int) -> ConfigError:
    """That a withdrawal was asked for before the file's newest load came, or on an older one."""
    newest = found.newest_load_id
    return ConfigError(
        f"The newest rows of {printable(found.file_name)} in bronze.{found.source} are of load"
        f" {newest}, and the withdrawal was asked for on load {load_id}. Nothing was taken out.",
        f"Look at load {newest}, and withdraw the file then if it is to go all the same.",
    )


def _not_there(connection: Connection, source: Source, file_name: str) -> ConfigError:
    """Why there is nothing to withdraw."""
    shown = printable(file_name)
    last = connection.execute(
        """
        select loads.outcome, loads.load_id, other.file_name
        from ops.files
        join ops.loads using (file_id)
        left join ops.loads as other on other.load_id = loads.duplicate_of_load_id
        where files.source = %s and files.file_name = any(%s)
        order by loads.load_id desc limit 1
        """,
        (source.name, [ledger_name(file_name), file_name]),
    ).fetchone()
    if last is None:
        return ConfigError(
            f"No file {shown} of source {source.name} was ever delivered.",
            names_like(connection, source, file_name),
        )
    outcome, load_id, other = last
    reasons = {
        "withdrawn": f"load {load_id} withdrew it already",
        "rejected": f"it was rejected (load {load_id}), and no row of it was loaded",
        "skipped": f"its bytes are those of {printable(other or '')}, as load {load_id} says:"
        " withdraw that one",
        "loaded": "a newer file has taken its place, as write_disposition is replace",
    }
    return ConfigError(f"No row of {shown} is in bronze.{source.name}: {reasons[outcome]}.")


def names_like(connection: Connection, source: Source, file_name: str) -> str:
    """What to say where there is no such file: delivered names that are like it."""
    names = connection.execute(
        """
        select distinct file_name from (
            select file_name from ops.loads where source = %s order by load_id desc limit %s
        ) as newest
        """,
        (source.name, NAMES_LOOKED_AT),
    ).fetchall()
    near = get_close_matches(ledger_name(file_name), [name for (name,) in names], n=3)
    if near:
        return f"Did you mean {' or '.join(printable(name) for name in near)}?"
    return f"Names of its files: see ops.files, or data/archive/{source.name}/."
