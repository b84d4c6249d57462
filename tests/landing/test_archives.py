"""What a zip archive may hold: each member a delivery, nothing extracted, nothing believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.landing.archives import members_of
from sluice.landing.compression import Limits, default_limits
from sluice.landing.content import DeliveryContent
from sluice.landing.zone import Delivery, local_delivery
from sluice.registry import Source

Contents = list[tuple[str | zipfile.ZipInfo, bytes]]


def source(**more: object) -> Source:
    fields = {"description": "x", "owner": "y", "columns": {"a": {"data_type": "text"}}}
    return Source.model_validate({"name": "orders", **fields, **more})


def packed(contents: Contents, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are there twice
        with zipfile.ZipFile(data, "w", method) as archive:
            for name, content in contents:
                archive.writestr(name, content)
    return data.getvalue()


def deliver(folder: Path, data: bytes, name: str = "day.zip") -> Delivery:
    (folder / name).write_bytes(data)
    return local_delivery(folder / name, "orders")


def members(archive: Delivery, **limits: int) -> list[Delivery]:
    found = members_of(archive, source(), Limits(**{**vars(default_limits()), **limits}))
    assert found is not None
    return found


def read(delivery: Delivery) -> tuple[bytes, str]:
    with DeliveryContent(delivery) as content:
        return b"".join(content.chunks()), content.verify()


def refusals(found: list[Delivery]) -> dict[str, str]:
    return {
        delivery.file_name.partition("!")[2]: delivery.refusal[1]
        for delivery in found
        if delivery.refusal
    }


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2], ids=str
)
def test_each_member_is_a_delivery_with_its_own_hash(tmp_path: Path, method: int) -> None:
    contents: Contents = [("b.csv", b"a\n1\n" * 100_000), ("a.csv", b""), ("c.csv", b"a\n")]
    found = members(deliver(tmp_path, packed(contents, method)))

    assert [delivery.file_name for delivery in found] == [
        "day.zip!b.csv",
        "day.zip!a.csv",
        "day.zip!c.csv",
    ]
    for delivery, (_, content) in zip(found, contents, strict=True):
        assert delivery.content_bytes == len(content)
        assert read(delivery) == (content, hashlib.sha256(content).hexdigest())


def test_a_members_content_can_be_compressed_and_seekable(tmp_path: Path) -> None:
    inner = gzip.compress(b"a\n1\n")
    (delivery,) = members(deliver(tmp_path, packed([("a.csv.gz", inner)])))
    with DeliveryContent(delivery) as content:
        assert content.head(100) == b"a\n1\n"
        with content.opener(seekable=True) as file:
            file.seek(2)
            assert file.read() == b"1\n"
        assert content.verify() == hashlib.sha256(inner).hexdigest()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder/a.csv", "lies in a folder"),
        ("folder\\a.csv", "lies in a folder"),
        ("folder/", "is a folder"),
        ("/etc/passwd", "leads out of the archive"),
        ("../a.csv", "leads out of the archive"),
        ("x/../../a.csv", "leads out of the archive"),
        ("..", "leads out of the archive"),
        ("C:\\a.csv", "leads out of the archive"),
        ("n" * 256, "not one that a file can have"),
    ],
)
def test_hostile_paths_are_refused_and_keep_no_other_back(
    tmp_path: Path, name: str, reason: str
) -> None:
    archive = deliver(tmp_path, packed([(name, b"a\n"), ("good.csv", b"a\n1\n")]))
    found = members(archive)

    assert len(found) == 2
    assert reason in next(iter(refusals(found).values()))
    assert read(found[1])[0] == b"a\n1\n"
    with DeliveryContent(found[0]) as content:
        for reading in (lambda: content.head(1), content.chunks, content.opener):
            with pytest.raises(DeliveryError) as error:
                reading()
            assert error.value.code == "refused_member"
        whole = (tmp_path / "day.zip").read_bytes()
        assert content.fingerprint() == hashlib.sha256(whole).hexdigest()
    assert list(tmp_path.iterdir()) == [tmp_path / "day.zip"]


@pytest.mark.parametrize(
    "name",
    [
        "with space.csv",
        "new\nline.csv",
        "quote'\".csv",
        "-rf.csv",
        "ü.csv",
        "a!b.csv",
        "n" * 255,
        "$(touch x).csv",
        "day.zip",
        "A.csv",
        "a.csv ",
    ],
)
def test_hostile_names_are_members_like_any_other(tmp_path: Path, name: str) -> None:
    found = members(deliver(tmp_path, packed([(name, b"a\n1\n"), ("a.csv", b"a\n2\n")])))
    assert [read(delivery)[0] for delivery in found] == [b"a\n1\n", b"a\n2\n"]
    assert len({delivery.file_name for delivery in found}) == 2


def test_names_that_are_not_utf8_come_as_the_bytes_they_are(tmp_path: Path) -> None:
    data = packed([("AAAA.csv", b"a\n"), ("BBBB.csv", b"a\n")])
    data = data.replace(b"AAAA", b"\xc3\xbc\xff\xfe").replace(b"BBBB", b"\xc3\xbcBB")
    names = [delivery.file_name for delivery in members(deliver(tmp_path, data))]
    assert names == [r"day.zip!ü\xff\xfe.csv", "day.zip!üBB.csv"]


def test_a_name_that_says_utf8_and_is_not_makes_the_archive_unreadable(tmp_path: Path) -> None:
    data = packed([("üü.csv", b"a\n")]).replace("üü".encode(), b"\xff\xfe\xff\xfe")
    (archive,) = members(deliver(tmp_path, data))
    assert archive.refusal
    assert archive.refusal[0] == "bad_compression"


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    data = packed([("aNULb.csv", b"a\n")]).replace(b"NUL", b"x\0y")
    assert refusals(members(deliver(tmp_path, data))) == {
        r"ax\x00yb.csv": "Its name is not one that a file can have."
    }


def test_names_that_stand_there_twice_are_refused_once(tmp_path: Path) -> None:
    contents: Contents = [("a.csv", b"a\n1\n"), ("b.csv", b"a\n"), ("a.csv", b"a\n2\n")]
    found = members(deliver(tmp_path, packed(contents)))
    assert [delivery.file_name for delivery in found] == ["day.zip!a.csv", "day.zip!b.csv"]
    assert refusals(found) == {"a.csv": "The archive has 2 members of this name."}


def test_links_and_encrypted_members_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.csv")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    data = bytearray(packed([(link, b"/etc/passwd"), ("secret.csv", b"a\n")]))
    line = data.rindex(b"PK\1\2")  # the directory's line of the second
    data[line + 8] |= 1
    found = members(deliver(tmp_path, bytes(data)))
    assert refusals(found) == {
        "link.csv": "It is a link, not a file.",
        "secret.csv": "It is encrypted.",
    }


def test_what_programs_add_to_archives_is_passed_over(tmp_path: Path) -> None:
    names = ["__MACOSX/._a.csv", ".DS_Store", "a.csv"]
    found = members(deliver(tmp_path, packed([(name, b"a\n") for name in names])))
    assert [delivery.file_name for delivery in found] == ["day.zip!a.csv"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (packed([]), "empty_archive"),
        (packed([(".hidden", b"a\n")]), "empty_archive"),
        (packed([("a.csv", b"a\n" * 500)])[:-30], "bad_compression"),
        (packed([("a.csv", b"a\n")])[:20], "bad_compression"),
        (packed([("[Content_Types].xml", b"<x/>"), ("xl/a.xml", b"<x/>")]), "bad_compression"),
        (packed([(f"{number}.csv", b"") for number in range(11)]), "too_large"),
        (packed([("a.csv", b"a\n" * 50_000), ("b.csv", b"a\n")]), "too_large"),
    ],
    ids=["empty", "hidden", "cut off", "cut at the start", "office", "members", "size"],
)
def test_an_archive_that_cannot_be_used_is_rejected_as_one(
    tmp_path: Path, data: bytes, code: str
) -> None:
    archive = deliver(tmp_path, data)
    (found,) = members(archive, archive_members=10, unpacked_bytes=100_000)
    assert found.file_name == "day.zip"
    assert found.refusal
    assert found.refusal[0] == code


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """As in archives of a few kilobytes that unpack to terabytes."""
    data = packed([("a.csv", b"a\n" * 9), ("b.csv", b"a\n" * 9), ("c.csv", b"a\n")])
    lines = [place for place in range(len(data)) if data.startswith(b"PK\1\2", place)]
    broken = bytearray(data)
    broken[lines[1] + 42 : lines[1] + 46] = struct.pack("<L", 3)  # b begins within a
    found = members(deliver(tmp_path, bytes(broken)))
    assert set(refusals(found)) == {"a.csv", "b.csv"}
    assert read(found[2])[0] == b"a\n"


def wrong_size(line: bytearray) -> None:
    line[24:28] = struct.pack("<L", 10)


def wrong_checksum(line: bytearray) -> None:
    line[16] ^= 1


def wrong_place(line: bytearray) -> None:
    line[42:46] = struct.pack("<L", 1)


def beyond_the_end(line: bytearray) -> None:
    line[20:24] = struct.pack("<L", 10_000)


@pytest.mark.parametrize("lie", [wrong_size, wrong_checksum, wrong_place, beyond_the_end])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_directory_that_lies_is_found_out(
    tmp_path: Path, lie: Callable[[bytearray], None], method: int
) -> None:
    data = packed([("a.csv", b"a\n" * 9)], method)
    place = data.index(b"PK\1\2")
    line = bytearray(data[place:])
    lie(line)
    (found,) = members(deliver(tmp_path, data[:place] + bytes(line)))
    with pytest.raises(DeliveryError) as error:
        read(found)
    assert error.value.code in ("bad_compression", "refused_member")
    with DeliveryContent(found) as content:
        assert len(content.fingerprint()) == 64


@given(data=st.data())
def test_any_wrong_byte_is_refused_or_says_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents: Contents = [("a.csv", b"a\n1\n" * 5), ("b.csv", b"a\n2\n" * 5)]
    whole = bytearray(packed(contents))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("zip")
    found = members_of(deliver(folder, bytes(whole)), source(), default_limits()) or []
    for delivery in found:
        try:
            content = read(delivery)[0]
        except DeliveryError:
            continue
        assert content in [content for _, content in contents]


def test_what_begins_otherwise_is_no_archive_and_workbooks_are_left_whole(tmp_path: Path) -> None:
    limits = default_limits()
    plain = deliver(tmp_path, b"a,b\n", "a.zip")
    assert members_of(plain, source(), limits) is None
    workbook = deliver(tmp_path, packed([("a.csv", b"a\n")]), "a.xlsx")
    assert members_of(workbook, source(format="excel"), limits) is None
