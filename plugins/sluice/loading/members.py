"""Archives among the deliveries: each member is loaded, then the archive moves as one file.

The order of the steps is what can be gone on from after a kill: every member has its ledger entry;
the entries say where the archive goes; the archive is taken, and moved; the entries say so. An
archive is never taken before it is written where it goes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from psycopg import Connection

from sluice.landing.archives import members_of
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.zone import Delivery
from sluice.loading import storing
from sluice.registry import Source
from sluice.registry.delivery_names import archive_of
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.scopes import Scope, covers

logger = logging.getLogger(__name__)


def each_delivery(
    connection: Connection,
    settings: Settings,
    source: Source,
    files: Iterable[Delivery],
    wanted: Scope = None,
) -> Iterator[Delivery]:
    """The deliveries to load: the files themselves, and the members of those that are archives.

    After an archive's last member, the archive is moved where it belongs: to ``rejected`` where
    any of its members was rejected, else as ``after_load`` says. Members that an interrupted
    attempt, or one that left others in the archive, has dealt with as far as they are ``wanted`` do
    not come again. Whoever iterates loads each delivery before the next.
    """
    for file in files:
        try:
            members = members_of(file, source, Limits.of(settings))
        except StillChangingError as error:
            logger.warning("%s", error)
            continue
        if members is None or (len(members) == 1 and members[0].file_name == file.file_name):
            yield from members or [file]
        else:
            yield from _each_member(connection, settings, source, file, members, wanted)


def _each_member(
    connection: Connection,
    settings: Settings,
    source: Source,
    archive: Delivery,
    members: Sequence[Delivery],
    wanted: Scope,
) -> Iterator[Delivery]:
    before = {entry.file_name: entry for entry in _unfinished(connection, source, archive)}
    own: dict[str, str] = {}
    for member in members:
        entry = before.get(member.file_name)
        if entry and _has_dealt_with(entry, member, wanted):
            own[member.file_name] = entry.content_sha256
        else:
            yield member
    unfinished = _unfinished(connection, source, archive)
    newest = max((entry.load_id for entry in before.values()), default=0)
    own |= {entry.file_name: entry.content_sha256 for entry in unfinished if entry.load_id > newest}
    if any(member.file_name not in own for member in members):
        return  # it has changed under way: the next run begins with what is there then
    # A member that came again since more of it was wanted has several.
    entries = [entry for entry in unfinished if own.get(entry.file_name) == entry.content_sha256]
    storing.store_archive(connection, settings, source, entries, archive)


def _unfinished(
    connection: Connection, source: Source, archive: Delivery
) -> Sequence[ledger.Entry]:
    """The entries of an archive's members while it is not where it belongs, oldest first."""
    return [
        entry
        for entry in ledger.entries_to_store(connection, source.name)
        if archive_of(entry.file_name) == archive.file_name
    ]


def _has_dealt_with(entry: ledger.Entry, member: Delivery, wanted: Scope) -> bool:
    """Whether an attempt has dealt with this member, or with less of it, or with other bytes."""
    scope = None if entry.filters is None else tuple(entry.filters)
    if entry.content_bytes != member.content_bytes or not covers(scope, wanted):
        return False
    try:
        with DeliveryContent(member) as content:
            return content.fingerprint() == entry.content_sha256
    except StillChangingError:
        return False
