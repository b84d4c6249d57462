"""Streams of bytes: as files, and read ahead of their use."""

from __future__ import annotations

import errno
import io
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import TypeVar

from sluice.landing.stores import Original

Piece = TypeVar("Piece")

# Two pieces were enough to keep both sides busy; four even out a slow read.
PIECES_AHEAD = 4


# A thread that waits for PostgreSQL would get the interpreter back after 5 ms at Python's own
# setting: a load by batches then took as long as its reading and its copying one after the other.
SWITCH_SECONDS = 0.0005


@contextmanager
def quick_switches() -> Iterator[None]:
    """Let threads that calculate give way soon to those that talk to PostgreSQL."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def ahead(pieces: Iterator[Piece], count: int = PIECES_AHEAD) -> Generator[Piece, None, None]:
    """The same pieces, made by a thread that is a few of them ahead.

    Hashing, unpacking and reading give other threads way while they work, so a load's COPY goes
    on beside them.

    What the pieces' maker raises is raised here, in its place. The thread has ended when this
    iterator has, also when it is closed before its end.
    """
    waiting: Queue[tuple[Piece] | BaseException | None] = Queue(count)
    is_closed = threading.Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                if is_closed.is_set():
                    break
                waiting.put((piece,))
        except BaseException as error:  # whatever it is, it belongs to whoever reads
            last = error
        waiting.put(last)

    thread = threading.Thread(target=make, name="sluice-ahead", daemon=True)
    thread.start()
    last: tuple[Piece] | BaseException | None = None
    try:
        while isinstance(last := waiting.get(), tuple):
            yield last[0]
    finally:
        is_closed.set()
        while isinstance(last, tuple):  # makes room for what the thread is about to put
            last = waiting.get()
        thread.join()
    if last is not None:
        raise last


class Window(io.RawIOBase):
    """An ``Original`` as a file with a position of its own."""

    def __init__(
        self, original: Original, on_read: Callable[[int, bytes], None] | None = None
    ) -> None:
        """Begin at the start.

        Args:
            original: what is read.
            on_read: called with the place and the bytes of each read.
        """
        self._original = original
        self._on_read = on_read
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, also one beyond the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._original.size}
        position = base[whence] + offset
        if position < 0:
            raise OSError(errno.EINVAL, "a position before the start")
        self._position = position
        return position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read at the position."""
        piece = self._original.read_at(self._position, len(buffer))
        if self._on_read is not None:
            self._on_read(self._position, piece)
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


class Stream(io.RawIOBase):
    """Pieces as a file that can only be read on."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read at the position."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        """End the thread that reads ahead, if one does."""
        if hasattr(self._pieces, "close"):
            self._pieces.close()
        super().close()
