"""Deliveries loaded once more from where their bytes are kept, by the registry as it is now.

A replay moves no file: it reads the archive, or what was rejected, and the ledger's new entry says
the same place. Rows that are in bronze are replaced by those that the same bytes bring now; where
they bring none, the old rows stay.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection

from sluice.errors import DeliveryError, counted, printable
from sluice.landing.archives import members_of
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent
from sluice.landing.zone import Delivery, area_store, landing_store
from sluice.loading import storing
from sluice.loading.attempt import Attempt
from sluice.loading.filters import NoRecordMatchesError
from sluice.loading.kept import Kept, Selection, find_kept
from sluice.loading.loader import SourceReport, refusal
from sluice.loading.partitions import make_expected
from sluice.loading.progress import Tell
from sluice.loading.table import ensure_table
from sluice.registry import Source
from sluice.registry.delivery_names import MEMBER_MARK, archive_of, file_system_name
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import retriable_failures
from sluice.warehouse.fencing import hold_source

logger = logging.getLogger(__name__)


def find_deliveries(settings: Settings, source: Source, selection: Selection) -> list[Kept]:
    """The deliveries that a replay would load again, in the order in which they came.

    Raises:
        ConfigError: there is none, or none of a name that was asked for.
        RetriableError: the warehouse is away.
    """
    with (
        retriable_failures(f"{source.name} was looked up", lock="The ledger is locked."),
        connect(settings, "loader", application_name=f"sluice replay {source.name}") as connection,
    ):
        return find_kept(connection, source, selection)


def plan_of(source: Source, found: Sequence[Kept]) -> str:
    """What a replay of these deliveries would do, in a sentence."""
    if source.write_disposition == "replace" and not found[0].is_in_bronze:
        truth = found[0]
        came = f", which came on {truth.day}," if truth.day else ""
        return (
            f"{source.name}: {printable(truth.file_name)}{came} becomes the whole truth: the rows"
            " of every other file leave bronze."
        )
    in_bronze = sum(kept.is_in_bronze for kept in found)
    others = len(found) - in_bronze
    return (
        f"{source.name}: {counted(in_bronze, 'file')} whose rows are in bronze,"
        f" {counted(others, 'other')}."
    )


def replay(
    settings: Settings,
    source: Source,
    selection: Selection,
    *,
    task: str | None = None,
    tell: Tell | None = None,
) -> SourceReport:
    """Load deliveries again from where their bytes are kept, each in one transaction.

    Rows of a delivery that is in bronze are replaced. One that was rejected or withdrawn is
    loaded as if it arrived now, or skipped, where its bytes have come under another name since.
    Pipelines see each that is loaded as a pending load.

    Args:
        settings: the instance.
        source: whose deliveries.
        selection: which.
        task: see ``hold_source``.
        tell: called with how far each load is.

    Returns:
        What was loaded, rejected or skipped, and what was left, with the reason.

    Raises:
        ConfigError: there is no such delivery, or the bronze table does not fit the registry.
        RetriableError: the warehouse went away, or a load of the source holds its lock.
    """
    application = f"sluice replay {source.name}"
    busy = f"Another load of source {source.name} is under way."
    entries: list[ledger.Entry] = []
    left: list[str] = []
    with (
        retriable_failures(f"{source.name} was replayed", lock=busy),
        connect(settings, "loader", application_name=application, autocommit=True) as session,
        hold_source(session, settings, source.name, task=task),
    ):
        session.execute("set jit = off")
        with session.transaction():
            ensure_table(session, source)
        ledger.keep_load_ids_ascending(session)
        storing.finish_moves(session, settings, source)
        found = find_kept(session, source, selection)
        logger.info("%s", plan_of(source, found))
        for kept in found:
            name = f"{source.name}/{printable(kept.file_name)}"
            try:
                entry = _replay_one(session, settings, source, kept, tell)
            except _NotKeptError as error:
                logger.warning("%s: %s", name, error)
                left.append(f"{printable(kept.file_name)}: {error}")
            except NoRecordMatchesError:
                reason = f"{printable(kept.file_name)}: no record of it is what was wanted of it"
                logger.warning("%s: %s", source.name, reason)
                left.append(reason)
            else:
                _log(name, entry)
                entries.append(entry)
    return SourceReport(source.name, tuple(entries), tuple(left))


def refused_again(rejected: Sequence[ledger.Entry]) -> DeliveryError:
    """One error that names every delivery that a replay could not load, and the reason."""
    lines = [f"{printable(entry.file_name)}: {entry.reject_reason}" for entry in rejected]
    return DeliveryError(
        f"{rejected[0].source}: could not be loaded again:\n  " + "\n  ".join(lines),
        code=rejected[0].reject_code or "rejected",
        remedy="What was in bronze of them is there as it was. Mend the registry, and replay them.",
    )


class _NotKeptError(Exception):
    """The bytes of a delivery are not where they could be read again."""


class _Replay(Attempt):
    """An attempt whose delivery stays where it is."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        source: Source,
        delivery: Delivery,
        tell: Tell | None,
        kept: Kept,
    ) -> None:
        super().__init__(connection, settings, source, delivery, tell)
        self._kept = kept

    def _entry(self, *arguments: Any, **more: Any) -> ledger.Entry:
        entry = super()._entry(*arguments, **more)
        if entry.content_sha256 != self._kept.content_sha256:
            raise _NotKeptError(f"{self._kept.stored_path} holds other bytes than the ledger says")
        return replace(entry, stored_path=self._kept.stored_path)


def _replay_one(
    connection: Connection, settings: Settings, source: Source, kept: Kept, tell: Tell | None
) -> ledger.Entry:
    """Load or reject one delivery again, or skip it where its bytes have come another way since."""
    delivery = _delivery(settings, source, kept)
    scope = None if kept.filters is None else tuple(kept.filters)
    if kept.is_in_bronze:
        known = ledger.Known(
            "same_again",
            takes_out=(kept.load_id,),
            duplicate_of_load_id=kept.load_id,
            part=kept.part,
            filters=scope,
        )
    else:
        known = ledger.classify(connection, source, kept.file_name, kept.content_sha256, scope)
        if source.on_changed_file == "append":
            known = replace(known, part=_part(connection, source, kept, known))
    attempt = _Replay(connection, settings, source, delivery, tell, kept)
    with DeliveryContent(delivery, Limits.of(settings)) as content:
        try:
            if known.action == "fail":
                raise refusal(known)
            if known.action == "load":
                make_expected(connection, source, content, kept.file_name)
            # In one transaction with the load, as the bytes are at their place already.
            with connection.transaction():
                if known.action == "load":
                    entry = attempt.load(content, known)
                else:
                    entry = attempt.end("skipped", kept.content_sha256, known)
                ledger.mark_stored(connection, entry.load_id)
        except DeliveryError as error:
            with connection.transaction():
                entry = attempt.end("rejected", kept.content_sha256, known, error)
                ledger.mark_stored(connection, entry.load_id)
    return entry


def _log(name: str, entry: ledger.Entry) -> None:
    if entry.outcome == "skipped":
        logger.info("%s: skipped, its bytes came as load %s", name, entry.duplicate_of_load_id)
    else:
        logger.info("%s: %s again as load %s", name, entry.outcome, entry.load_id)


def _part(connection: Connection, source: Source, kept: Kept, known: ledger.Known) -> int:
    """The part that a file's rows come back as: the one that they were, unless that is taken."""
    own = ledger.current_loads(connection, source.name, kept.file_name)
    return known.part if kept.part in {load.part for load in own} else kept.part


def _delivery(settings: Settings, source: Source, kept: Kept) -> Delivery:
    """The kept bytes as a delivery, to be read where they are."""
    if kept.stored_path is None:
        raise _NotKeptError(f"its bytes were not kept (after_load is {source.after_load})")
    path, _, _ = kept.stored_path.partition(MEMBER_MARK)
    area, _, rest = path.partition("/")
    store, key = area_store(settings, area), file_system_name(rest)
    if storing.is_kept_path(path):
        store, key = landing_store(settings), storing.landing_key(source, rest.split("/", 3)[3])
    folder, _, name = key.rpartition("/")
    entries = store.listed([folder])[folder]
    if isinstance(entries, OSError):
        raise _NotKeptError(f"{store.shown(folder)} cannot be read: {entries.strerror or entries}")
    state = next((entry.state for entry in entries if entry.name == name), None)
    if state is None:
        raise _NotKeptError(f"{store.shown(key)} is not there any more")
    archive = archive_of(kept.file_name)
    file = Delivery(source.name, store, key, archive or kept.file_name, state)
    if archive is None:
        return file
    for member in members_of(file, source, Limits.of(settings)) or ():
        if member.file_name == kept.file_name:
            return member
    raise _NotKeptError(f"{store.shown(key)} has no such member")
