"""Files in folders of this machine: listed, read, and moved once the ledger has them.

The move happens after the commit and may be cut off anywhere: every step can be repeated, and
none can overwrite or lose a file, whatever the sender does at the same time. The file is first
taken out of the sender's reach under a hidden name of its own, then moved to its place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sluice.errors import InternalError, printable
from sluice.landing.names import is_temporary
from sluice.landing.stores import FileState, Found, Kind, StillChangingError, Taken, changed

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}

# Files that Sluice itself writes into the landing zone, until they are complete.
_NEW = ".sluice-new-"
_ABANDONED_SECONDS = 86_400.0

# O_NONBLOCK: a pipe put in a file's place must not stop us at open.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A folder on the way to another need not be readable, as to whoever says its whole path at once.
_ON_THE_WAY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LINK = "is a link, and no link below the landing zone is followed"


@dataclass(frozen=True)
class LocalStore:
    """A folder and what is below it; see ``stores.Store`` for what each method promises."""

    root: Path

    def is_there(self) -> bool:
        """Whether the folder is there."""
        return self.root.is_dir()

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        """What lies in each folder."""
        found: dict[str, list[Found] | OSError] = {folder: [] for folder in folders}
        try:
            root = os.open(self.root, _ON_THE_WAY)
        except (FileNotFoundError, NotADirectoryError):
            return found
        except OSError as error:
            return dict.fromkeys(folders, error)
        try:
            for folder in folders:
                try:
                    found[folder] = _entries(root, folder)
                except OSError as error:  # one bad folder is no reason not to look at the others
                    found[folder] = error
        finally:
            os.close(root)
        return found

    def original(self, key: str, expected: FileState) -> LocalOriginal:
        """Open a file without following links."""
        return LocalOriginal(self.root / key, expected)

    def take(self, key: str, load_id: int, expected: FileState) -> LocalTaken | None:
        """Rename a loaded file to its hidden name, unless something else stands there by now."""
        hidden = take(self.root / key, load_id, expected)
        return LocalTaken(hidden) if hidden else None

    def taken_before(self, key: str, load_id: int, sha256: str) -> LocalTaken | None:
        """What an interrupted attempt gave its hidden name."""
        hidden = taken_before(self.root / key, load_id, sha256)
        return LocalTaken(hidden) if hidden else None

    def take_again(self, key: str, load_id: int, sha256: str) -> LocalTaken | None:
        """Take a file if its bytes are still those of the load."""
        hidden = take_again(self.root / key, load_id, sha256)
        return LocalTaken(hidden) if hidden else None

    def sha256_of(self, key: str) -> str | None:
        """The sha256 of a file's bytes; None where there is none."""
        try:
            return sha256_of(self.root / key)
        except FileNotFoundError:
            return None

    def put(self, taken: Taken, key: str, sha256: str) -> None:
        """Move a taken file here."""
        put(taken, self.root / key, sha256)

    @contextlib.contextmanager
    def new_file(self, key: str) -> Iterator[BinaryIO]:
        """Write a file that appears whole when the block ends, or not at all."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{_NEW}*"):  # of a process that was killed
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.lstat().st_mtime > _ABANDONED_SECONDS:
                    left.unlink()
        hidden = path.with_name(f"{_NEW}{uuid.uuid4().hex}")
        try:
            with hidden.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def shown(self, key: str) -> str:
        """The whole path."""
        return str(self.root / key)


@dataclass(frozen=True)
class LocalTaken:
    """A file under its hidden name."""

    path: Path

    def open(self) -> BinaryIO:
        """Its bytes."""
        return self.path.open("rb")

    def drop(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)


class LocalOriginal:
    """A file, opened without following links; see ``stores.Original``."""

    def __init__(self, path: Path, expected: FileState) -> None:
        self._path = path
        self._expected = expected
        try:
            self._descriptor = os.open(path, _READ)
        except OSError as error:
            raise StillChangingError(
                f"{printable(path.name)} cannot be opened: {error.strerror}.",
                "It is looked at again in the next run; check that Sluice may read it.",
            ) from error
        status = os.fstat(self._descriptor)
        # Every write sets this time, and no sender can set it back; a renaming sets it, too.
        self._changed_ns = status.st_ctime_ns
        if not stat.S_ISREG(status.st_mode) or FileState.of(status) != expected:
            os.close(self._descriptor)
            raise changed(path.name)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._expected.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from a place on."""
        return os.pread(self._descriptor, size, offset)

    def is_unchanged(self) -> bool:
        """Whether the file, and what its name leads to, are as when it was opened."""
        try:
            there = FileState.of(self._path.lstat())
        except FileNotFoundError:
            return False
        opened = os.fstat(self._descriptor)
        is_same = FileState.of(opened) == there == self._expected
        return is_same and opened.st_ctime_ns == self._changed_ns

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def _entries(root: int, folder: str) -> list[Found]:
    """The visible entries of a folder by name; none where there is no folder."""
    found = []
    try:
        descriptor = _open_below(root, folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if is_temporary(entry.name):
                    continue
                with contextlib.suppress(FileNotFoundError):  # moved away since
                    found.append(_found(entry, descriptor))
    finally:
        os.close(descriptor)
    return sorted(found, key=lambda entry: os.fsencode(entry.name))


def _open_below(root: int, folder: str) -> int:
    """Open a folder below another one, without following a link on the way.

    Who may write where one source's files arrive could put a link in the place of a folder of
    another source there, and so have files read that only Sluice may read.
    """
    opened = root
    parts = folder.split("/")
    for number, part in enumerate(parts, start=1):
        above = opened
        how = _FOLDER if number == len(parts) else _ON_THE_WAY
        try:
            opened = os.open(part, how | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            if _is_link(part, above):
                raise OSError(errno.ELOOP, f"{printable(part)} {_LINK}") from error
            raise
        finally:
            if above != root:
                os.close(above)
    return opened


def _is_link(name: str, folder: int) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode)


def _found(entry: os.DirEntry[str], folder: int) -> Found:
    status = entry.stat(follow_symlinks=False)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
    is_readable = kind == "file" and os.access(entry.name, os.R_OK, dir_fd=folder)
    return Found(entry.name, kind, FileState.of(status), status.st_ctime_ns, is_readable)


def hidden_name(load_id: int) -> str:
    """The name that a file has in the landing zone between two steps of its move."""
    return f".sluice-{load_id}"


def take(path: Path, load_id: int, expected: FileState) -> Path | None:
    """Rename a loaded file to its hidden name, unless something else stands there by now.

    Returns:
        The hidden path; None where the file is gone or another has taken its place, which is
        then left as the new delivery that it is.
    """
    hidden = path.with_name(hidden_name(load_id))
    try:
        if FileState.of(path.lstat()) != expected:
            return None
        path.rename(hidden)
    except FileNotFoundError:
        return None
    if FileState.of(hidden.lstat()) == expected:
        return hidden
    give_back(hidden, path)  # the sender put a new file there between the two calls
    return None


def taken_before(path: Path, load_id: int, content_sha256: str) -> Path | None:
    """What an interrupted attempt took, if its bytes are the load's; else it is given back."""
    hidden = path.with_name(hidden_name(load_id))
    if not hidden.exists():
        return None
    if sha256_of(hidden).startswith(content_sha256):
        return hidden
    give_back(hidden, path)
    return None


def take_again(path: Path, load_id: int, content_sha256: str) -> Path | None:
    """Take the file from the landing zone if its bytes are still the ones that were loaded."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or not sha256_of(path).startswith(content_sha256):
            return None
    except FileNotFoundError:
        return None
    return take(path, load_id, FileState.of(status))


def give_back(hidden: Path, path: Path) -> None:
    """Let a file that was taken by mistake be a delivery again.

    If there is yet another under its name by now, that one has replaced it as the sender meant
    it to, and this one is dropped as the sender's own renaming would have dropped it.
    """
    with contextlib.suppress(FileExistsError):
        os.link(hidden, path)
    hidden.unlink()


def put(taken: Taken, target: Path, content_sha256: str) -> None:
    """Move a taken file to its target; repeating an interrupted move finishes it.

    Raises:
        InternalError: other bytes are at the target already; nothing was overwritten.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # an earlier attempt copied it and was cut off before it could delete
        if not sha256_of(target).startswith(content_sha256):
            raise InternalError(
                f"{target} holds other bytes than the ledger says; the file was left in place."
            )
        taken.drop()
        return
    if not isinstance(taken, LocalTaken) or not _rename(taken.path, target):
        _copy(taken, target, content_sha256)
        _sync_folder(target.parent)
        taken.drop()
    else:
        _sync_folder(target.parent)


def _rename(hidden: Path, target: Path) -> bool:
    """Whether the file could be renamed: it cannot from one file system to another."""
    try:
        hidden.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(taken: Taken, target: Path, content_sha256: str) -> None:
    """Copy from elsewhere: the target appears whole or not at all."""
    for left in target.parent.glob(".partial-*"):
        left.unlink(missing_ok=True)  # of an attempt that was cut off
    # A name of its own: an attempt that was given up may wake and go on with its own copy.
    partial = target.with_name(f".partial-{uuid.uuid4().hex}")
    digest = hashlib.sha256()
    try:
        with taken.open() as source, partial.open("xb") as copy:
            while piece := source.read(1 << 20):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as error:
        error.filename = error.filename or str(target)  # a full disk does not say where
        raise
    if not digest.hexdigest().startswith(content_sha256):
        partial.unlink()
        raise changed(target.name)
    if isinstance(taken, LocalTaken):
        shutil.copystat(taken.path, partial)
    partial.rename(target)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal; empty for what is no file.

    Links are not followed, and a pipe does not make us wait.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return ""
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable: a power cut must not undo a move that the ledger records."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
