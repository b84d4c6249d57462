"""The lock on a source: who holds it, and what becomes of a holder that hangs.

The lock belongs to a session of PostgreSQL, so it ends with the process that took it, with its
connection, or with the server. What is left is a holder that lives and does nothing: a stopped
process, or one that waits for a disk that has gone. Inside COPY neither a timeout nor
``pg_cancel_backend`` ends it, only ``pg_terminate_backend`` does, which rolls its load back.

That is done when two things hold. The holder is an earlier attempt of the same task of the
orchestrator, which runs one attempt at a time and so has given that one up. And it hangs: the
server waits for it and has heard nothing of it, no statement and no byte, for ``HANG_SECONDS``.
Nobody else's work is ever ended; who waits for it in vain is told whose it is.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from sluice.errors import RetriableError
from sluice.settings import Settings
from sluice.warehouse.connections import source_lock_key

logger = logging.getLogger(__name__)

# How long a given-up attempt must be silent. An attempt that lives is silent while it hashes or
# moves a large file; if it is ended there nothing is lost, as each move can be repeated.
HANG_SECONDS = 10.0
# How often who waits looks at the holder. Between two looks it waits in PostgreSQL's own queue.
LOOK_SECONDS = 5.0
# How long ending a backend may take.
END_MILLISECONDS = 10_000

_HOLDER = """
    select
        activity.pid,
        activity.backend_start,
        activity.application_name,
        activity.wait_event_type is not distinct from 'Client' as waits_for_client,
        greatest(activity.query_start, activity.state_change) as last_heard_at,
        coalesce(progress.bytes_processed, 0) as bytes_copied,
        coalesce(attempts.client, host(activity.client_addr), 'this machine') as client,
        attempts.task,
        attempts.started_at
    from pg_locks
    join pg_stat_activity as activity using (pid)
    left join pg_stat_progress_copy as progress using (pid)
    left join ops.attempts on attempts.source = %(source)s
        and attempts.backend_pid = activity.pid
        and attempts.backend_start = activity.backend_start
    where locktype = 'advisory' and granted and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())
        and ((classid::bigint << 32) | objid::bigint) = %(key)s
"""
_NOTE = """
    insert into ops.attempts (source, backend_pid, backend_start, client, task)
    select %s, pid, backend_start, %s, %s from pg_stat_activity where pid = pg_backend_pid()
    on conflict (source) do update set
        backend_pid = excluded.backend_pid, backend_start = excluded.backend_start,
        client = excluded.client, task = excluded.task, started_at = clock_timestamp()
"""


@dataclass(frozen=True)
class Holder:
    """Who holds a source's lock, at one moment.

    Attributes:
        pid: its backend in PostgreSQL.
        backend_start: when that began; with the pid, it is the same backend for certain.
        application_name: what it calls itself.
        waits_for_client: whether the server waits for it, not it for the server.
        last_heard_at: when its last statement began or ended; None where that may not be known.
        bytes_copied: how much of its COPY has arrived.
        client: the machine, and the process where it is known.
        task: the orchestrator's task that it is an attempt of, if it is one.
        started_at: when it took the lock, if that is known.
    """

    pid: int
    backend_start: datetime | None
    application_name: str
    waits_for_client: bool
    last_heard_at: datetime | None
    bytes_copied: int
    client: str
    task: str | None
    started_at: datetime | None

    @property
    def words(self) -> str:
        """Who it is, in words."""
        task = f", task {self.task}" if self.task else ""
        since = f", since {self.started_at:%Y-%m-%d %H:%M:%S} UTC" if self.started_at else ""
        return f"{self.application_name} on {self.client}{task}{since}"


@contextmanager
def hold_source(
    connection: Connection, settings: Settings, source: str, *, task: str | None = None
) -> Iterator[None]:
    """Hold a source's lock: nobody else changes its bronze table meanwhile.

    Args:
        connection: the loader's, in autocommit; the lock is its session's.
        settings: they say how long to wait for another holder.
        source: the source's name.
        task: the orchestrator's name for this work, where it runs one attempt of it at a time:
            an earlier attempt of the same name that hangs is ended.

    Raises:
        RetriableError: another one holds it for too long; names it.
    """
    _notice_lost_clients(connection)
    _take(connection, settings, source, task)
    client = f"{socket.gethostname()} (process {os.getpid()})"
    connection.execute(_NOTE, (source, client, task))
    try:
        yield
    finally:
        if connection.info.transaction_status == TransactionStatus.IDLE:  # else it is lost
            connection.execute(
                "delete from ops.attempts where source = %s and backend_pid = pg_backend_pid()",
                (source,),
            )
            connection.execute("select pg_advisory_unlock(%s)", (source_lock_key(source),))


def holder_of(connection: Connection, source: str) -> Holder | None:
    """Who holds a source's lock; None where nobody does."""
    with connection.cursor(row_factory=class_row(Holder)) as cursor:
        parameters = {"source": source, "key": source_lock_key(source)}
        return cursor.execute(_HOLDER, parameters).fetchone()


def _notice_lost_clients(connection: Connection) -> None:
    """Let the server end a long statement whose client has gone, instead of finishing it."""
    try:
        connection.execute("set client_connection_check_interval = '10s'")
    except psycopg.errors.InvalidParameterValue:
        logger.debug("the server's system cannot notice that a client has gone")


def _take(connection: Connection, settings: Settings, source: str, task: str | None) -> None:
    give_up_at = time.monotonic() + settings.lock_timeout_seconds
    before: Holder | None = None
    silent_since = time.monotonic()
    while not _wait(connection, source, min(LOOK_SECONDS, give_up_at - time.monotonic())):
        holder = holder_of(connection, source)
        if holder != before or holder is None or not holder.waits_for_client:
            before, silent_since = holder, time.monotonic()
        silence = time.monotonic() - silent_since
        if holder and task and holder.task == task and silence >= HANG_SECONDS:
            _end(connection, source, holder)
        elif time.monotonic() >= give_up_at:
            raise _busy(source, holder, silence)


def _wait(connection: Connection, source: str, seconds: float) -> bool:
    """Wait in the lock's queue for so long; whether it is ours."""
    milliseconds = max(1, int(seconds * 1000))
    try:
        with connection.transaction():
            connection.execute(
                "select set_config('lock_timeout', %s, true)", (f"{milliseconds}ms",)
            )
            # A lock of the session: it outlives this transaction.
            connection.execute("select pg_advisory_lock(%s)", (source_lock_key(source),))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _end(connection: Connection, source: str, holder: Holder) -> None:
    logger.warning(
        "%s: ending an earlier attempt of this task, which hangs: %s", source, holder.words
    )
    connection.execute(
        """
        select pg_terminate_backend(pid, %s) from pg_stat_activity
        where pid = %s and backend_start = %s
        """,
        (END_MILLISECONDS, holder.pid, holder.backend_start),
    )


def _busy(source: str, holder: Holder | None, silent_seconds: float) -> RetriableError:
    message = f"Another load of source {source} is under way"
    if holder is None:
        return RetriableError(f"{message}.", "It is tried again.")
    silence = ""
    if holder.waits_for_client and silent_seconds >= HANG_SECONDS:
        silence = f"; it has done nothing for {silent_seconds:.0f} s"
    return RetriableError(
        f"{message}: {holder.words}{silence}.",
        "It is tried again. If that one hangs, end it; its load is rolled back: ./sluice psql"
        f' --role loader -c "select pg_terminate_backend({holder.pid})"',
    )
