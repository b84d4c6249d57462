"""What has arrived: the deliveries in the landing zone, listed without opening a file."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from sluice.registry import Source
from sluice.settings import Settings

# Names that programs give to files they are still writing: rename when done, and it is a delivery.
TEMPORARY_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


@dataclass(frozen=True)
class FileState:
    """What identifies a file's content without reading it, for as long as we look at it."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """The state that a ``stat`` call saw."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Delivery:
    """One file that arrived for a source.

    Attributes:
        source: the source's name.
        path: where the bytes are.
        file_name: the name as the ledger writes it; see ``ledger_name``.
        state: the file as it was when it was listed.
    """

    source: str
    path: Path
    file_name: str
    state: FileState


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


def ledger_name(name: str) -> str:
    r"""A file's name as text that PostgreSQL can hold, different for every name.

    Bytes that are not UTF-8 become ``\xNN``, and a backslash is doubled so that no two names meet.
    """
    escaped = os.fsencode(name).replace(b"\\", b"\\\\")
    return escaped.decode("utf-8", errors="backslashreplace")


def file_system_name(name: str) -> str:
    """The file's own name, from the one in the ledger: the inverse of ``ledger_name``."""
    parts = re.split(rb"(\\\\|\\x[0-9a-f]{2})", name.encode())
    plain = (
        part
        if not part.startswith(b"\\") or len(part) < 2
        else b"\\"
        if part == b"\\\\"
        else bytes.fromhex(part[2:].decode())
        for part in parts
    )
    return os.fsdecode(b"".join(plain))


def landing_folder(settings: Settings, source: Source) -> Path:
    """The folder that a source's files are dropped into."""
    return settings.landing / source.landing_path


def list_deliveries(settings: Settings, sources: Iterable[Source]) -> Listing:
    """List what has arrived for the sources; each folder is read once.

    A file counts as written when neither its content nor its name changed for
    ``settle_seconds``. Links, pipes, devices and folders are refused and never opened.
    """
    by_folder: dict[Path, list[Source]] = defaultdict(list)
    for source in sources:
        by_folder[landing_folder(settings, source)].append(source)
    listing = Listing()
    settled_before = time.time_ns() - int(settings.settle_seconds * 1e9)
    for folder, takers in sorted(by_folder.items()):
        try:
            for entry in _entries(folder):
                _sort_in(entry, takers, settled_before, listing)
        except OSError as error:  # one bad folder is no reason not to look at the others
            reason = f"cannot be read: {error.strerror or error}"
            listing.refusals += [Refusal(taker.name, "", reason) for taker in takers]
    return listing


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The visible entries of a folder by name; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not _is_temporary(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from sorted(visible, key=lambda entry: os.fsencode(entry.name))


def _is_temporary(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(TEMPORARY_SUFFIXES)


def _sort_in(
    entry: os.DirEntry[str], takers: list[Source], settled_before: int, listing: Listing
) -> None:
    """Add one entry of a folder to the listing, where it belongs."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # moved away since the folder was read
        return
    name = ledger_name(entry.name)
    matching = [source for source in takers if fnmatchcase(entry.name, source.file_glob)]
    if stat.S_ISDIR(status.st_mode) and not matching:
        return  # the folder of another source, or one for the sender's own order
    source = (matching or takers)[0]
    if not stat.S_ISREG(status.st_mode):
        reason = f"is a {_kind(status.st_mode)}, not a file; it is never opened"
        listing.refusals.append(Refusal(source.name, name, reason))
    elif not matching:
        globs = ", ".join(sorted(taker.file_glob for taker in takers))
        listing.refusals.append(Refusal(source.name, name, f"does not match file_glob {globs}"))
    elif len(matching) > 1:
        names = " and ".join(taker.name for taker in matching)
        listing.refusals.append(Refusal(source.name, name, f"matches the sources {names}"))
    elif status.st_ctime_ns > settled_before:  # each write sets it, and no sender can
        listing.unsettled[source.name] += 1
    elif not os.access(entry.path, os.R_OK):
        listing.refusals.append(Refusal(source.name, name, "may not be read by Sluice"))
    else:
        listing.deliveries.append(
            Delivery(source.name, Path(entry.path), name, FileState.of(status))
        )


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "link",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFDIR: "folder",
    }
    return kinds.get(stat.S_IFMT(mode), "device")
