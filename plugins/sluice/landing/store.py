"""Where a delivery's bytes go once the ledger has it: archive, rejected, or deleted.

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
from pathlib import Path

from sluice.errors import InternalError
from sluice.landing.zone import FileState


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
    if sha256_of(hidden) == content_sha256:
        return hidden
    give_back(hidden, path)
    return None


def give_back(hidden: Path, path: Path) -> None:
    """Let a file that was taken by mistake be a delivery again.

    If there is yet another under its name by now, that one has replaced it as the sender meant
    it to, and this one is dropped as the sender's own renaming would have dropped it.
    """
    with contextlib.suppress(FileExistsError):
        os.link(hidden, path)
    hidden.unlink()


def put(hidden: Path, target: Path, content_sha256: str) -> None:
    """Move a taken file to its target; repeating an interrupted move finishes it.

    Raises:
        InternalError: other bytes are at the target already; nothing was overwritten.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # an earlier attempt copied it and was cut off before it could delete
        if sha256_of(target) != content_sha256:
            raise InternalError(
                f"{target} holds other bytes than the ledger says; {hidden} was left in place."
            )
        hidden.unlink()
        return
    try:
        hidden.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # else the folders are on two file systems
            raise
        _copy(hidden, target)
        hidden.unlink()
    _sync_folder(target.parent)


def _copy(hidden: Path, target: Path) -> None:
    """Copy across file systems: the target appears whole or not at all."""
    partial = target.with_name(".partial")
    with hidden.open("rb") as source, partial.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
    shutil.copystat(hidden, partial)
    partial.rename(target)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal; empty for what is no file.

    Links are not followed, and a pipe does not make us wait.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
