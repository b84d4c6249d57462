"""Deliveries loaded once more from where their bytes are kept, by the registry as it is now.

A replay moves no file: it reads the archive, or what was rejected, and the ledger's new entry says
the same place. Rows that are in bronze are replaced by those that the same bytes bring now; where
they bring none, the old rows stay.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from sluice.errors import ConfigError, DeliveryError, printable
from sluice.landing.archives import members_of
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent
from sluice.landing.names import MEMBER_MARK, archive_of, file_system_name, ledger_name
from sluice.landing.zone import Delivery, area_store
from sluice.loading import storing
from sluice.loading.attempt import Attempt
from sluice.loading.filters import NoRecordMatchesError
from sluice.loading.loader import SourceReport, refusal
from sluice.loading.partitions import make_expected
from sluice.loading.progress import Tell
from sluice.loading.table import ensure_table
from sluice.loading.withdrawal import names_like
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import retriable_failures
from sluice.warehouse.fencing import hold_source

logger = logging.getLogger(__name__)

# What is in bronze; what was rejected and not mended by a later delivery (a replay of the rows that
# are there, same_again without being skipped, is none); and, only where a file is named, what its
# newest withdrawal took out and nothing has come for since. That is the newest load of each part,
# as far back as the load that began the file's rows: one that found none of the name, or took the
# place of all. The day is that of the folder in which the bytes are kept.
_KEPT = """
with entries as (
    select loads.*, part
    from ops.files
    inner join ops.loads using (file_id)
    where files.source = %(source)s and files.file_name = any(%(files)s)
), withdrawals as (
    select withdrawal.file_name, withdrawal.load_id as withdrawal_id, max(begun.load_id) as begun_id
    from entries as withdrawal
    inner join entries as begun
        on begun.file_name = withdrawal.file_name and begun.load_id < withdrawal.load_id
    where withdrawal.outcome = 'withdrawn' and begun.outcome = 'loaded'
        and (
            begun.delivery_kind in ('new', 'redelivery')
            or begun.delivery_kind = 'correction' and begun.replaces_load_id is not null
        )
        and not exists (
            select from entries as later
            where later.file_name = withdrawal.file_name and later.outcome = 'withdrawn'
                and later.load_id > withdrawal.load_id
        )
    group by withdrawal.file_name, withdrawal.load_id
), withdrawn as (
    select distinct on (file_id) entries.*, withdrawal_id
    from withdrawals
    inner join entries using (file_name)
    where outcome = 'loaded' and load_id between begun_id and withdrawal_id
    order by file_id, load_id desc
)
select load_id, file_name, content_sha256, stored_path, filters, part, is_in_bronze,
    case
        when outcome = 'loaded' and delivery_kind in ('same_again', 'extension') then (
            select max(came.load_id) from ops.loads as came
            where came.file_id = kept.file_id and came.load_id < kept.load_id
                and came.outcome = 'loaded'
                and came.delivery_kind not in ('same_again', 'extension')
        )
        else load_id
    end as came_as_load_id
from (
    select loads.*, part, true as is_in_bronze
    from ops.files
    inner join ops.loads on load_id = current_load_id
    where files.source = %(source)s
    union all
    select loads.*, 1, false
    from ops.loads
    where source = %(source)s and outcome = 'rejected' and delivery_kind <> 'same_again'
        and not exists (
            select from ops.loads as later
            where later.file_id = loads.file_id and later.load_id > loads.load_id
                and not (later.delivery_kind = 'same_again' and later.outcome <> 'skipped')
        )
    union all
    select loads.*, withdrawn.part, false
    from withdrawn
    inner join ops.loads using (load_id)
    where not exists (
        select from entries as later
        where later.file_name = withdrawn.file_name and later.load_id > withdrawal_id
            -- Another part that a replay has brought back, from where it was, is not in its way.
            and not exists (
                select from withdrawn as other
                where other.stored_path = later.stored_path and other.file_id <> withdrawn.file_id
            )
    )
) as kept
where (%(files)s::text[] is null or file_name = any(%(files)s))
    and (%(first)s::date is null or split_part(stored_path, '/', 3)::date >= %(first)s)
    and (%(last)s::date is null or split_part(stored_path, '/', 3)::date <= %(last)s)
order by came_as_load_id
"""


@dataclass(frozen=True)
class Selection:
    """Which deliveries of a source are meant; all that is in bronze or rejected where empty.

    Attributes:
        files: their names, as the sender wrote them or as the ledger does.
        first_day: none that arrived before this day (UTC).
        last_day: none that arrived after this day (UTC).
    """

    files: Collection[str] = ()
    first_day: date | None = None
    last_day: date | None = None

    def __post_init__(self) -> None:
        """Refuse days in the wrong order.

        Raises:
            ConfigError: the last day comes before the first.
        """
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ConfigError(
                f"The last day, {self.last_day}, is before the first, {self.first_day}."
            )


@dataclass(frozen=True)
class Kept:
    """A delivery whose bytes are kept.

    Attributes:
        load_id: its newest entry in the ledger.
        file_name: its name there.
        content_sha256: of its bytes.
        stored_path: where they are; None where they were not kept.
        filters: how much of it was wanted; the whole file where None.
        part: which part of its file its rows are.
        is_in_bronze: whether rows of it are in bronze.
        came_as_load_id: the entry by which its bytes came, before they were loaded again.
    """

    load_id: int
    file_name: str
    content_sha256: str
    stored_path: str | None
    filters: Sequence[str] | None
    part: int
    is_in_bronze: bool
    came_as_load_id: int


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
        return _find(connection, source, selection)


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
        for kept in _find(session, source, selection):
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


def _find(connection: Connection, source: Source, selection: Selection) -> list[Kept]:
    names = [name for file in selection.files for name in dict.fromkeys((ledger_name(file), file))]
    parameters = {
        "source": source.name,
        "files": names or None,
        "first": selection.first_day,
        "last": selection.last_day,
    }
    with connection.cursor(row_factory=class_row(Kept)) as cursor:
        kept = cursor.execute(_KEPT, parameters).fetchall()
    if source.write_disposition == "replace":
        kept = _newest_truth(kept)
    there = {delivery.file_name for delivery in kept}
    for file in selection.files:
        if not there & {ledger_name(file), file}:
            raise ConfigError(
                f"No delivery {printable(file)} of source {source.name} can be loaded again"
                f"{_within(selection)}.",
                names_like(connection, source, file),
            )
    if not kept:
        raise ConfigError(
            f"No delivery of source {source.name} can be loaded again{_within(selection)}."
        )
    return kept


def _newest_truth(kept: Sequence[Kept]) -> list[Kept]:
    """Of a source whose newest delivery is all that there is: no older one takes its place."""
    in_bronze = [delivery for delivery in kept if delivery.is_in_bronze]
    truth = max((delivery.came_as_load_id for delivery in in_bronze), default=0)
    later = [
        delivery
        for delivery in kept
        if not delivery.is_in_bronze and delivery.came_as_load_id > truth
    ]
    return [*in_bronze, *later[-1:]]


def _within(selection: Selection) -> str:
    days = [f" since {selection.first_day}" if selection.first_day else ""]
    days += [f" until {selection.last_day}" if selection.last_day else ""]
    return "".join(days)
