"""Files in an object store: listed by one call, read as the version that was listed.

Airflow's connections give the file system. There is no renaming in an object store: a loaded file
is copied to its place by the store itself, then deleted where it arrived, unless the sender has
put another one there by then.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sluice.errors import ConfigError, InternalError, RetriableError, SluiceError, printable
from sluice.landing.file_systems import connected
from sluice.landing.local_store import LocalTaken
from sluice.landing.names import is_temporary
from sluice.landing.stores import FileState, Found, Kind, Taken, changed
from sluice.landing.streams import Window
from sluice.settings import StorageUrl

# How much is asked for at once: memory, against the time that each request takes to begin. S3's
# file system takes no less than 5 MiB.
_BLOCK_BYTES = 8 << 20

_KINDS: Mapping[str, Kind] = {"file": "file", "directory": "folder", "link": "link"}

# Where the file systems of s3, gs, abfs and sftp say which content it is, and when it was written.
_VERSIONS = ("ETag", "etag", "generation", "md5Hash")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_LAST_OF_A_SECOND = 999_999_999


@dataclass(frozen=True)
class ObjectStore:
    """A bucket, or a part of one; see ``stores.Store`` for what each method promises.

    Attributes:
        url: where it is.
        home: the instance's folder, for what Airflow keeps outside of its own processes.
    """

    url: StorageUrl
    home: Path

    @property
    def files(self) -> Any:
        """The file system (fsspec's), connected."""
        return connected(self.url, self.home)

    @property
    def _open_options(self) -> Mapping[str, Any]:
        """How files are opened for reading: nothing is asked for that was not."""
        return {"block_size": _BLOCK_BYTES, "cache_type": "none"}

    def path(self, key: str) -> str:
        """A key as the file system knows it."""
        return f"{self.url.root}/{key}"

    def shown(self, key: str) -> str:
        """The whole address."""
        return printable(f"{self.url}/{key}")

    def is_there(self) -> bool:
        """Always: whether it can be read is said of each folder that is listed."""
        return True

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        """What lies in each folder, from one listing of the whole place."""
        try:
            with self._explained():
                self.files.invalidate_cache(self.url.root)
                keys = self.files.find(self.url.root, detail=True)
        except FileNotFoundError:
            keys = {}
        except SluiceError as error:
            reason = OSError(error.message)
            return dict.fromkeys(folders, reason)
        found: dict[str, dict[str, Found]] = {folder: {} for folder in folders}
        for path, details in keys.items():
            key = path.removeprefix(f"{self.url.root}/")
            for folder in _folders_above(key, found):
                entry = found_entry(key.removeprefix(f"{folder}/"), details)
                if entry is not None:
                    found[folder].setdefault(entry.name, entry)
        return {
            folder: [entries[name] for name in sorted(entries, key=os.fsencode)]
            for folder, entries in found.items()
        }

    def original(self, key: str, expected: FileState) -> ObjectOriginal:
        """Open the version that was listed."""
        if self._state(key) != expected:
            raise changed(key.rpartition("/")[2])
        with self._explained(key):
            file = self.files.open(self.path(key), "rb", **self._open_options)
        return ObjectOriginal(self, key, expected, file)

    def take(self, key: str, load_id: int, expected: FileState) -> ObjectTaken | None:  # noqa: ARG002
        """The file as it lies there, if it is still what was listed."""
        return ObjectTaken(self, key, expected) if self._state(key) == expected else None

    def taken_before(self, key: str, load_id: int, sha256: str) -> ObjectTaken | None:
        """The file where it arrived, if it has these bytes: nothing else is ever taken."""
        return self.take_again(key, load_id, sha256)

    def take_again(self, key: str, load_id: int, sha256: str) -> ObjectTaken | None:  # noqa: ARG002
        """The file where it arrived, if it has these bytes."""
        state = self._state(key)
        if state is None or not str(self.sha256_of(key)).startswith(sha256):
            return None
        return ObjectTaken(self, key, state)

    def sha256_of(self, key: str) -> str | None:
        """The sha256 of a file's bytes; None where there is none."""
        state = self._state(key)
        if state is None:
            return None
        with ObjectTaken(self, key, state).open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def put(self, taken: Taken, key: str, sha256: str) -> None:
        """Move a taken file here: a copy, then the deletion of where it arrived."""
        if self._state(key) is not None:  # an earlier attempt was cut off before it could delete
            if not str(self.sha256_of(key)).startswith(sha256):
                raise InternalError(
                    f"{self.shown(key)} holds other bytes than the ledger says; the file was left"
                    " in place."
                )
        elif not (isinstance(taken, ObjectTaken) and self._copy_within(taken, key, sha256)):
            self._upload(taken, key, sha256)
        taken.drop()

    def remove(self, key: str, expected: FileState) -> None:
        """Delete a file, unless it is another one by now."""
        if self._state(key) != expected:
            return
        with self._explained(key):
            call = getattr(self.files, "call_s3", None)
            if call is None:
                self.files.rm_file(self.path(key))
                return
            # S3 itself compares, so that no time is left in which the sender could replace it.
            bucket, object_key, _ = self.files.split_path(self.path(key))
            try:
                call("delete_object", Bucket=bucket, Key=object_key, IfMatch=expected.version)
            except OSError:
                if self._state(key) == expected:  # not replaced: a store without conditions
                    self.files.rm_file(self.path(key))
            self.files.invalidate_cache(self.path(key))

    def _copy_within(self, taken: ObjectTaken, key: str, sha256: str) -> bool:
        """Let the store copy by itself; False where it cannot.

        Raises:
            StillChangingError: the sender has put another file in the place of the taken one.
        """
        other = taken.store.url
        if (other.protocol, other.connection) != (self.url.protocol, self.url.connection):
            return False
        options = {}
        if hasattr(self.files, "call_s3"):
            options = {"CopySourceIfMatch": taken.state.version}
        with self._explained(key):
            try:
                self.files.cp_file(taken.store.path(taken.key), self.path(key), **options)
            except NotImplementedError:
                return False
            except OSError:
                if taken.is_there():
                    raise
                raise changed(taken.key.rpartition("/")[2]) from None
        # Not every store heeds the condition: the copy may be of what has come since.
        if not taken.is_there() and not str(self.sha256_of(key)).startswith(sha256):
            self.files.rm_file(self.path(key))
            raise changed(taken.key.rpartition("/")[2])
        return True

    @contextlib.contextmanager
    def new_file(self, key: str) -> Iterator[BinaryIO]:
        """Write a file that appears whole when the block ends, or not at all."""
        with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
            draft = Path(folder) / "draft"
            with draft.open("xb") as file:
                yield file
            with draft.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            self._upload(LocalTaken(draft), key, sha256)

    def _upload(self, taken: Taken, key: str, sha256: str, *, draft: str = "") -> None:
        """Copy from elsewhere: the file appears when it is closed, whole, or not at all.

        Args:
            taken: what is copied.
            key: what it is to be called.
            sha256: of its bytes, or the beginning of it.
            draft: the key that is written to, where it is not that one.
        """
        folder = self.path(key).rpartition("/")[0]
        with self._explained(key), taken.open() as source:
            with contextlib.suppress(NotImplementedError, PermissionError):
                self.files.makedirs(folder, exist_ok=True)
            file = self.files.open(self.path(draft or key), "wb")
            try:
                found = _copied(source, file)
            except BaseException:
                _abandon(file)
                raise
            if not found.startswith(sha256):
                _abandon(file)
                raise changed(key.rpartition("/")[2])
            file.close()

    def _state(self, key: str) -> FileState | None:
        """What lies there now, asked of the store itself; None where there is nothing."""
        with self._explained(key):
            self.files.invalidate_cache(self.path(key))
            try:
                details = self.files.info(self.path(key))
            except FileNotFoundError:
                return None
        return _state(details) if details.get("type", "file") == "file" else None

    @contextlib.contextmanager
    def _explained(self, key: str = "") -> Iterator[None]:
        """Turn what a store answers into errors that say whether to try again."""
        try:
            yield
        except (SluiceError, NotImplementedError, FileNotFoundError):
            raise
        except PermissionError as error:
            raise ConfigError(
                f"{self.shown(key)} may not be used: {error}",
                "Give the connection's login the rights to list, read, write and delete there.",
            ) from None
        except Exception as error:
            raise RetriableError(
                f"{self.shown(key)} cannot be used now: {type(error).__name__}: {error}",
                "Check the connection and that the store can be reached.",
            ) from error


@dataclass(frozen=True)
class ObjectTaken:
    """A file of an object store on its way to where it is kept: it stays until it is dropped."""

    store: ObjectStore
    key: str
    state: FileState

    def open(self) -> _ClosingReader:
        """Its bytes."""
        return _ClosingReader(self.store.original(self.key, self.state))

    def is_there(self) -> bool:
        """Whether it is still the file that was taken."""
        return self.store._state(self.key) == self.state

    def drop(self) -> None:
        """Delete it, unless the sender has put another file in its place."""
        self.store.remove(self.key, self.state)


class ObjectOriginal:
    """A file of an object store, open at one version; see ``stores.Original``."""

    def __init__(self, store: ObjectStore, key: str, expected: FileState, file: Any) -> None:
        self._store = store
        self._key = key
        self._expected = expected
        self._file = file
        self._start = 0
        self._block = b""

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._expected.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from a place on; a block at a time is asked of the store."""
        parts = []
        while size and offset < self.size:
            if not self._start <= offset < self._start + len(self._block):
                self._fetch(offset)
            place = offset - self._start
            part = self._block[place : place + size]
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def _fetch(self, offset: int) -> None:
        try:
            with self._store._explained(self._key):
                self._file.seek(offset)
                self._start, self._block = offset, self._file.read(_BLOCK_BYTES)
        except (FileNotFoundError, RetriableError):
            if self.is_unchanged():
                raise
            raise changed(self._key.rpartition("/")[2]) from None

    def is_unchanged(self) -> bool:
        """Whether the store still has this version under this name."""
        return self._store._state(self._key) == self._expected

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class _ClosingReader(io.BufferedReader):
    """An ``Original`` as a file that closes it."""

    def __init__(self, original: ObjectOriginal) -> None:
        super().__init__(Window(original), 1 << 20)
        self._original = original

    def close(self) -> None:
        if not self.closed:
            self._original.close()
        super().close()


def _folders_above(key: str, folders: Collection[str]) -> Iterator[str]:
    """Which of the folders a key is below of."""
    place = key.find("/")
    while place >= 0:
        if key[:place] in folders:
            yield key[:place]
        place = key.find("/", place + 1)


def found_entry(name: str, details: Mapping[str, Any]) -> Found | None:
    """A key below a folder as an entry of it: a file, or the folder that it lies in."""
    first, slash, _ = name.partition("/")
    if (not first and not slash) or is_temporary(first):
        return None  # the mark that some programs make for an empty folder, or not to be seen
    kind = "folder" if slash else _KINDS.get(details.get("type", "file"), "device")
    state = _state(details)
    # Without a version, only a later time tells another content: a second has to be over first.
    changed_ns = state.modified_ns if state.version else state.modified_ns + _LAST_OF_A_SECOND
    return Found(first or "/", kind, state, changed_ns)


def _state(details: Mapping[str, Any]) -> FileState:
    """A file's state, as a listing or a question about it says."""
    version = next((str(details[name]) for name in _VERSIONS if details.get(name)), "")
    # To the second: some stores say more of it in a listing than when asked.
    modified = int(_seconds(next((details[name] for name in _TIMES if details.get(name)), 0)))
    return FileState(0, 0, int(details.get("size") or 0), modified * 10**9, version)


def _seconds(time: object) -> float:
    """Seconds since 1970, of any of the ways in which the file systems say a time."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time) if isinstance(time, int | float) else 0.0


def _copied(source: BinaryIO, target: Any) -> str:
    """Copy all of a file; returns the sha256 of its bytes."""
    digest = hashlib.sha256()
    while piece := source.read(1 << 20):
        digest.update(piece)
        target.write(piece)
    return digest.hexdigest()


def _abandon(file: Any) -> None:
    """Give up a file that is half written, so that nothing of it appears."""
    with contextlib.suppress(Exception):
        if hasattr(file, "discard"):
            file.discard()
            file.closed = True  # else it would be written out with the object's end
        else:
            file.close()
