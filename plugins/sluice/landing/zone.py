"""What has arrived: the deliveries in the landing zone, listed without opening a file."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from sluice.landing.local_store import LocalStore
from sluice.landing.names import LONGEST_NAME
from sluice.landing.object_store import ObjectStore
from sluice.landing.quiet_folders import QuietFolders
from sluice.landing.sftp_store import SftpStore
from sluice.landing.stores import FileState, Found, Store
from sluice.registry import Source
from sluice.registry.delivery_names import file_system_name, ledger_name
from sluice.settings import Settings, StorageUrl

__all__ = [
    "Delivery",
    "FileState",
    "Listing",
    "Member",
    "Refusal",
    "area_store",
    "file_system_name",
    "landing_folder",
    "landing_store",
    "ledger_name",
    "list_deliveries",
    "list_folders",
    "local_delivery",
    "store_at",
    "takers_by_folder",
]


@dataclass(frozen=True)
class Member:
    """Where a member lies in its zip archive, as the archive's directory says.

    Attributes:
        header_offset: the byte of the archive at which its own header begins.
        packed_bytes: how many bytes it has there.
        unpacked_bytes: how many it has unpacked.
        method: the number of its compression method.
        crc: the CRC-32 of its unpacked bytes.
    """

    header_offset: int
    packed_bytes: int
    unpacked_bytes: int
    method: int
    crc: int


@dataclass(frozen=True)
class Delivery:
    """One file that arrived for a source, or one member of an archive that did.

    Attributes:
        source: the source's name.
        store: where it arrived.
        key: its path below the store; of a member, its archive's.
        file_name: the name as the ledger writes it; see ``names``.
        state: the file as it was when it was listed; of a member, its archive.
        member: which member it is; None for a file.
        refusal: why it is rejected unread: a code and a sentence; None where nothing speaks
            against reading it.
    """

    source: str
    store: Store
    key: str
    file_name: str
    state: FileState
    member: Member | None = None
    refusal: tuple[str, str] | None = None

    @property
    def content_bytes(self) -> int:
        """How many bytes were delivered: of a member, those that are its own."""
        return self.member.unpacked_bytes if self.member else self.state.size


@dataclass(frozen=True)
class Refusal:
    """Something in a source's folder that is no delivery, and why."""

    source: str
    file_name: str
    reason: str


@dataclass
class Listing:
    """The landing zone at one moment.

    Attributes:
        deliveries: completely written files, in the order of their names.
        unsettled: files that may still be written, by source.
        refusals: what is not a file, or has a name that its source does not take.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    unsettled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refusals: list[Refusal] = field(default_factory=list)

    def of_source(self, source: str) -> list[Delivery]:
        """The deliveries of one source."""
        return [delivery for delivery in self.deliveries if delivery.source == source]


def landing_store(settings: Settings) -> Store:
    """The landing zone."""
    return store_at(settings, settings.landing)


def area_store(settings: Settings, area: str) -> Store:
    """Where files are kept: the archive, or the rejected ones."""
    return store_at(settings, settings.rejected if area == "rejected" else settings.archive)


def store_at(settings: Settings, place: Path | StorageUrl) -> Store:
    """The store at a folder of this machine, or at an address."""
    if not isinstance(place, StorageUrl):
        return LocalStore(place)
    kind = SftpStore if place.protocol == "sftp" else ObjectStore
    return kind(place, settings.home)


def landing_folder(settings: Settings, source: Source) -> Path | StorageUrl:
    """The folder that a source's files are dropped into."""
    return settings.landing / source.landing_path


def local_delivery(path: Path, source: str = "") -> Delivery:
    """A file of this machine as a delivery, wherever it lies.

    Raises:
        FileNotFoundError: there is none.
    """
    absolute = path.absolute()
    state = FileState.of(absolute.stat())
    store = LocalStore(absolute.resolve().parent)
    name = absolute.resolve().name
    return Delivery(source, store, name, ledger_name(name), state)


def list_deliveries(settings: Settings, sources: Iterable[Source]) -> Listing:
    """List what has arrived for the sources; each folder is read once.

    A file counts as written when neither its content nor its name changed for
    ``settle_seconds``. Links, pipes, devices and folders are refused and never opened. An archive
    is one delivery here; ``archives`` looks into it once it is to be loaded.
    """
    store = landing_store(settings)
    return list_folders(settings, store, takers_by_folder(sources))


def takers_by_folder(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Which sources take files from each folder, in the order of the folders' names."""
    by_folder: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        by_folder[source.landing_path].append(source)
    return {folder: by_folder[folder] for folder in sorted(by_folder)}


def list_folders(
    settings: Settings,
    store: Store,
    by_folder: Mapping[str, list[Source]],
    quiet: QuietFolders | None = None,
) -> Listing:
    """List what has arrived in the folders of the landing zone; see ``list_deliveries``.

    Args:
        settings: the instance.
        store: its landing zone.
        by_folder: the sources that take files from each folder.
        quiet: what remembers, from one look to the next, which folders are empty.
    """
    listing = Listing()
    settled_before = time.time_ns() - int(settings.settle_seconds * 1e9)
    for folder, entries in (quiet or store).listed(by_folder).items():
        takers = by_folder[folder]
        if isinstance(entries, OSError):
            reason = f"cannot be read: {entries.strerror or entries}"
            listing.refusals += [Refusal(taker.name, "", reason) for taker in takers]
        elif entries:
            sorter = _Sorter(store, folder, takers, settled_before, listing)
            for entry in entries:
                sorter.sort_in(entry)
    return listing


@dataclass(frozen=True)
class _Sorter:
    """Adds the entries of one folder to the listing, each where it belongs."""

    store: Store
    folder: str
    takers: list[Source]
    settled_before: int
    listing: Listing

    def sort_in(self, entry: Found) -> None:
        name = ledger_name(entry.name)
        matching = [taker for taker in self.takers if fnmatchcase(entry.name, taker.file_glob)]
        if entry.kind == "folder" and not matching:
            return  # the folder of another source, or one for the sender's own order
        source = (matching or self.takers)[0].name
        reason = self._objection(entry, matching)
        if reason:
            self.listing.refusals.append(Refusal(source, name, reason))
        elif entry.changed_ns > self.settled_before:
            self.listing.unsettled[source] += 1
        elif not entry.is_readable:
            self.listing.refusals.append(Refusal(source, name, "may not be read by Sluice"))
        else:
            key = f"{self.folder}/{entry.name}"
            self.listing.deliveries.append(Delivery(source, self.store, key, name, entry.state))

    def _objection(self, entry: Found, matching: list[Source]) -> str:
        """Why an entry is no delivery of one source; empty where it is."""
        if entry.kind != "file":
            return f"is a {entry.kind}, not a file; it is never opened"
        if not matching:
            globs = ", ".join(sorted(taker.file_glob for taker in self.takers))
            return f"does not match file_glob {globs}"
        if len(matching) > 1:
            return f"matches the sources {' and '.join(taker.name for taker in matching)}"
        if len(os.fsencode(entry.name)) > LONGEST_NAME:
            return f"has a name of more than {LONGEST_NAME} bytes"
        return ""
