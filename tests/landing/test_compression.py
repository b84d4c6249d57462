"""Compression is seen by content, unpacked as a stream, and held to its caps."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.landing.compression import (
    Compression,
    Limits,
    compression_of,
    default_limits,
    unpacked,
)
from sluice.landing.streams import ahead

PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
EACH = pytest.mark.parametrize("compression", list(PACKERS))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def unpack(data: bytes, compression: Compression, size: int = 1000, **limits: int) -> bytes:
    held = Limits(**{**vars(default_limits()), **limits})
    return b"".join(unpacked(pieces(data, size), compression, held))


@given(
    parts=st.lists(st.binary(max_size=3000).map(lambda part: part * 7), min_size=1, max_size=4),
    size=st.integers(1, 5000),
    compression=st.sampled_from(list(PACKERS)),
)
def test_members_one_after_the_other_are_one_content(
    parts: list[bytes], size: int, compression: Compression
) -> None:
    packed = b"".join(PACKERS[compression](part) for part in parts)
    assert compression_of(packed[:10]) == compression
    assert unpack(packed, compression, size) == b"".join(parts)


@EACH
def test_a_stream_cut_off_anywhere_is_refused(compression: Compression) -> None:
    packed = PACKERS[compression](bytes(range(256)) * 3)
    for end in range(10, len(packed)):
        with pytest.raises(DeliveryError, match="ends in the middle") as error:
            unpack(packed[:end], compression)
        assert error.value.code == "bad_compression"


@EACH
def test_a_stream_with_a_wrong_byte_never_passes_for_another(compression: Compression) -> None:
    plain = bytes(range(256)) * 3
    packed = PACKERS[compression](plain)
    for place in range(len(packed)):
        broken = bytearray(packed)
        broken[place] ^= 0x55
        try:
            found = unpack(bytes(broken), compression)
        except DeliveryError:
            continue
        assert found == plain  # a byte that says nothing


@EACH
def test_what_follows_the_end_is_refused_unless_it_is_zeros(compression: Compression) -> None:
    packed = PACKERS[compression](b"a\n1\n")
    assert unpack(packed + bytes(512), compression) == b"a\n1\n"
    with pytest.raises(DeliveryError, match="is broken"):
        unpack(packed + b"something else", compression)


@EACH
def test_a_bomb_is_refused_in_little_memory(compression: Compression) -> None:
    packed = PACKERS[compression](bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(DeliveryError, match="times its size") as error:
        for _ in unpacked(pieces(packed, 1 << 18), compression, default_limits_with(ratio=100)):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.value.code == "too_large"
    assert peak < 80_000_000


def default_limits_with(ratio: int) -> Limits:
    limits = default_limits()
    return Limits(limits.unpacked_bytes, ratio, limits.archive_members)


@EACH
def test_more_bytes_than_the_cap_are_refused(compression: Compression) -> None:
    packed = PACKERS[compression](b"x" * 5000)
    assert unpack(packed, compression, unpacked_bytes=5000) == b"x" * 5000
    with pytest.raises(DeliveryError, match="4,999 bytes") as error:
        unpack(packed, compression, unpacked_bytes=4999)
    assert "SLUICE_MAX_UNPACKED_BYTES" in error.value.remedy


def test_a_frame_that_asks_for_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * 5000) + packer.flush()
    with pytest.raises(DeliveryError, match="128 MiB of memory"):
        unpack(packed, "zstd")


def test_frames_that_hold_no_content_are_passed_over() -> None:
    nothing = struct.pack("<II", 0x184D2A50, 4) + b"1234"
    packed = nothing + zstandard.compress(b"a,b\n")
    assert compression_of(packed[:10]) == "zstd"
    assert unpack(packed, "zstd") == b"a,b\n"


@pytest.mark.parametrize("head", [b"", b"a,b\n1,2\n", b"BZh9,x\n1,2", b"PK\3\4....", b"PAR1......"])
def test_what_is_not_compressed_is_left_alone(head: bytes) -> None:
    assert compression_of(head) is None


@pytest.mark.parametrize("head", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\0", b"\x1f\x9d\x90x"])
def test_what_cannot_be_unpacked_is_said(head: bytes) -> None:
    with pytest.raises(DeliveryError, match="which Sluice does not unpack"):
        compression_of(head)


def test_reading_ahead_changes_nothing_and_leaves_no_thread() -> None:
    before = threading.active_count()
    given_pieces = [bytes([number]) for number in range(50)]
    assert list(ahead(iter(given_pieces))) == given_pieces

    def failing() -> Iterator[bytes]:
        yield b"one"
        raise DeliveryError("broken", code="bad_compression")

    stream = ahead(failing())
    assert next(stream) == b"one"
    with pytest.raises(DeliveryError, match="broken"):
        next(stream)

    stream = ahead(b"x" for _ in range(1000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
