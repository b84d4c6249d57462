"""Loads from an SFTP drop, with archive and rejected files there."""

from __future__ import annotations

import gzip
import signal

import pytest

from sluice.settings import StorageUrl
from tests.loading.conftest import HEADER, Shop
from tests.loading.test_storing_objects import killed_process
from tests.sftp_server import FileServer


@pytest.fixture
def store(shop: Shop, drop: FileServer) -> Shop:
    places = {area: StorageUrl.parse(drop.url(area)) for area in ("landing", "archive", "rejected")}
    shop.settings = shop.settings.model_copy(update=places)
    return shop


def orders(rows: str) -> bytes:
    return (HEADER + rows).encode()


def by_area(drop: FileServer) -> dict[str, list[tuple[str, bytes]]]:
    """Each area's files, by their own names."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for path, data in drop.files().items():
        found.setdefault(path.split("/")[0], []).append((path.rpartition("/")[2], data))
    return {area: sorted(files) for area, files in found.items()}


def test_files_are_loaded_skipped_corrected_and_rejected(store: Shop, drop: FileServer) -> None:
    first, second = orders("1,ink,2\n2,pen,3\n"), gzip.compress(orders("3,pad,1\n"))
    bad = orders("x,ink,2\n" * 200)
    drop.put('landing/orders/it\'s "a" b.csv', first)
    drop.put("landing/orders/b.csv.gz", second)
    drop.put("landing/orders/bad.csv", bad)
    assert sorted(store.outcomes()) == [("loaded", "new"), ("loaded", "new"), ("rejected", "new")]
    assert [row[3] for row in store.rows()] == ["pad", "ink", "pen"]
    assert by_area(drop) == {
        "archive": [("b.csv.gz", second), ('it\'s "a" b.csv', first)],
        "rejected": [("bad.csv", bad)],
    }

    drop.put('landing/orders/it\'s "a" b.csv', first)
    drop.put("landing/orders/c.csv", first)
    assert store.outcomes() == [("skipped", "redelivery"), ("skipped", "same_again")]
    drop.put('landing/orders/it\'s "a" b.csv', orders("1,ink,2\n2,pencil,3\n"))
    assert store.outcomes() == [("loaded", "correction")]
    assert [row[3] for row in store.rows()] == ["pad", "ink", "pencil"]
    assert len(by_area(drop)["archive"]) == 5
    assert "landing" not in by_area(drop)


def test_a_kill_between_move_and_ledger_leaves_no_trace(store: Shop, drop: FileServer) -> None:
    data = orders("1,ink,2\n")
    drop.put("landing/orders/a.csv", data)
    step = ("sluice.landing.sftp_store", "SftpStore._renamed", "after")
    assert killed_process(store.settings, *step) == -signal.SIGKILL
    for _ in range(2):
        store.load()
        assert store.query("select outcome, stored_at is null from ops.loads") == [
            ("loaded", False)
        ]
        assert store.rows() == [("a.csv", 1, 1, "ink")]
        assert by_area(drop) == {"archive": [("a.csv", data)]}


def test_areas_may_be_a_folder_and_a_server_side_by_side(store: Shop, drop: FileServer) -> None:
    local = store.settings.home / "landing"
    store.settings = store.settings.model_copy(update={"landing": local})
    path = store.drop("a.csv", "1,ink,2\n")
    data = path.read_bytes()
    store.load()
    assert by_area(drop) == {"archive": [("a.csv", data)]}
    assert not path.exists()
