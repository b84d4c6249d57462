"""What a place that holds files can do, whether it is a folder or an object store.

A key is a file's path below the place, with ``/`` between its parts. Nothing is ever overwritten,
and each step can be repeated after it was cut off.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

from sluice.errors import RetriableError, printable

Kind = Literal["file", "folder", "link", "pipe", "socket", "device"]


class StillChangingError(RetriableError):
    """The file changed or went away while it was read; it is left for the next run."""


@dataclass(frozen=True)
class FileState:
    """What identifies a file's content without reading it, for as long as we look at it.

    Attributes:
        device: the file system of a local file.
        inode: the file in it.
        size: in bytes.
        modified_ns: when its sender says that it was written, in ns since 1970.
        version: what an object store calls this content: its ETag, for one.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    version: str = ""

    @property
    def token(self) -> str:
        """The state as a word that is the same on each machine, and when it is mounted anew.

        Without the inode, which some file systems make up: it is what rsync goes by.
        """
        return f"{self.size} {self.modified_ns} {self.version}".rstrip()

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """The state that a ``stat`` call saw."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Found:
    """An entry of a folder.

    Attributes:
        name: its name there; bytes that are not UTF-8 as ``os.fsdecode`` has them.
        kind: what it is; only files are ever opened.
        state: how it was when it was listed.
        changed_ns: when it was last written or renamed, by a clock that no sender can set.
        is_readable: whether we may read it.
    """

    name: str
    kind: Kind
    state: FileState
    changed_ns: int
    is_readable: bool = True


class Original(Protocol):
    """A delivered file, open, exactly as it lies in its store."""

    @property
    def size(self) -> int:
        """Its size in bytes, as it was listed."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from a place on; fewer than asked for only at the end."""
        ...

    def is_unchanged(self) -> bool:
        """Whether what lies there is still what was listed and opened."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Taken(Protocol):
    """A file that has its ledger entry and is on its way to where it is kept."""

    def open(self) -> BinaryIO:
        """Its bytes.

        Raises:
            StillChangingError: the sender has put another file in its place.
        """
        ...

    def drop(self) -> None:
        """Remove it, unless the sender has put another file in its place."""
        ...


class Store(Protocol):
    """A place that holds files."""

    def is_there(self) -> bool:
        """Whether the place itself can be found."""
        ...

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        """What lies directly in each folder, temporary names left out, in the order of names.

        A folder that is not there is empty; one that cannot be read has the reason instead.
        """
        ...

    def original(self, key: str, expected: FileState) -> Original:
        """Open a file for reading.

        Raises:
            StillChangingError: it is not the one that was listed any more, or cannot be opened.
        """
        ...

    def take(self, key: str, load_id: int, expected: FileState) -> Taken | None:
        """Take a loaded file out of the sender's reach.

        Returns:
            None where the file is gone or another has taken its place, which is then left as the
            new delivery that it is.
        """
        ...

    def taken_before(self, key: str, load_id: int, sha256: str) -> Taken | None:
        """What an interrupted attempt took out of the sender's reach; None where nothing.

        Args:
            key: where it was delivered.
            load_id: of the load that it was taken for.
            sha256: of its bytes, in hexadecimal; the beginning is enough.
        """
        ...

    def take_again(self, key: str, load_id: int, sha256: str) -> Taken | None:
        """Take a file that was not listed anew, if its bytes are still those of the load.

        The arguments are those of ``taken_before``.
        """
        ...

    def sha256_of(self, key: str) -> str | None:
        """The sha256 of a file's bytes, in hexadecimal; None where there is no file."""
        ...

    def put(self, taken: Taken, key: str, sha256: str) -> None:
        """Move a taken file here; repeating an interrupted move finishes it.

        Raises:
            InternalError: other bytes are there already; nothing was overwritten.
            StillChangingError: the sender has put another file in the place of the taken one.
        """
        ...

    def new_file(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file to be written: it appears whole when the block ends, or not at all.

        One that is there already under the key is replaced: what is written is its correction.
        """
        ...

    def shown(self, key: str) -> str:
        """The whole path or address of a key, for messages."""
        ...


def changed(name: str) -> StillChangingError:
    """The error for a file that is not the one that was listed any more."""
    return StillChangingError(
        f"{printable(name)} changed while it was read; nothing of it was loaded.",
        "It is loaded in the next run, once it has settled.",
    )
