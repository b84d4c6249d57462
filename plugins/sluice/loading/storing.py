"""After the commit: the delivered bytes move to where the ledger says, however often it takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date
from itertools import groupby

from psycopg import Connection

from sluice.errors import printable
from sluice.landing.content import DeliveryContent
from sluice.landing.stores import Store, Taken
from sluice.landing.zone import Delivery, area_store, landing_store
from sluice.registry import Source
from sluice.registry.delivery_names import MEMBER_MARK, archive_of, file_system_name
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.kept_files import note_kept

logger = logging.getLogger(__name__)

# The area of files that stay in the landing zone: a path below it says where they would have gone.
KEPT = "kept"

# How much of a hash a stored path says: enough that no sender finds other bytes for it.
_HASH_CHARACTERS = 16


def stored_path(
    source: Source,
    file_name: str,
    load_id: int,
    day: date,
    sha256: str,
    outcome: ledger.Outcome,
) -> str | None:
    """Where a delivery's bytes go: area, source, day, hash and load, then the sender's name.

    The load's id makes the folder unlike any other, so nothing can be overwritten; the name
    itself stays as it was, whatever its length and bytes. Where a member of an archive goes is
    only known when all members have their entries: see ``store_archive``.
    """
    if archive_of(file_name) is not None:
        return None
    if outcome != "rejected" and source.after_load == "delete":
        return None
    return _path(source, day, sha256, load_id, file_name, is_rejected=outcome == "rejected")


def _path(
    source: Source, day: date, sha256: str, load_id: int, file_name: str, *, is_rejected: bool
) -> str:
    area = "rejected" if is_rejected else "archive"
    if source.after_load == "keep":
        area = KEPT
    folder = f"{sha256[:_HASH_CHARACTERS]}-{load_id}"
    return f"{area}/{source.name}/{day.isoformat()}/{folder}/{file_name}"


def is_kept_path(path: str | None) -> bool:
    """Whether a ``stored_path`` says that the file stays in the landing zone."""
    return path is not None and path.startswith(f"{KEPT}/")


def store(
    connection: Connection,
    settings: Settings,
    entry: ledger.Entry,
    delivery: Delivery,
) -> None:
    """Move a delivery that the ledger has to its place, and note that it is there.

    A member of an archive stays where it is until the archive moves.
    """
    if is_kept_path(entry.stored_path):
        _stay(connection, [entry], delivery)
    elif archive_of(entry.file_name) is None:
        _finish(connection, settings, entry, take(delivery, entry.load_id))


def store_archive(
    connection: Connection,
    settings: Settings,
    source: Source,
    entries: Sequence[ledger.Entry],
    archive: Delivery,
) -> None:
    """Move an archive all of whose members have their entries, and note that it is there.

    Where any of them was rejected, it goes to ``rejected``, else where ``after_load`` says.

    Args:
        connection: the loader's, in autocommit.
        settings: the instance.
        source: whose archive it is.
        entries: the entries of its members.
        archive: the archive itself, as it was listed.

    Raises:
        StillChangingError: it has changed since; the entries are left for the next run.
    """
    with DeliveryContent(archive) as content:
        sha256 = content.fingerprint()
    first = min(entries, key=lambda entry: entry.load_id)
    path = _path(
        source,
        first.started_at.astimezone(UTC).date(),
        sha256,
        first.load_id,
        archive.file_name,
        is_rejected=any(entry.outcome == "rejected" for entry in entries),
    )
    planned = ledger.plan_moves(
        connection,
        {
            entry.load_id: path + entry.file_name.removeprefix(archive.file_name)
            for entry in entries
        },
    )
    if is_kept_path(path):
        _stay(connection, planned, archive)
    else:
        _finish_archive(connection, settings, source, planned, take(archive, first.load_id))


def _stay(connection: Connection, entries: Sequence[ledger.Entry], file: Delivery) -> None:
    """Note that a file, or an archive with these members, was dealt with and stays as it is."""
    with connection.transaction():
        newest = max(entry.load_id for entry in entries)
        note_kept(connection, newest, (file.source, file.file_name, file.state.token))
        _mark(connection, entries)


def take(delivery: Delivery, load_id: int) -> Taken | None:
    """Take a loaded file out of the sender's reach; None where another is in its place."""
    return delivery.store.take(delivery.key, load_id, delivery.state)


def finish_moves(connection: Connection, settings: Settings, source: Source) -> None:
    """Complete the moves that earlier attempts were cut off from."""
    entries = ledger.entries_to_store(connection, source.name)
    # Files that stay are looked at again: their state at that time was not noted.
    _mark(connection, [entry for entry in entries if is_kept_path(entry.stored_path)])
    entries = [entry for entry in entries if not is_kept_path(entry.stored_path)]
    members = [entry for entry in entries if archive_of(entry.file_name) is not None]
    for entry in entries:
        if archive_of(entry.file_name) is None:
            _finish_file(connection, settings, source, entry)
    planned = sorted((entry for entry in members if entry.stored_path), key=_archive_path)
    for _, group in groupby(planned, key=_archive_path):
        _finish_planned(connection, settings, source, list(group))
    _give_up(connection, settings, source, [entry for entry in members if not entry.stored_path])


def _finish_file(
    connection: Connection, settings: Settings, source: Source, entry: ledger.Entry
) -> None:
    landing, key = landing_store(settings), landing_key(source, entry.file_name)
    taken = landing.taken_before(key, entry.load_id, entry.content_sha256)
    if taken is None and _is_stored(settings, entry.stored_path, entry.content_sha256):
        ledger.mark_stored(connection, entry.load_id)
        return
    if taken is None:
        taken = landing.take_again(key, entry.load_id, entry.content_sha256)
    logger.info("%s/%s: finishing its move", entry.source, printable(entry.file_name))
    _finish(connection, settings, entry, taken)


def _finish_planned(
    connection: Connection, settings: Settings, source: Source, entries: list[ledger.Entry]
) -> None:
    """Go on with an archive of which the ledger says where it goes."""
    path = _archive_path(entries[0])
    sha256, _, load_id = path.split("/")[3].partition("-")
    landing, key = landing_store(settings), landing_key(source, path.split("/", 4)[4])
    taken = landing.taken_before(key, int(load_id), sha256)
    if taken is None and _is_stored(settings, path, sha256):
        _mark(connection, entries)
        return
    if taken is None:
        taken = landing.take_again(key, int(load_id), sha256)
    _finish_archive(connection, settings, source, entries, taken)


def _give_up(
    connection: Connection, settings: Settings, source: Source, entries: list[ledger.Entry]
) -> None:
    """Note that archives went away before the last of their members was loaded.

    As long as one lies there, its other members are loaded first.
    """
    landing = landing_store(settings)
    by_archive = sorted(entries, key=lambda entry: str(archive_of(entry.file_name)))
    for name, group in groupby(by_archive, key=lambda entry: str(archive_of(entry.file_name))):
        if landing.sha256_of(landing_key(source, name)) is None:
            _warn_gone(source, name)
            _mark(connection, list(group), is_gone=True)


def _finish(
    connection: Connection, settings: Settings, entry: ledger.Entry, taken: Taken | None
) -> None:
    """Move a taken file to its target, or delete it, and note it."""
    if taken is None:
        _warn_gone(entry, entry.file_name)
        ledger.mark_stored(connection, entry.load_id, is_gone=True)
        return
    if entry.stored_path is None:
        taken.drop()
    else:
        put(settings, taken, entry.stored_path, entry.content_sha256)
    ledger.mark_stored(connection, entry.load_id)


def _finish_archive(
    connection: Connection,
    settings: Settings,
    source: Source,
    entries: Sequence[ledger.Entry],
    taken: Taken | None,
) -> None:
    """Move a taken archive to its target, or delete it, and note it in all its entries."""
    path = _archive_path(entries[0])
    is_deleted = source.after_load == "delete" and path.startswith("archive/")
    if taken is None:
        _warn_gone(source, str(archive_of(entries[0].file_name)))
    elif is_deleted:
        taken.drop()
    else:
        put(settings, taken, path, path.split("/")[3].partition("-")[0])
    _mark(connection, entries, is_gone=is_deleted or taken is None)


def _mark(
    connection: Connection, entries: Sequence[ledger.Entry], *, is_gone: bool = False
) -> None:
    with connection.transaction():
        for entry in entries:
            ledger.mark_stored(connection, entry.load_id, is_gone=is_gone)


def _warn_gone(owner: ledger.Entry | Source, file_name: str) -> None:
    logger.warning(
        "%s/%s was changed or taken away after it was loaded, before it could be kept",
        owner.source if isinstance(owner, ledger.Entry) else owner.name,
        printable(file_name),
    )


def put(settings: Settings, taken: Taken, path: str, sha256: str) -> None:
    """Move a taken file to where the ledger says."""
    target, key = _target(settings, path)
    target.put(taken, key, sha256)


def _is_stored(settings: Settings, path: str | None, sha256: str) -> bool:
    """Whether a file is at its place already."""
    if path is None:
        return False
    target, key = _target(settings, path)
    return (target.sha256_of(key) or "").startswith(sha256)


def _target(settings: Settings, path: str) -> tuple[Store, str]:
    """Where a path of the ledger is: its area, and its key there."""
    area, _, rest = path.partition("/")
    return area_store(settings, area), file_system_name(rest)


def _archive_path(entry: ledger.Entry) -> str:
    """The archive's own part of a member's ``stored_path``."""
    return str(entry.stored_path).partition(MEMBER_MARK)[0]


def landing_key(source: Source, file_name: str) -> str:
    """Where a file of a source is delivered, below the landing zone."""
    return f"{source.landing_path}/{file_system_name(file_name)}"
