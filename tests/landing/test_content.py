"""The bytes that were hashed are the bytes that were read, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import zstandard

from sluice.errors import DeliveryError
from sluice.landing.compression import Limits, default_limits
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.zone import local_delivery

PLAIN = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * 7) for number in range(200_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
    "zstd": zstandard.compress,
}


def drop(folder: Path, data: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.fixture(params=list(PACKERS))
def packed(request: pytest.FixtureRequest) -> bytes:
    return PACKERS[request.param](PLAIN)


def test_content_is_plain_and_the_hash_that_of_what_was_delivered(
    tmp_path: Path, packed: bytes
) -> None:
    sha256 = hashlib.sha256(packed).hexdigest()
    with DeliveryContent(local_delivery(drop(tmp_path, packed))) as content:
        assert content.head(5) == PLAIN[:5]
        assert content.head(len(PLAIN) + 1) == PLAIN
        assert b"".join(content.chunks()) == PLAIN
        assert content.verify() == sha256
        with content.opener() as file:
            assert file.read(3) == PLAIN[:3]
            assert file.read() == PLAIN[3:]
        with content.opener() as text:
            assert io.TextIOWrapper(text).readline() == "a,b\n"
        assert content.verify() == content.fingerprint() == sha256


def test_a_seekable_file_can_be_had_of_any(tmp_path: Path, packed: bytes) -> None:
    with DeliveryContent(local_delivery(drop(tmp_path, packed))) as content:
        for _ in range(2):
            with content.opener(seekable=True) as file:
                assert file.seek(-9, io.SEEK_END) == len(PLAIN) - 9
                assert file.read() == PLAIN[-9:]
                file.seek(0)
                assert file.read(4) == PLAIN[:4]
        assert content.verify() == hashlib.sha256(packed).hexdigest()


def test_an_empty_file_is_a_content_of_no_bytes(tmp_path: Path) -> None:
    with DeliveryContent(local_delivery(drop(tmp_path, b""))) as content:
        assert content.head(10) == b""
        assert list(content.chunks()) == []
        assert content.opener().read() == b""
        assert content.verify() == hashlib.sha256(b"").hexdigest()


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrunk(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def changed_within(path: Path) -> None:
    """One byte is another one, and the sender sets the time back."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"X")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(path: Path) -> None:
    drop(path.parent, path.read_bytes(), "other").rename(path)


@pytest.mark.parametrize("change", [grown, shrunk, changed_within, replaced, Path.unlink])
@pytest.mark.parametrize("reading", ["chunks", "opener", "seek", "fingerprint"])
def test_a_file_that_changes_while_it_is_read_is_never_taken_for_what_was_listed(
    tmp_path: Path, change: Callable[[Path], None], reading: str
) -> None:
    path = drop(tmp_path, PLAIN)
    with DeliveryContent(local_delivery(path)) as content:
        if reading == "chunks":
            for number, _ in enumerate(content.chunks()):
                if number == 1:
                    change(path)
        elif reading == "opener":
            with content.opener() as file:
                file.read(1000)
                change(path)
                file.read()
        elif reading == "seek":
            with content.opener(seekable=True) as file:
                file.seek(1000)
                file.read(1000)
            change(path)
        else:
            content.fingerprint()
            change(path)
        with pytest.raises(StillChangingError, match="changed while it was read"):
            content.verify()


@pytest.mark.parametrize("change", [grown, replaced, Path.unlink])
def test_a_file_that_changed_since_it_was_listed_is_not_opened(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    delivery = local_delivery(path := drop(tmp_path, PLAIN))
    change(path)
    with pytest.raises(StillChangingError), DeliveryContent(delivery):
        pass


def test_a_broken_stream_is_refused_and_has_its_fingerprint(tmp_path: Path) -> None:
    data = gzip.compress(PLAIN)[:-100]
    with DeliveryContent(local_delivery(drop(tmp_path, data))) as content:
        assert content.head(4) == b"a,b\n"
        with pytest.raises(DeliveryError, match="ends in the middle"):
            list(content.chunks())
        with pytest.raises(DeliveryError, match="ends in the middle"), content.opener() as file:
            file.read()
        with pytest.raises(DeliveryError, match="ends in the middle"):
            content.opener(seekable=True)
        assert content.fingerprint() == hashlib.sha256(data).hexdigest()


def test_the_limits_hold_for_what_is_spooled(tmp_path: Path) -> None:
    limits = Limits(1000, 10, default_limits().archive_members)
    path = drop(tmp_path, gzip.compress(PLAIN))
    with (
        DeliveryContent(local_delivery(path), limits) as content,
        pytest.raises(DeliveryError, match="more than 1,000 bytes"),
    ):
        content.opener(seekable=True)
