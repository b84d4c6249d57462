"""Deliveries on an SFTP drop, held against a real one that has no shell."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from sluice.errors import ConfigError, InternalError, RetriableError
from sluice.landing.content import DeliveryContent, StillChangingError
from sluice.landing.local_store import LocalStore
from sluice.landing.sftp_store import SftpStore
from sluice.landing.stores import Store
from sluice.landing.zone import Delivery, list_deliveries, store_at
from sluice.registry import Source
from sluice.settings import Settings, StorageUrl
from tests.object_storage import forget_connections
from tests.sftp_server import FileServer


@pytest.fixture
def zone(drop: FileServer, tmp_path: Path) -> Settings:
    return Settings(
        project=tmp_path, home=tmp_path / "home", landing=drop.url("in"), settle_seconds=0
    )


def source(name: str = "orders", **more: object) -> Source:
    fields = {"description": "x", "owner": "y", "columns": {"a": {"data_type": "text"}}}
    return Source.model_validate({"name": name, **fields, **more})


def listed(zone: Settings) -> list[Delivery]:
    return list_deliveries(zone, [source()]).deliveries


def kept(zone: Settings, drop: FileServer) -> Store:
    return store_at(zone, StorageUrl.parse(drop.url("kept")))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        b"plain.csv",
        b"with space.csv",
        b"quote'\".csv",
        b"-rf.csv",
        "ü.csv".encode(),
        b"not \xff utf-8.csv",
        b"two\nlines.csv",
        b"[a]*?.csv",
        b"x%20y.csv",
        b"a#b?c=d&e.csv",
        b"back\\slash.csv",
        b"n" * 255,
    ],
)
def test_hostile_names_are_deliveries_like_any_other(
    drop: FileServer, zone: Settings, name: bytes
) -> None:
    drop.put(b"in/orders/" + name, b"a\n1\n")
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        assert b"".join(content.chunks()) == b"a\n1\n"
        assert content.verify() == sha256(b"a\n1\n")
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    kept(zone, drop).put(taken, f"orders/x/{os.fsdecode(name)}", sha256(b"a\n1\n"))
    assert drop.files() == {f"kept/orders/x/{os.fsdecode(name)}": b"a\n1\n"}


def test_folders_links_and_temporary_names_are_no_deliveries(
    drop: FileServer, zone: Settings
) -> None:
    for name in ("a.csv", "b.csv.tmp", ".c.csv", "deep.csv/d.csv"):
        drop.put(f"in/orders/{name}", b"a\n")
    (drop.root / "in/orders/link.csv").symlink_to("a.csv")
    os.mkfifo(drop.root / "in/orders/pipe.csv")
    listing = list_deliveries(zone, [source(), source("absent")])
    assert [delivery.key for delivery in listing.deliveries] == ["orders/a.csv"]
    assert {refusal.file_name: refusal.reason for refusal in listing.refusals} == {
        name: f"is a {kind}, not a file; it is never opened"
        for name, kind in (("deep.csv", "folder"), ("link.csv", "link"), ("pipe.csv", "device"))
    }


def test_a_folder_that_cannot_be_listed_keeps_no_other_back(
    drop: FileServer, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("in/orders/a.csv", b"a\n")
    readdir = asyncssh.SFTPClient.readdir

    async def guarded(client: Any, path: str) -> Any:
        if path == "in/other":
            raise asyncssh.SFTPPermissionDenied("not for you")
        return await readdir(client, path)

    monkeypatch.setattr(asyncssh.SFTPClient, "readdir", guarded)
    listing = list_deliveries(zone, [source(), source("other")])
    assert [delivery.source for delivery in listing.deliveries] == ["orders"]
    (refusal,) = listing.refusals
    assert refusal.source == "other"
    assert "not for you" in refusal.reason


def test_a_file_waits_until_a_later_write_would_show(drop: FileServer, zone: Settings) -> None:
    path = drop.put("in/orders/a.csv", b"a\n")
    second = int(time.time())
    os.utime(path, (second, second))
    # The server tells no more than the second: within it, a second write would look the same.
    assert list_deliveries(zone, [source()]).unsettled == {"orders": 1} or time.time() > second + 1
    os.utime(path, (second - 1, second - 1))
    assert len(listed(zone)) == 1


def test_a_large_file_comes_in_blocks_and_can_be_sought(drop: FileServer, zone: Settings) -> None:
    data = b"".join(b"%d\n" % number for number in range(1_500_000))
    drop.put("in/orders/a.csv", data)
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        assert b"".join(content.chunks()) == data
        with content.opener(seekable=True) as file:
            file.seek(-5, 2)
            assert file.read() == data[-5:]
        assert content.verify() == sha256(data)


def test_another_file_in_its_place_is_noticed(drop: FileServer, zone: Settings) -> None:
    drop.put("in/orders/a.csv", b"old\n")
    (delivery,) = listed(zone)
    with DeliveryContent(delivery) as content:
        list(content.chunks())
        drop.put("in/orders/a.csv", b"new\n", age=5)
        with pytest.raises(StillChangingError):
            content.verify()
    with pytest.raises(StillChangingError), DeliveryContent(delivery):
        pass
    assert delivery.store.take(delivery.key, 7, delivery.state) is None
    (drop.root / "in/orders/a.csv").unlink()
    with pytest.raises(StillChangingError), DeliveryContent(delivery):
        pass


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_file_that_comes_while_the_old_one_moves_is_left_to_the_next_run(
    drop: FileServer, zone: Settings, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("in/orders/a.csv", b"old\n")
    (delivery,) = listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    rename = asyncssh.SFTPClient.rename

    async def and_a_delivery(client: Any, old: str, new: str) -> None:
        monkeypatch.undo()
        if moment == "before":
            drop.put("in/orders/a.csv", b"new\n", age=5)
        await rename(client, old, new)
        if moment == "after":
            drop.put("in/orders/a.csv", b"new\n", age=5)

    monkeypatch.setattr(asyncssh.SFTPClient, "rename", and_a_delivery)
    if moment == "before":
        with pytest.raises(StillChangingError):
            kept(zone, drop).put(taken, "x/a.csv", sha256(b"old\n"))
        assert drop.files() == {"in/orders/a.csv": b"new\n"}
    else:
        kept(zone, drop).put(taken, "x/a.csv", sha256(b"old\n"))
        assert drop.files() == {"in/orders/a.csv": b"new\n", "kept/x/a.csv": b"old\n"}


def test_nothing_is_overwritten_and_a_move_can_be_repeated(
    drop: FileServer, zone: Settings
) -> None:
    drop.put("in/orders/a.csv", b"old\n")
    drop.put("kept/a.csv", b"other\n")
    (delivery,) = listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    with pytest.raises(InternalError, match="holds other bytes"):
        kept(zone, drop).put(taken, "a.csv", sha256(b"old\n"))
    assert len(drop.files()) == 2
    drop.put("kept/a.csv", b"old\n")  # as when an attempt was cut off before the deletion
    again = delivery.store.taken_before(delivery.key, 7, sha256(b"old\n"))
    assert again is not None
    kept(zone, drop).put(again, "a.csv", sha256(b"old\n"))
    assert drop.files() == {"kept/a.csv": b"old\n"}


def test_files_move_to_and_from_folders_and_other_file_systems(
    drop: FileServer, zone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"a\n" * 1_000_000
    drop.put("in/orders/a.csv", data)
    local, (delivery,) = LocalStore(tmp_path / "local"), listed(zone)
    taken = delivery.store.take(delivery.key, 7, delivery.state)
    assert taken is not None
    local.put(taken, "x/a.csv", sha256(data))
    assert (tmp_path / "local/x/a.csv").read_bytes() == data
    back = local.take_again("x/a.csv", 8, sha256(data))
    assert back is not None
    delivery.store.put(back, "y/a.csv", sha256(data))
    assert drop.files() == {"in/y/a.csv": data}

    async def refused(*_: object) -> None:
        raise asyncssh.SFTPFailure("Invalid cross-device link")

    again = delivery.store.take_again("y/a.csv", 9, sha256(data))
    assert again is not None
    monkeypatch.setattr(asyncssh.SFTPClient, "rename", refused)
    kept(zone, drop).put(again, "z/a.csv", sha256(data))
    assert drop.files() == {"kept/z/a.csv": data}


@pytest.mark.parametrize("has_posix_rename", [True, False])
def test_a_new_file_appears_whole_or_not_at_all(
    drop: FileServer, zone: Settings, has_posix_rename: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "has_posix_rename", has_posix_rename)
    landing = store_at(zone, StorageUrl.parse(drop.url("in")))
    for data in (b"first", b"second"):
        with landing.new_file("orders/a.csv") as file:
            file.write(data)
        assert drop.files() == {"in/orders/a.csv": data}
    with pytest.raises(ZeroDivisionError), landing.new_file("orders/b.csv") as file:
        file.write(b"half of it"[: 1 // 0])
    (zone.project / "c.csv").write_bytes(b"c")
    changed = LocalStore(zone.project).take_again("c.csv", 8, sha256(b"c"))
    assert changed is not None
    with pytest.raises(StillChangingError):  # the bytes are not those of the ledger
        landing.put(changed, "orders/c.csv", sha256(b"other"))
    assert drop.files() == {"in/orders/a.csv": b"second"}


def test_a_server_that_hung_up_is_called_again(drop: FileServer, zone: Settings) -> None:
    drop.put("in/orders/a.csv", b"a\n")
    (delivery,) = listed(zone)
    drop.stop()
    listing = list_deliveries(zone, [source(), source("other")])
    assert [refusal.source for refusal in listing.refusals] == ["orders", "other"]
    with pytest.raises(RetriableError, match="cannot be used now"):
        delivery.store.original(delivery.key, delivery.state)
    drop.start()
    assert listed(zone) == [delivery]


def test_a_broken_channel_is_not_used_again(
    drop: FileServer, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("in/orders/a.csv", b"a\n")
    (delivery,) = listed(zone)
    assert isinstance(delivery.store, SftpStore)
    files = delivery.store.files

    def broken(*_: object, **__: object) -> None:
        raise asyncssh.SFTPBadMessage("Max packet size exceeded")

    monkeypatch.setattr(files, "info", broken)
    with pytest.raises(RetriableError):
        delivery.store.original(delivery.key, delivery.state)
    assert listed(zone) == [delivery]
    delivery.store.original(delivery.key, delivery.state).close()


def reconnect(monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DROP", connection)
    forget_connections()


def test_a_server_without_the_known_key_gets_no_login(
    drop: FileServer, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    store = store_at(zone, StorageUrl.parse(drop.url("in")))
    for extra in ({"host_key": other}, {"timeout": "10"}):  # ~/.ssh/known_hosts knows it neither
        reconnect(monkeypatch, drop.connection(**extra))
        with pytest.raises(ConfigError, match="does not have a key that is known") as error:
            store.sha256_of("orders/a.csv")
        assert "host_key" in error.value.remedy
    reconnect(monkeypatch, drop.connection(no_host_key_check="true"))
    assert store.sha256_of("orders/a.csv") is None
    forget_connections()


def test_a_refused_login_is_told_without_the_password(
    drop: FileServer, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconnect(monkeypatch, drop.connection().replace("loader-secret", "wrong-secret"))
    with pytest.raises(ConfigError, match="may not be used") as error:
        store_at(zone, StorageUrl.parse(drop.url("in"))).sha256_of("orders/a.csv")
    assert "wrong-secret" not in str(error.value)
    forget_connections()


def test_a_private_key_may_be_in_the_connection(
    drop: FileServer, zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {
        "private_key": drop.login_key.export_private_key().decode(),
        "host_key": drop.key.export_public_key().decode(),
    }
    without_password = {**json.loads(drop.connection(**extra)), "password": None}
    reconnect(monkeypatch, json.dumps(without_password))
    drop.put("in/orders/a.csv", b"a\n")
    assert len(listed(zone)) == 1
    forget_connections()


def test_an_address_without_a_connection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no connection"):
        SftpStore(StorageUrl.parse("sftp://in"), tmp_path).sha256_of("a.csv")


def test_an_absolute_folder_is_meant_from_the_root(drop: FileServer, zone: Settings) -> None:
    drop.put("in/orders/a.csv", b"a\n")
    absolute = zone.model_copy(update={"landing": StorageUrl.parse(drop.url("/in"))})
    assert [delivery.key for delivery in listed(absolute)] == ["orders/a.csv"]
