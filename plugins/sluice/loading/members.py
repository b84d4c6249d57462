"""Archives among the deliveries: each member is loaded, then the archive moves as one file.

The order of the steps is what can be gone on from after a kill: every member has its ledger entry;
the entries say where the archive goes; the archive is taken, and moved; the entries say so. An
archive is never taken before it is written where it goes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import Connection

from sluice.landing.archives import members_of
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.names import archive_of
from sluice.landing.zone import Delivery
from sluice.loading import storing
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse import ledger

logger = logging.getLogger(__name__)


def each_delivery(
    connection: Connection, settings: Settings, source: Source, files: Iterable[Delivery]
) -> Iterator[Delivery]:
    """The deliveries to load: the files themselves, and the members of those that are archives.

    After an archive's last member, the archive is moved where it belongs: to ``rejected`` where
    any of its members was rejected, else as ``after_load`` says. Members that an interrupted
    attempt has dealt with do not come again. Whoever iterates loads each delivery before the next.
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
            yield from _each_member(connection, settings, source, file, members)


def _each_member(
    connection: Connection,
    settings: Settings,
    source: Source,
    archive: Delivery,
    members: Sequence[Delivery],
) -> Iterator[Delivery]:
    before = _unfinished(connection, source, archive)
    own: dict[str, int] = {}
    for member in members:
        entry = before.get(member.file_name)
        if entry and _is_of(entry, member):
            own[member.file_name] = entry.load_id
        else:
            yield member
    after = _unfinished(connection, source, archive)
    earlier = {entry.load_id for entry in before.values()}
    for name, entry in after.items():
        if entry.load_id not in earlier:
            own[name] = entry.load_id
    if any(member.file_name not in own for member in members):
        return  # it has changed under way: the next run begins with what is there then
    entries = [entry for entry in after.values() if own.get(entry.file_name) == entry.load_id]
    storing.store_archive(connection, settings, source, entries, archive)


def _unfinished(
    connection: Connection, source: Source, archive: Delivery
) -> Mapping[str, ledger.Entry]:
    """The newest entry of each member, by name, while its archive is not where it belongs."""
    return {
        entry.file_name: entry
        for entry in ledger.entries_to_store(connection, source.name)
        if archive_of(entry.file_name) == archive.file_name
    }


def _is_of(entry: ledger.Entry, member: Delivery) -> bool:
    """Whether an interrupted attempt has dealt with this member, or with other bytes."""
    if entry.content_bytes != member.content_bytes:
        return False
    try:
        with DeliveryContent(member) as content:
            return content.fingerprint() == entry.content_sha256
    except StillChangingError:
        return False
