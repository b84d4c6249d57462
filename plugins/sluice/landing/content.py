"""The bytes of a delivery: read once, hashed while they are read, held to what was listed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from types import TracebackType

from sluice.errors import RetriableError, printable
from sluice.landing.zone import Delivery, FileState

# Between 8 KiB and 1 MiB, COPY's speed did not differ by more than noise; this bounds memory.
CHUNK_BYTES = 1 << 18


class StillChangingError(RetriableError):
    """The file changed or went away while it was read; it is left for the next run."""


class DeliveryContent:
    """A delivery's bytes, opened without following links.

    Use as a context manager, iterate over ``chunks()`` once, then call ``verify()``: only then is
    ``sha256`` known to be the hash of the whole file as it lies there.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._descriptor = -1
        self._hash = hashlib.sha256()
        self._bytes_read = 0

    def __enter__(self) -> DeliveryContent:
        # O_NONBLOCK: a pipe put in the file's place must not stop us at open.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._delivery.path, flags)
        except OSError as error:
            raise StillChangingError(
                f"{printable(self._delivery.file_name)} cannot be opened: {error.strerror}.",
                "It is looked at again in the next run; check that Sluice may read it.",
            ) from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or FileState.of(status) != self._delivery.state:
            os.close(self._descriptor)
            raise self._changed()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def head(self, size: int) -> bytes:
        """The first bytes, without moving on."""
        return os.pread(self._descriptor, size, 0)

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the start, in chunks, hashed as they pass."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash, self._bytes_read = hashlib.sha256(), 0
        while chunk := os.read(self._descriptor, CHUNK_BYTES):
            self._hash.update(chunk)
            self._bytes_read += len(chunk)
            yield chunk

    def verify(self) -> str:
        """The sha256 of the bytes that were read, in hexadecimal.

        Raises:
            StillChangingError: the file is not the one that was listed any more.
        """
        try:
            there = FileState.of(self._delivery.path.lstat())
        except FileNotFoundError:
            raise self._changed() from None
        opened = FileState.of(os.fstat(self._descriptor))
        expected = self._delivery.state
        if not opened == there == expected or self._bytes_read != expected.size:
            raise self._changed()
        return self._hash.hexdigest()

    def fingerprint(self) -> str:
        """Read the whole file for its sha256; raises as ``verify`` does."""
        for _ in self.chunks():
            pass
        return self.verify()

    def _changed(self) -> StillChangingError:
        name = printable(self._delivery.file_name)
        return StillChangingError(
            f"{name} changed while it was read; nothing of it was loaded.",
            "It is loaded in the next run, once it has settled.",
        )
