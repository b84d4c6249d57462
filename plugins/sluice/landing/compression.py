"""Compressed bytes into plain ones: seen by content, streamed, held to caps.

A step below ``reading``, because a delivery's hash is of the bytes as they were delivered and both
are had from one pass over the file.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import zstandard

from sluice.errors import DeliveryError
from sluice.settings import Settings

Compression = Literal["gzip", "bzip2", "xz", "zstd"]

# How much is unpacked at once. From 64 KiB to 1 MiB the speed did not differ; it bounds memory.
PIECE_BYTES = 1 << 18

# The first bytes that tell what a file is; so many are enough to know.
HEAD_BYTES = 10

# Below this, what a file unpacks to does no harm, however well it was compressed.
_RATIO_MATTERS_FROM = 100_000_000

# What unpacking may need beside its output: `xz -9` needs 65 MB, `zstd --long` 128 MB.
_WINDOW_BYTES = 1 << 27

# A zstd frame can hold 32,000 times its bytes and its decoder gives all that it has: fed in such
# small steps, that is 32 MB at most. 60 MB in steps of 1 KiB cost 0.1 s.
_ZSTD_STEP_BYTES = 1 << 10

_GZIP = b"\x1f\x8b\x08"
_XZ = b"\xfd7zXZ\0"
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"

# What senders also use and Sluice does not unpack: better said than rejected record by record.
_TAR = (b"ustar\x0000", b"ustar  \0")  # POSIX's and GNU's
_TAR_PLACE = 257

# The first bytes of unpacked content that tell whether it is a tar archive.
TAR_BYTES = _TAR_PLACE + 8

_FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x1f\x9d": "compress (.Z)",
}


@dataclass(frozen=True)
class Limits:
    """How much a delivery may unpack to; see the settings of the same names."""

    unpacked_bytes: int
    compression_ratio: int
    archive_members: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits of an instance."""
        return cls(
            settings.max_unpacked_bytes,
            settings.max_compression_ratio,
            settings.max_archive_members,
        )

    def hold(self, unpacked: int, packed: int) -> None:
        """Refuse what has unpacked to too many bytes.

        Raises:
            DeliveryError: with the code ``too_large``.
        """
        if unpacked > self.unpacked_bytes:
            raise DeliveryError(
                f"It unpacks to more than {self.unpacked_bytes:,} bytes.",
                code="too_large",
                remedy="Deliver it in parts, or raise SLUICE_MAX_UNPACKED_BYTES.",
            )
        if unpacked > max(_RATIO_MATTERS_FROM, packed * self.compression_ratio):
            raise DeliveryError(
                f"It unpacks to more than {self.compression_ratio:,} times its size, as files do"
                " that are made to fill a disk.",
                code="too_large",
                remedy="If it is sound, raise SLUICE_MAX_COMPRESSION_RATIO.",
            )


def default_limits() -> Limits:
    """The limits of an instance whose settings say nothing of them."""
    fields = Settings.model_fields
    return Limits(
        fields["max_unpacked_bytes"].default,
        fields["max_compression_ratio"].default,
        fields["max_archive_members"].default,
    )


def compression_of(head: bytes) -> Compression | None:
    """How a file is compressed, from its first ``HEAD_BYTES`` bytes; None where it is not.

    Raises:
        DeliveryError: in a way that Sluice does not unpack.
    """
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(b"BZh") and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    if head.startswith(_XZ):
        return "xz"
    if head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPABLE and head[0] >> 4 == 5):
        return "zstd"
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise DeliveryError(
                f"It is compressed with {name}, which Sluice does not unpack.",
                code="bad_compression",
                remedy="Deliver it plain, or as gzip, bzip2, xz, zstd or zip.",
            )
    return None


def refuse_tar(head: bytes) -> None:
    """Refuse what begins, unpacked, as a tar archive does.

    Raises:
        DeliveryError: it does.
    """
    if head.startswith(_TAR, _TAR_PLACE):
        raise DeliveryError(
            "It is a tar archive, which Sluice does not take apart.",
            code="bad_compression",
            remedy="Deliver its files one by one, or in a zip archive.",
        )


def unpacked(packed: Iterable[bytes], compression: Compression, limits: Limits) -> Iterator[bytes]:
    """Unpack a stream that may have several members, one after the other.

    Args:
        packed: the compressed bytes, in pieces of any size.
        compression: how they are compressed.
        limits: what they may unpack to.

    Raises:
        DeliveryError: the stream is cut off or broken (``bad_compression``), or unpacks to too
            much (``too_large``).
    """
    return _Unpacking(_DECODERS[compression], limits, compression).pieces(packed)


def unpacked_member(packed: Iterable[bytes], method: int, limits: Limits) -> Iterator[bytes]:
    """Unpack a zip member's stream, of which there is exactly one.

    Args:
        packed: the compressed bytes of the member, and none after them.
        method: the number of the method in the archive's directory: one of ``MEMBER_METHODS``.
        limits: what they may unpack to.

    Raises:
        DeliveryError: as ``unpacked`` does.
    """
    if method == STORED:
        return iter(packed)
    name = MEMBER_METHODS[method]
    return _Unpacking(_DECODERS[name], limits, name, is_repeatable=False).pieces(packed)


class _Decoder(Protocol):
    """What the decoders of bz2 and lzma are; the others are made to look like them."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Deflate:
    """zlib's decoder, which hands back what it has not consumed."""

    def __init__(self, window_bits: int) -> None:
        self._decoder = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


class _Zstandard:
    """One frame of zstd, fed in steps so small that what they give is bounded."""

    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._decoder = decompressor.decompressobj()
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data + self._waiting

    def decompress(self, data: bytes, max_length: int) -> bytes:
        waiting = self._waiting + data
        given: list[bytes] = []
        size = place = 0
        while place < len(waiting) and size < max_length and not self._decoder.eof:
            given.append(self._decoder.decompress(waiting[place : place + _ZSTD_STEP_BYTES]))
            size += len(given[-1])
            place += _ZSTD_STEP_BYTES
        self._waiting = waiting[place:]
        return b"".join(given)


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Deflate(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Deflate(-zlib.MAX_WBITS),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW_BYTES),
    "zstd": _Zstandard,
}

# The methods of zip members that Sluice unpacks, by their numbers in PKWARE's APPNOTE, 4.4.5.
STORED = 0
MEMBER_METHODS = {STORED: "stored", 8: "deflate", 12: "bzip2", 93: "zstd", 95: "xz"}

_BROKEN = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, zstandard.ZstdError)


class _Unpacking:
    """One pass over a compressed stream, with its counts."""

    def __init__(
        self,
        decoder: Callable[[], _Decoder],
        limits: Limits,
        name: str,
        *,
        is_repeatable: bool = True,
    ) -> None:
        self._new_decoder = decoder
        self._limits = limits
        self._name = name
        self._is_repeatable = is_repeatable
        self._packed = 0
        self._unpacked = 0

    def pieces(self, packed: Iterable[bytes]) -> Iterator[bytes]:
        """The plain bytes, in pieces of about ``PIECE_BYTES``."""
        decoder: _Decoder | None = self._new_decoder()
        for piece in packed:
            self._packed += len(piece)
            rest = piece
            while rest:
                if decoder is None:
                    # Zeros fill up tapes and blocks; anything else has to be another member.
                    rest = rest.lstrip(b"\0")
                    if not rest:
                        break
                    decoder = self._next_decoder()
                yield from self._decoded(decoder, rest)
                rest = b""
                if decoder.eof:
                    rest, decoder = decoder.unused_data, None
        if decoder is not None:
            yield from self._decoded(decoder, b"")
            if not decoder.eof:
                raise self._bad("ends in the middle: it was not delivered whole")

    def _next_decoder(self) -> _Decoder:
        if not self._is_repeatable:
            raise self._bad("goes on after its end")
        return self._new_decoder()

    def _decoded(self, decoder: _Decoder, data: bytes) -> Iterator[bytes]:
        while not decoder.eof:
            try:
                plain = decoder.decompress(data, PIECE_BYTES)
            except _BROKEN as error:
                raise self._explain(error) from None
            data = b""
            self._unpacked += len(plain)
            self._limits.hold(self._unpacked, self._packed)
            if plain:
                yield plain
            elif decoder.needs_input:
                return

    def _explain(self, error: Exception) -> DeliveryError:
        if any(words in str(error) for words in ("Memory usage limit", "too much memory")):
            return DeliveryError(
                f"Unpacking it ({self._name}) needs more than {_WINDOW_BYTES >> 20} MiB of memory.",
                code="too_large",
                remedy="Compress it with a smaller window, such as the program's default.",
            )
        return self._bad(f"is broken ({error})")

    def _bad(self, what: str) -> DeliveryError:
        return DeliveryError(
            f"The compressed stream ({self._name}) {what}; {self._packed:,} of its bytes unpacked"
            f" to {self._unpacked:,}.",
            code="bad_compression",
            remedy="Deliver the file once more.",
        )
