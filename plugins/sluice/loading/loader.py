"""One load = one transaction; then the file moves. The order of the steps is the promise.

1. the source's lock; 2. unfinished moves of earlier attempts; then, for each delivery,
3. which case it is, 4. in one transaction: old rows out, new rows in, checks, ledger; 5. the move.
Killed at any point, the next run finds either no trace of the attempt or a ledger entry whose
file has still to be moved, and goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from psycopg import Connection

from sluice.errors import DeliveryError, RetriableError, printable
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.zone import Delivery, list_deliveries
from sluice.loading import storing
from sluice.loading.checks import run_checks
from sluice.loading.copying import copy_csv
from sluice.loading.table import delete_load, ensure_table, has_table, restart_row_numbers
from sluice.reading.csv_header import HEAD_BYTES, read_header
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect, source_lock_key
from sluice.warehouse.failures import retriable_failures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceReport:
    """What one call of ``load_source`` did.

    Attributes:
        source: the source's name.
        entries: the ledger entries written, in order.
        left: files that changed while they were read, with the reason; the next run takes them.
    """

    source: str
    entries: tuple[ledger.Entry, ...]
    left: tuple[str, ...]

    @property
    def rejected(self) -> tuple[ledger.Entry, ...]:
        """The deliveries that could not be loaded."""
        return tuple(entry for entry in self.entries if entry.outcome == "rejected")


def load_source(settings: Settings, source: Source, beside: Iterable[Source] = ()) -> SourceReport:
    """Load every settled delivery of a source, one after the other.

    A bad delivery is rejected and does not keep the others from being loaded.

    Args:
        settings: the instance.
        source: whose deliveries.
        beside: the sources of its landing folder; a file that two of them take is refused.

    Raises:
        RetriableError: the warehouse went away, or another load of the source holds its lock.
        ConfigError: the bronze table or a rule does not fit the registry.
    """
    application = f"sluice load {source.name}"
    with _explained(source), connect(settings, "loader", application_name=application) as session:
        session.autocommit = True  # transactions are opened where they are meant
        session.execute("select pg_advisory_lock(%s)", (source_lock_key(source.name),))
        session.execute("set jit = off")  # compiling the checks costs more than it saves
        with session.transaction():
            for column in ensure_table(session, source):
                logger.info("bronze.%s has gained the column %s", source.name, column)
        ledger.keep_load_ids_ascending(session)
        storing.finish_moves(session, settings, source)
        entries: list[ledger.Entry] = []
        left: list[str] = []
        listing = list_deliveries(settings, list(beside) or [source])
        for delivery in listing.of_source(source.name):
            try:
                entry = load_delivery(session, settings, source, delivery)
            except StillChangingError as error:
                logger.warning("%s", error)
                left.append(error.message)
            else:
                _log(entry)
                entries.append(entry)
        return SourceReport(source.name, tuple(entries), tuple(left))


def make_missing_tables(connection: Connection, sources: Iterable[Source]) -> None:
    """Make the bronze tables of sources that have not delivered yet, so that models find them.

    The connection is the loader's, in autocommit.
    """
    for source in sources:
        if not has_table(connection, source):
            with connection.transaction():
                key = source_lock_key(source.name)
                connection.execute("select pg_advisory_xact_lock(%s)", (key,))
                ensure_table(connection, source)


def load_delivery(
    connection: Connection, settings: Settings, source: Source, delivery: Delivery
) -> ledger.Entry:
    """Load, skip or reject one delivery, then move its file; the caller holds the source's lock.

    Raises:
        StillChangingError: the file changed while it was read; nothing was recorded.
    """
    attempt = _Attempt(connection, settings, source, delivery, datetime.now(UTC))
    with DeliveryContent(delivery) as content:
        sha256 = None
        if ledger.bytes_may_be_known(connection, source.name, delivery.state.size):
            sha256 = content.fingerprint()
        known = ledger.classify(connection, source.name, delivery.file_name, sha256)
        try:
            if known.is_to_load:
                entry = attempt.load(content, known)
            else:
                entry = attempt.end("skipped", sha256 or content.fingerprint(), known)
        except DeliveryError as error:
            entry = attempt.end("rejected", sha256 or content.fingerprint(), known, error)
    storing.store(connection, settings, entry, delivery)
    return entry


@dataclass(frozen=True)
class _Attempt:
    connection: Connection
    settings: Settings
    source: Source
    delivery: Delivery
    started_at: datetime

    def load(self, content: DeliveryContent, known: ledger.Known) -> ledger.Entry:
        """The load's one transaction; raises DeliveryError with everything rolled back."""
        size = self.delivery.state.size
        head = content.head(HEAD_BYTES)
        columns = read_header(head, self.source, is_whole_file=size <= len(head))
        with self.connection.transaction():
            load_id, day = ledger.begin_load(self.connection)
            replaced = 0
            if known.replaces_load_id is not None:
                replaced = delete_load(self.connection, self.source, known.replaces_load_id)
            restart_row_numbers(self.connection, self.source)
            rows = copy_csv(self.connection, self.source, columns, content.chunks())
            sha256 = content.verify()
            run_checks(self.connection, self.source, load_id)
            entry = self._entry(
                load_id, day, "loaded", sha256, known, rows_loaded=rows, rows_replaced=replaced
            )
            ledger.record(self.connection, entry)
        return entry

    def end(
        self,
        outcome: ledger.Outcome,
        sha256: str,
        known: ledger.Known,
        error: DeliveryError | None = None,
    ) -> ledger.Entry:
        """Record a delivery that brings no rows."""
        reason = ledger.reject_fields(error) if error else {}
        with self.connection.transaction():
            load_id, day = ledger.begin_load(self.connection)
            entry = self._entry(load_id, day, outcome, sha256, known, **reason)
            ledger.record(self.connection, entry)
        return entry

    def _entry(
        self,
        load_id: int,
        day: date,
        outcome: ledger.Outcome,
        sha256: str,
        known: ledger.Known,
        **more: object,
    ) -> ledger.Entry:
        stored_path = storing.stored_path(
            self.source, self.delivery.file_name, load_id, day, sha256, outcome
        )
        fields: dict[str, object] = {
            "load_id": load_id,
            "source": self.source.name,
            "file_name": self.delivery.file_name,
            "content_sha256": sha256,
            "content_bytes": self.delivery.state.size,
            "outcome": outcome,
            "delivery_kind": known.kind,
            "started_at": self.started_at,
            "replaces_load_id": known.replaces_load_id if outcome == "loaded" else None,
            "duplicate_of_load_id": known.duplicate_of_load_id,
            "stored_path": stored_path,
            **more,
        }
        return ledger.Entry(**fields)  # type: ignore[arg-type]


def _log(entry: ledger.Entry) -> None:
    name = f"{entry.source}/{printable(entry.file_name)}"
    if entry.outcome == "rejected":
        logger.error("%s: rejected (%s): %s", name, entry.reject_code, entry.reject_reason)
    elif entry.outcome == "skipped":
        what = "the same file" if entry.delivery_kind == "same_again" else "the same bytes"
        logger.info("%s: skipped, load %s brought %s", name, entry.duplicate_of_load_id, what)
    else:
        logger.info(
            "%s: loaded %s rows as load %s (%s, %s rows replaced)",
            name,
            entry.rows_loaded,
            entry.load_id,
            entry.delivery_kind,
            entry.rows_replaced,
        )


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Turn what may pass by itself into errors that say to try again."""
    busy = f"Another load of source {source.name} is under way."
    try:
        with retriable_failures(f"{source.name} was loaded", lock=busy):
            yield
    except OSError as error:
        raise RetriableError(
            f"A file of {source.name} cannot be moved: {error.strerror or error}"
            f" ({error.filename}).",
            "Make room, or give Sluice the right to write there; nothing was lost, and the"
            " same command goes on from there.",
        ) from error


def rejection_error(rejected: Sequence[ledger.Entry]) -> DeliveryError:
    """One error that names every rejected delivery and its reason."""
    lines = [f"{printable(entry.file_name)}: {entry.reject_reason}" for entry in rejected]
    source = rejected[0].source
    count = "1 file was" if len(lines) == 1 else f"{len(lines)} files were"
    return DeliveryError(
        f"{source}: {count} rejected:\n  " + "\n  ".join(lines),
        code=rejected[0].reject_code or "rejected",
        remedy=f"The bytes are kept in rejected/{source}/; deliver mended files to load them.",
    )
