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

from psycopg import Connection

from sluice.errors import DeliveryError, RetriableError, printable
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.zone import Delivery
from sluice.loading import storing
from sluice.loading.attempt import Attempt
from sluice.loading.filters import NoRecordMatchesError, scope_of
from sluice.loading.members import each_delivery
from sluice.loading.partitions import make_expected, spread
from sluice.loading.pending import list_pending
from sluice.loading.progress import Tell
from sluice.loading.table import ensure_table, has_table
from sluice.registry import Source
from sluice.registry.filters import RecordFilter
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect, source_lock_key
from sluice.warehouse.failures import retriable_failures
from sluice.warehouse.fencing import hold_source
from sluice.warehouse.scopes import Scope, shown

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceReport:
    """What one call of ``load_source`` did.

    Attributes:
        source: the source's name.
        entries: the ledger entries written, in order.
        left: files that changed while they were read, and files of which a filter wants nothing,
            with the reason; the next run takes them.
    """

    source: str
    entries: tuple[ledger.Entry, ...]
    left: tuple[str, ...]

    @property
    def rejected(self) -> tuple[ledger.Entry, ...]:
        """The deliveries that could not be loaded."""
        return tuple(entry for entry in self.entries if entry.outcome == "rejected")


def load_source(
    settings: Settings,
    source: Source,
    beside: Iterable[Source] = (),
    *,
    task: str | None = None,
    tell: Tell | None = None,
    record_filter: RecordFilter | None = None,
) -> SourceReport:
    """Load every settled delivery of a source, one after the other.

    A bad delivery is rejected and does not keep the others from being loaded.

    Args:
        settings: the instance.
        source: whose deliveries.
        beside: the sources of its landing folder; a file that two of them take is refused.
        task: the orchestrator's name for this work, where it runs one attempt of it at a time:
            an earlier attempt of the same name that hangs is ended.
        tell: called with how far each load is; without it, long loads write log lines.
        record_filter: where it is of this source, only the records that it wants are loaded.

    Raises:
        RetriableError: the warehouse went away, or another load of the source holds its lock.
        ConfigError: the bronze table or a rule does not fit the registry, or the filter's value
            is not of its column's type.
    """
    application = f"sluice load {source.name}"
    with (
        _explained(source),
        connect(settings, "loader", application_name=application, autocommit=True) as session,
        hold_source(session, settings, source.name, task=task),
    ):
        session.execute("set jit = off")  # compiling the checks costs more than it saves
        wanted = scope_of(session, source, record_filter)
        with session.transaction():
            for column in ensure_table(session, source):
                logger.info("bronze.%s has gained the column %s", source.name, column)
        spread(session, source)
        ledger.keep_load_ids_ascending(session)
        storing.finish_moves(session, settings, source)
        entries: list[ledger.Entry] = []
        left: list[str] = []
        listing = list_pending(session, settings, list(beside) or [source])
        files = in_order(source, listing.of_source(source.name))
        for delivery in each_delivery(session, settings, source, files, wanted):
            try:
                entry = load_delivery(session, settings, source, delivery, tell, wanted)
            except (StillChangingError, NoRecordMatchesError) as error:
                logger.warning("%s", error)
                left.append(error.message)
            else:
                _log(entry)
                entries.append(entry)
                spread(session, source)
        return SourceReport(source.name, tuple(entries), tuple(left))


def in_order(source: Source, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """The deliveries in the order in which they are loaded.

    By name; where the newest delivery is the whole truth, the one that was written last comes
    last. (When a file was written never decides whether it is a new one.)
    """
    if source.write_disposition == "append":
        return list(deliveries)
    return sorted(deliveries, key=lambda delivery: delivery.state.modified_ns)  # stable: by name


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
    connection: Connection,
    settings: Settings,
    source: Source,
    delivery: Delivery,
    tell: Tell | None = None,
    wanted: Scope = None,
) -> ledger.Entry:
    """Load, skip or reject one delivery, then move its file; the caller holds the source's lock.

    Raises:
        StillChangingError: the file changed while it was read; nothing was recorded.
        NoRecordMatchesError: none of it is ``wanted``; likewise.
    """
    attempt = Attempt(connection, settings, source, delivery, tell)
    with DeliveryContent(delivery, Limits.of(settings)) as content:
        sha256 = None
        if ledger.bytes_may_be_known(connection, source.name, delivery.content_bytes):
            sha256 = content.fingerprint()
        known = ledger.classify(connection, source, delivery.file_name, sha256, wanted)
        try:
            if known.action == "fail":
                raise refusal(known)
            if known.action == "load":
                make_expected(connection, source, content, delivery.file_name)
                entry = attempt.load(content, known)
            else:
                entry = attempt.end("skipped", sha256 or content.fingerprint(), known)
        except DeliveryError as error:
            entry = attempt.end("rejected", sha256 or content.fingerprint(), known, error)
    storing.store(connection, settings, entry, delivery)
    return entry


def refusal(known: ledger.Known) -> DeliveryError:
    """Why a delivery is rejected that its source does not want for being what it is."""
    if known.kind == "correction":
        return DeliveryError(
            "A file of this name was loaded with other bytes, and on_changed_file is fail.",
            code="changed_file",
            remedy="Deliver it under a new name, or withdraw the rows of the first one.",
        )
    if known.is_known_in_part:
        return DeliveryError(
            f"Load {known.duplicate_of_load_id} brought the same bytes under another name, but only"
            f" a part of their records; {shown(known.filters)} was wanted now.",
            code="known_in_part",
            remedy="Deliver the file under that name (see ops.loads), and the rest is loaded.",
        )
    return DeliveryError(
        f"Load {known.duplicate_of_load_id} brought the same bytes under another name, and"
        " on_duplicate_file is fail.",
        code="duplicate_file",
    )


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
        if entry.rows_left_out:
            logger.info("%s: %s records left out by %s", name, entry.rows_left_out, entry.filters)
        for note in entry.notes:
            logger.info("%s: %s", name, note)
        if entry.rows_rejected:
            logger.warning(
                "%s: %s records could not be loaded; see them with: ./sluice rejects %s",
                name,
                entry.rows_rejected,
                entry.source,
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
    remedy = f"The bytes are kept in rejected/{source}/; deliver mended files to load them."
    if storing.is_kept_path(rejected[0].stored_path):
        remedy = (
            "The files stay where they are, and are looked at again when they change;"
            f" after a change of the registry: ./sluice replay {source} FILE"
        )
    return DeliveryError(
        f"{source}: {count} rejected:\n  " + "\n  ".join(lines),
        code=rejected[0].reject_code or "rejected",
        remedy=remedy,
    )
