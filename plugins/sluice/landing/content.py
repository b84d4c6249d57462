"""The bytes of a delivery: hashed while they are read, unpacked, held to what was listed."""

from __future__ import annotations

import hashlib
import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import BinaryIO

from sluice.errors import DeliveryError
from sluice.landing.compression import (
    HEAD_BYTES,
    TAR_BYTES,
    Compression,
    Limits,
    compression_of,
    default_limits,
    refuse_tar,
    unpacked,
    unpacked_member,
)
from sluice.landing.stores import Original, StillChangingError, changed
from sluice.landing.streams import Stream, Window, ahead
from sluice.landing.zone import Delivery, Member

__all__ = ["DeliveryContent", "StillChangingError"]

# Between 8 KiB and 1 MiB, COPY's speed did not differ by more than noise; this bounds memory.
CHUNK_BYTES = 1 << 18

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_MAGIC = b"PK\3\4"


class DeliveryContent:
    """A delivery's content, with its compression taken off.

    Use as a context manager. ``chunks()`` and ``opener()`` begin a new pass over the content each
    time. Call ``verify()`` after the last: only then is it known that every pass read what was
    listed, and what the sha256 of the delivered bytes is.

    Attributes:
        position: how many of the delivered bytes the present pass has read.
    """

    def __init__(self, delivery: Delivery, limits: Limits | None = None) -> None:
        """Prepare to read a delivery.

        Args:
            delivery: which.
            limits: how much it may unpack to; the settings' defaults where not given.
        """
        self._delivery = delivery
        self._limits = limits or default_limits()
        self.position = 0
        self._digests: set[str] = set()
        self._spool: BinaryIO | None = None

    def __enter__(self) -> DeliveryContent:
        """Open the file as it was listed.

        Raises:
            StillChangingError: it is not the one that was listed any more.
        """
        self._original = self._delivery.store.original(self._delivery.key, self._delivery.state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._spool is not None:
            self._spool.close()
        self._original.close()

    @cached_property
    def compression(self) -> Compression | None:
        """How the delivery is compressed, seen by its first bytes; None where it is not.

        Raises:
            DeliveryError: in a way that Sluice does not unpack, or it may not be read at all.
        """
        if self._delivery.refusal:
            code, reason = self._delivery.refusal
            raise DeliveryError(reason, code=code)
        head = _first(self._delivered(is_whole=False), TAR_BYTES)
        compression = compression_of(head[:HEAD_BYTES])
        if compression is not None:
            pieces = unpacked(self._delivered(is_whole=False), compression, self._limits)
            head = _first(pieces, TAR_BYTES)
        refuse_tar(head)
        return compression

    def head(self, size: int) -> bytes:
        """The first bytes of the content; fewer than asked for are all that there are.

        Raises:
            DeliveryError: it cannot be unpacked.
        """
        return _first(self._plain(is_whole=False), size)

    def chunks(self) -> Iterator[bytes]:
        """The content from its start, in pieces that bound memory.

        Raises:
            DeliveryError: it cannot be unpacked.
        """
        pieces = self._plain()
        return pieces if self._is_cheap_to_read else ahead(pieces)

    def opener(self, *, seekable: bool = False) -> BinaryIO:
        """The content from its start, as a file.

        Args:
            seekable: whether it has to be seekable. What is compressed is then unpacked into a
                temporary file without a name first, within the limits.

        Raises:
            DeliveryError: it cannot be unpacked; also raised by reading from the file.
        """
        if self.compression is None and self._delivery.member is None:
            window: io.RawIOBase = Window(self._original, _Digest(self._original.size, self).take)
        elif seekable:
            window = Window(_Spooled(self._spooled()))
        else:
            window = Stream(self.chunks())
        return io.BufferedReader(window, CHUNK_BYTES)

    def verify(self) -> str:
        """The sha256 of the delivered bytes that were read, in hexadecimal.

        Of a member of an archive, it is that of the member's own bytes.

        Raises:
            StillChangingError: the file is not the one that was listed any more.
            DeliveryError: a member cannot be unpacked.
        """
        if not self._digests:  # no pass went from the start to the end
            for _ in self._delivered():
                pass
        if len(self._digests) != 1 or not self._original.is_unchanged():
            raise changed(self._delivery.file_name)
        return next(iter(self._digests))

    def fingerprint(self) -> str:
        """Read all for the sha256; raises as ``verify`` does.

        Of a member that cannot be read, it is the sha256 of its archive.
        """
        self._digests.clear()
        try:
            return self.verify()
        except DeliveryError:
            self._digests.clear()
            for _ in self._hashed(self._file_bytes(), self._original.size):
                pass
            return self.verify()

    @property
    def _is_cheap_to_read(self) -> bool:
        """Whether there is nothing to gain from reading ahead of the load."""
        is_local = self._delivery.state.inode != 0
        return is_local and self._delivery.member is None and self.compression is None

    def _plain(self, *, is_whole: bool = True) -> Iterator[bytes]:
        """The content; hashed where it is read to its end."""
        compression = self.compression
        pieces = self._delivered(is_whole=is_whole)
        if compression is None:
            return pieces
        return unpacked(pieces, compression, self._limits)

    def _delivered(self, *, is_whole: bool = True) -> Iterator[bytes]:
        """The delivered bytes: the file's, or those of the member."""
        member = self._delivery.member
        if member is None:
            pieces = self._file_bytes()
        else:
            pieces = _member_pieces(self._original, member, self._limits)
        return self._hashed(pieces, self._delivery.content_bytes) if is_whole else pieces

    def _file_bytes(self) -> Iterator[bytes]:
        offset = 0
        while piece := self._original.read_at(offset, CHUNK_BYTES):
            offset += len(piece)
            yield piece

    def _hashed(self, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        digest = _Digest(size, self)
        for piece in pieces:
            digest.take(digest.position, piece)
            yield piece
        digest.take(digest.position, b"")

    def _spooled(self) -> BinaryIO:
        """The content in a temporary file, unpacked at the first call."""
        if self._spool is None:
            spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the delivery
            try:
                for piece in self.chunks():
                    spool.write(piece)
                spool.flush()
            except BaseException:
                spool.close()
                raise
            self._spool = spool
        return self._spool

    def record(self, sha256: str) -> None:
        """Note the hash of one pass that went from the start to the end."""
        self._digests.add(sha256)


@dataclass
class _Digest:
    """The hash of one pass, as long as it goes on from where it was."""

    size: int
    content: DeliveryContent
    position: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, offset: int, piece: bytes) -> None:
        """Bytes were read; at no bytes, the end was met."""
        if offset != self.position:
            return
        self._hash.update(piece)
        self.position += len(piece)
        self.content.position = self.position
        if self.position == self.size:
            self.content.record(self._hash.hexdigest())
        elif self.position > self.size or not piece:
            self.content.record("")  # longer or shorter than it was listed: it has changed


def _first(pieces: Iterator[bytes], size: int) -> bytes:
    """The first bytes of a stream, which is read no further."""
    head = b""
    while len(head) < size and (piece := next(pieces, None)) is not None:
        head += piece
    return head[:size]


def _member_pieces(archive: Original, member: Member, limits: Limits) -> Iterator[bytes]:
    """A member's own bytes, held to the size and the CRC of the archive's directory."""
    header = archive.read_at(member.header_offset, _LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_MAGIC):
        raise _bad_member("has no header where the archive's directory says")
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    start = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    packed = _range(archive, start, start + member.packed_bytes)
    size = crc = 0
    for piece in unpacked_member(packed, member.method, limits):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        if size > member.unpacked_bytes:
            break
        yield piece
    if size != member.unpacked_bytes:
        raise _bad_member("has another size than the archive's directory says")
    if crc != member.crc:
        raise _bad_member("does not have the checksum that the archive's directory says")


def _range(archive: Original, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = archive.read_at(start, min(CHUNK_BYTES, end - start))
        if not piece:
            raise _bad_member("goes on after the archive's end")
        start += len(piece)
        yield piece


def _bad_member(what: str) -> DeliveryError:
    return DeliveryError(
        f"The member {what}.", code="bad_compression", remedy="Deliver the archive once more."
    )


class _Spooled:
    """A temporary file as an ``Original``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)

    def read_at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def is_unchanged(self) -> bool:
        return True

    def close(self) -> None:
        return None
