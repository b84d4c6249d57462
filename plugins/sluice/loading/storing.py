"""After the commit: the delivered bytes move to where the ledger says, however often it takes."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

from psycopg import Connection

from sluice.errors import printable
from sluice.landing.store import put, sha256_of, take, taken_before
from sluice.landing.zone import Delivery, FileState, file_system_name, landing_folder
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse import ledger

logger = logging.getLogger(__name__)


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
    itself stays as it was, whatever its length and bytes.
    """
    if outcome != "rejected" and source.after_load == "delete":
        return None
    area = "rejected" if outcome == "rejected" else "archive"
    return f"{area}/{source.name}/{day.isoformat()}/{sha256[:16]}-{load_id}/{file_name}"


def store(
    connection: Connection,
    settings: Settings,
    entry: ledger.Entry,
    delivery: Delivery,
) -> None:
    """Move a delivery that the ledger has to its place, and note that it is there."""
    hidden = take(delivery.path, entry.load_id, delivery.state)
    _finish(connection, settings, entry, hidden)


def finish_moves(connection: Connection, settings: Settings, source: Source) -> None:
    """Complete the moves that earlier attempts were cut off from."""
    folder = landing_folder(settings, source)
    for entry in ledger.entries_to_store(connection, source.name):
        path = folder / file_system_name(entry.file_name)
        target = _target(settings, entry)
        hidden = taken_before(path, entry.load_id, entry.content_sha256)
        if hidden is None and target is not None and target.exists():
            ledger.mark_stored(connection, entry.load_id)
            continue
        logger.info("%s/%s: finishing its move", entry.source, printable(entry.file_name))
        _finish(connection, settings, entry, hidden or _take_again(path, entry))


def _take_again(path: Path, entry: ledger.Entry) -> Path | None:
    """Take the file from the landing zone if its bytes are still the ones that were loaded."""
    try:
        state = FileState.of(path.lstat())
        if path.is_symlink() or not path.is_file() or state.size != entry.content_bytes:
            return None
        if sha256_of(path) != entry.content_sha256:
            return None
    except FileNotFoundError:
        return None
    return take(path, entry.load_id, state)


def _finish(
    connection: Connection, settings: Settings, entry: ledger.Entry, hidden: Path | None
) -> None:
    """Move a taken file to its target, or delete it, and note it."""
    target = _target(settings, entry)
    if hidden is None:
        logger.warning(
            "%s/%s was changed or taken away after it was loaded, before it could be kept",
            entry.source,
            printable(entry.file_name),
        )
        ledger.mark_stored(connection, entry.load_id, is_gone=True)
        return
    if target is None:
        hidden.unlink(missing_ok=True)
    else:
        put(hidden, target, entry.content_sha256)
    ledger.mark_stored(connection, entry.load_id)


def _target(settings: Settings, entry: ledger.Entry) -> Path | None:
    """Where the entry's file goes on this machine; None where it is deleted."""
    if entry.stored_path is None:
        return None
    area, _, rest = entry.stored_path.partition("/")
    folder = settings.rejected if area == "rejected" else settings.archive
    return folder / file_system_name(rest)
