"""Deliveries in an object store, held against a server that speaks S3's protocol."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import ConfigError, InternalError
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.file_systems import connected
from sluice.landing.local_store import LocalStore
from sluice.landing.stores import Store
from sluice.landing.zone import Delivery, list_deliveries, store_at
from sluice.registry import Source
from sluice.settings import Settings, StorageUrl
from tests.object_storage import Bucket


@pytest.fixture
def zone(bucket: Bucket, tmp_path: Path) -> Settings:
    return Settings(
        project=tmp_path, home=tmp_path / "home", landing=bucket.url("in"), settle_seconds=0
    )


def source(name: str = "orders", **more: object) -> Source:
    fields = {"description": "x", "owner": "y", "columns": {"a": {"data_type": "text"}}}
    return Source.model_validate({"name": name, **fields, **more})


def listed(zone: Settings, *sources: Source) -> list[Delivery]:
    return list_deliveries(zone, sources or (source(),)).deliveries


def store(bucket: Bucket, prefix: str, home: Path) -> Store:
    return store_at(Settings(project=home, home=home), StorageUrl.parse(bucket.url(prefix)))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "plain.csv",
        "with space.csv",
        "quote'\".csv",
        "-rf.csv",
        "ü.csv",
        "[a]*?.csv",
        "x%20y.csv",
        "a#b?c=d&e.csv",
        "back\\slash.csv",
        "n" * 255,
        "a+b.csv",
        "{x}.csv",
        "A.csv",
    ],
)
def test_hostile_names_are_deliveries_like_any_other(
    bucket: Bucket, zone: Settings, name: str, tmp_path: Path
) -> None:
    bucket.put(f"in/orders/{name}", b"a\n1\n")
    bucket.put("in/orders/a.csv", b"a\n2\n")
    by_key = {delivery.key: delivery for delivery in listed(zone)}
    assert set(by_key) == {f"orders/{name}", "orders/a.csv"}
    delivery = by_key[f"orders/{name}"]
    with DeliveryContent(delivery) as content:
        assert b"".join(content.chunks()) == b"a\n1\n"
        assert content.verify() == sha256(b"a\n1\n")
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    store(bucket, "kept", tmp_path).put(taken, f"orders/x/{name}", sha256(b"a\n1\n"))
    assert sorted(bucket.keys()) == sorted([f"kept/orders/x/{name}", "in/orders/a.csv"])


def test_folders_marks_and_temporary_names_are_no_deliveries(
    bucket: Bucket, zone: Settings
) -> None:
    keys = ["", "a.csv", "b.csv.tmp", ".c.csv", "deep/d.csv", "/e.csv", "n" * 256]
    for key in [*(f"in/orders/{key}" for key in keys), "in/other/f.csv", "elsewhere/orders/g.csv"]:
        bucket.put(key, b"a\n")
    listing = list_deliveries(zone, [source()])
    assert [delivery.key for delivery in listing.deliveries] == ["orders/a.csv"]
    assert {refusal.file_name[:5]: refusal.reason for refusal in listing.refusals} == {
        "deep": "is a folder, not a file; it is never opened",
        "/": "is a folder, not a file; it is never opened",
        "nnnnn": "has a name of more than 255 bytes",
    }


def test_one_call_lists_the_folders_of_all_sources(
    bucket: Bucket, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [source(name) for name in ("first", "second", "third")]
    sources.append(source("nested", path="third/nested"))
    for name in ("first", "second", "third", "third/nested"):
        bucket.put(f"in/{name}/a.csv", b"a\n")
    files = connected(StorageUrl.parse(bucket.url("in")), zone.home)
    calls: list[str] = []
    call_s3 = files._call_s3

    async def counting(method: str, *arguments: Any, **named: Any) -> Any:
        calls.append(method)
        return await call_s3(method, *arguments, **named)

    monkeypatch.setattr(files, "_call_s3", counting)
    found = listed(zone, *sources)
    assert [(delivery.source, delivery.key) for delivery in found] == [
        ("first", "first/a.csv"),
        ("second", "second/a.csv"),
        ("third", "third/a.csv"),
        ("nested", "third/nested/a.csv"),
    ]
    assert calls == ["list_objects_v2"]


def test_what_was_just_written_may_be_written_again(bucket: Bucket, zone: Settings) -> None:
    bucket.put("in/orders/a.csv", b"a\n")
    patient = zone.model_copy(update={"settle_seconds": 60})
    listing = list_deliveries(patient, [source()])
    assert (listing.deliveries, dict(listing.unsettled)) == ([], {"orders": 1})


def test_large_files_come_in_blocks_and_can_be_sought(
    bucket: Bucket, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"".join(b"%d\n" % number for number in range(3_000_000))
    bucket.put("in/orders/a.csv", data)
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        assert content.head(4) == data[:4]
        assert b"".join(content.chunks()) == data
        with content.opener() as file:
            assert sum(map(len, iter(lambda: file.read(100_000), b""))) == len(data)
        with content.opener(seekable=True) as file:
            file.seek(-5, 2)
            assert file.read() == data[-5:]
        assert content.verify() == sha256(data)


def test_another_version_is_never_read_for_the_one_that_was_listed(
    bucket: Bucket, zone: Settings
) -> None:
    bucket.put("in/orders/a.csv", b"a" * (40 << 20))
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        pieces = content.chunks()
        next(pieces)
        bucket.put("in/orders/a.csv", b"b" * (40 << 20))
        with pytest.raises(StillChangingError):  # the store itself refuses to go on
            list(pieces)
    with pytest.raises(StillChangingError), DeliveryContent(delivery):
        pass


def test_another_version_after_the_last_byte_is_noticed(bucket: Bucket, zone: Settings) -> None:
    bucket.put("in/orders/a.csv", b"a\n")
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        list(content.chunks())
        bucket.put("in/orders/a.csv", b"b\n")
        with pytest.raises(StillChangingError):
            content.verify()


def test_a_file_that_goes_away_has_changed(bucket: Bucket, zone: Settings) -> None:
    bucket.put("in/orders/a.csv", b"a\n")
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        list(content.chunks())
        bucket.remove("in/orders/a.csv")
        with pytest.raises(StillChangingError):
            content.verify()
    with pytest.raises(StillChangingError), DeliveryContent(delivery):
        pass
    assert delivery.store.take(delivery.key, 7, delivery.state) is None


def test_a_new_file_in_the_place_of_a_loaded_one_is_left_alone(
    bucket: Bucket, zone: Settings, tmp_path: Path
) -> None:
    bucket.put("in/orders/a.csv", b"old\n")
    (delivery,) = listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    bucket.put("in/orders/a.csv", b"new\n")
    with pytest.raises(StillChangingError):
        store(bucket, "kept", tmp_path).put(taken, "a.csv", sha256(b"old\n"))
    taken.drop()
    assert bucket.keys() == ["in/orders/a.csv"]
    assert bucket.get("in/orders/a.csv") == b"new\n"


def test_nothing_is_overwritten_and_a_move_can_be_repeated(
    bucket: Bucket, zone: Settings, tmp_path: Path
) -> None:
    kept = store(bucket, "kept", tmp_path)
    bucket.put("in/orders/a.csv", b"old\n")
    bucket.put("kept/a.csv", b"other\n")
    (delivery,) = listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    with pytest.raises(InternalError, match="holds other bytes"):
        kept.put(taken, "a.csv", sha256(b"old\n"))
    assert len(bucket.keys()) == 2
    bucket.put("kept/a.csv", b"old\n")  # as when an attempt was cut off before the deletion
    again = delivery.store.taken_before(delivery.key, 7, sha256(b"old\n"))
    assert again is not None
    kept.put(again, "a.csv", sha256(b"old\n"))
    assert bucket.keys() == ["kept/a.csv"]
    assert delivery.store.taken_before(delivery.key, 7, sha256(b"old\n")) is None


def test_files_move_between_a_folder_and_an_object_store(
    bucket: Bucket, zone: Settings, tmp_path: Path
) -> None:
    data = b"a\n" * 6_000_000
    local = LocalStore(tmp_path / "local")
    bucket.put("in/orders/a.csv", data)
    (delivery,) = listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    local.put(taken, "x/a.csv", sha256(data))
    assert bucket.keys() == []
    assert (tmp_path / "local/x/a.csv").read_bytes() == data
    back = local.take_again("x/a.csv", 8, sha256(data))
    assert back is not None
    store(bucket, "back", tmp_path).put(back, "y/a.csv", sha256(data))
    assert bucket.get("back/y/a.csv") == data
    assert [path for path in (tmp_path / "local").rglob("*") if path.is_file()] == []


def test_what_is_half_written_never_appears(bucket: Bucket, tmp_path: Path) -> None:
    local = LocalStore(tmp_path)
    (tmp_path / "a.csv").write_bytes(b"a" * (12 << 20))
    taken = local.take_again("a.csv", 8, sha256(b"a" * (12 << 20)))
    assert taken is not None
    with pytest.raises(StillChangingError):  # the bytes are not those of the ledger
        store(bucket, "kept", tmp_path).put(taken, "a.csv", sha256(b"other"))
    assert bucket.keys() == []
    assert (tmp_path / ".sluice-8").exists()


def test_a_store_that_cannot_be_listed_is_a_reason_of_each_folder(tmp_path: Path) -> None:
    nowhere = Settings(project=tmp_path, home=tmp_path, landing="s3://nobody@bucket/in")
    listing = list_deliveries(nowhere, [source(), source("other")])
    assert [refusal.source for refusal in listing.refusals] == ["orders", "other"]
    assert "There is no connection nobody" in listing.refusals[0].reason


@pytest.mark.parametrize("protocol", ["gs", "abfs"])
def test_a_provider_that_is_missing_is_named(protocol: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Install apache-airflow-providers-"):
        connected(StorageUrl(protocol, "", "x"), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "s3://key:secret@bucket/x",
        "sftp://key:secret@/x",
        "ftp://host/x",
        "s3://",
        "s3://a@b@c/x",
        "s3:///x",
        "s3://c@/x",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="no address") as error:
        StorageUrl.parse(text)
    assert "secret" not in str(error.value)


def test_addresses_are_read_and_written_alike(tmp_path: Path) -> None:
    for text in ("s3://lake@bucket/in/x", "gs://bucket", "sftp://drop@in", "sftp://drop@/srv/in"):
        assert str(StorageUrl.parse(text)) == text
    settings = Settings(project=tmp_path, home=tmp_path, landing="s3://lake@bucket/in/")
    assert str(settings.landing) == "s3://lake@bucket/in"
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
