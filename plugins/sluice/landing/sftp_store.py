"""Files on an SFTP server: reached like an object store, moved like the files of a folder.

The file system is that of Airflow's provider. What it does by commands in a shell (copying, and
renaming where the server is old) is not used: servers of files rarely have one, and it removes
what it could not copy. SFTP's own renaming never replaces a file, and so is the better way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sluice.errors import RetriableError, SluiceError
from sluice.landing.file_systems import SFTP_NAMES, hang_up
from sluice.landing.object_store import ObjectStore, ObjectTaken, found_entry
from sluice.landing.stores import Found, StillChangingError, Taken, changed

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class SftpStore(ObjectStore):
    """A folder of an SFTP server; see ``stores.Store`` for what each method promises."""

    @property
    def _open_options(self) -> Mapping[str, Any]:
        """The packets are of the size that the server takes; larger ones break the channel."""
        return {}

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        """What lies in each folder; all are asked for at once."""
        try:
            with self._explained():
                answers = self._entries([self.path(folder) for folder in folders])
        except SluiceError as error:
            return dict.fromkeys(folders, OSError(error.message))
        found: dict[str, list[Found] | OSError] = {}
        for folder, answer in zip(folders, answers, strict=True):
            try:
                with self._explained(folder):
                    found[folder] = _visible(answer)
            except FileNotFoundError:
                found[folder] = []
            except SluiceError as error:  # one bad folder is no reason not to look at the others
                found[folder] = OSError(error.message)
        return found

    def put(self, taken: Taken, key: str, sha256: str) -> None:
        """Move a taken file here: by renaming it, where that can be."""
        if not (isinstance(taken, ObjectTaken) and self._renamed(taken, key, sha256)):
            super().put(taken, key, sha256)

    def _renamed(self, taken: ObjectTaken, key: str, sha256: str) -> bool:
        """Rename a taken file to its place; False where it has to be copied.

        Raises:
            StillChangingError: the sender has put another file in the place of the taken one.
        """
        other = taken.store.url
        is_same_server = (other.protocol, other.connection) == (
            self.url.protocol,
            self.url.connection,
        )
        if not is_same_server or self._state(key) is not None:
            return False
        arrived, place = taken.store.path(taken.key), self.path(key)
        if not taken.is_there():
            raise changed(taken.key.rpartition("/")[2])
        with self._explained(key):
            self.files.makedirs(place.rpartition("/")[0], exist_ok=True)
            if not self._ask(lambda sftp: _rename(sftp, arrived, place)):
                return False  # from one of the server's file systems to another
        if self._state(key) == taken.state or str(self.sha256_of(key)).startswith(sha256):
            return True
        with self._explained(key):  # the sender put a new file there between the two calls
            if not self._ask(lambda sftp: _rename(sftp, place, arrived)):
                self.files.rm_file(place)  # replaced once more, as the sender meant it to be
        raise changed(taken.key.rpartition("/")[2])

    def _copy_within(self, taken: ObjectTaken, key: str, sha256: str) -> bool:  # noqa: ARG002
        """Never: it would take a shell."""
        return False

    def _upload(self, taken: Taken, key: str, sha256: str, *, draft: str = "") -> None:
        """Copy from elsewhere, under a hidden name that is changed at the end."""
        draft = draft or f"{key.rpartition('/')[0]}/.partial-{uuid.uuid4().hex}"
        try:
            super()._upload(taken, key, sha256, draft=draft)
            with self._explained(key):
                self._ask(lambda sftp: _replace(sftp, self.path(draft), self.path(key)))
        except BaseException:
            with contextlib.suppress(Exception):
                self.files.rm_file(self.path(draft))
            raise

    def _entries(self, paths: list[str]) -> list[list[dict[str, Any]] | BaseException]:
        """The entries of each folder, or what was answered instead."""
        files = self.files

        async def all_of_them() -> list[list[dict[str, Any]] | BaseException]:
            asked = (files._ls(path, detail=True) for path in paths)
            return list(await asyncio.gather(*asked, return_exceptions=True))

        return _answer(files, all_of_them)

    def _ask(self, call: Callable[[Any], Coroutine[Any, Any, bool]]) -> bool:
        """Ask the server for what the file system has no call for."""
        files = self.files

        async def asked() -> bool:
            async with files.client.start_sftp_client(**SFTP_NAMES) as sftp:
                return await call(sftp)

        return _answer(files, asked)

    @contextlib.contextmanager
    def _explained(self, key: str = "") -> Iterator[None]:
        """Tell the answers about a file from a connection that is of no use any more."""
        try:
            with super()._explained(key):
                try:
                    yield
                except Exception as error:
                    if type(error).__name__ == "SFTPPermissionDenied":
                        raise PermissionError(*error.args) from None
                    raise
        except RetriableError as error:
            if not isinstance(error, StillChangingError):  # else it would use the broken channel
                hang_up(self.url, self.home)
            raise


def _answer(files: Any, call: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """What a call gives that has to be made in the file system's own thread."""
    from fsspec.asyn import sync  # type: ignore[import-untyped]

    answer: Answer = sync(files.loop, call)
    return answer


def _visible(answer: list[dict[str, Any]] | BaseException) -> list[Found]:
    if isinstance(answer, BaseException):
        raise answer
    named = ((details["name"].rpartition("/")[2], details) for details in answer)
    entries = (found_entry(name, details) for name, details in named)
    return sorted(
        (entry for entry in entries if entry is not None),
        key=lambda entry: os.fsencode(entry.name),
    )


async def _rename(sftp: Any, old: str, new: str) -> bool:
    """Rename a file; False where there is one of the new name, or in another file system."""
    import asyncssh

    try:
        await sftp.rename(old, new)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        return False
    except asyncssh.SFTPNoSuchFile:
        raise changed(old.rpartition("/")[2]) from None
    return True


async def _replace(sftp: Any, old: str, new: str) -> bool:
    """Rename a file, in the place of what has the new name."""
    import asyncssh

    try:
        await sftp.posix_rename(old, new)
    except asyncssh.SFTPOpUnsupported:  # a server that is not OpenSSH's kind
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(new)
        await sftp.rename(old, new)
    return True
