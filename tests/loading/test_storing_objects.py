"""Loads from an object store, with archive and rejected files there or in folders."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sluice.errors import RetriableError
from sluice.landing.file_systems import connected
from sluice.pipeline.overview import source_states
from sluice.registry import Registry
from sluice.settings import Settings, StorageUrl
from tests.loading.conftest import HEADER, ORDERS, Shop
from tests.object_storage import Bucket


@pytest.fixture
def store(shop: Shop, bucket: Bucket) -> Shop:
    places = {
        name: StorageUrl.parse(bucket.url(name)) for name in ("landing", "archive", "rejected")
    }
    shop.settings = shop.settings.model_copy(update=places)
    return shop


def sha256s(bucket: Bucket) -> dict[str, list[str]]:
    return {
        area: sorted(hashlib.sha256(bucket.get(key)).hexdigest() for key in bucket.keys(f"{area}/"))
        for area in ("landing", "archive", "rejected")
    }


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def orders(rows: str) -> bytes:
    return (HEADER + rows).encode()


def test_files_are_loaded_skipped_corrected_and_rejected(store: Shop, bucket: Bucket) -> None:
    first, second = orders("1,ink,2\n2,pen,3\n"), gzip.compress(orders("3,pad,1\n"))
    bad = orders("x,ink,2\n" * 200)
    bucket.put("landing/orders/a.csv", first)
    bucket.put("landing/orders/b.csv.gz", second)
    bucket.put("landing/orders/bad.csv", bad)
    assert store.outcomes() == [("loaded", "new"), ("loaded", "new"), ("rejected", "new")]
    assert [row[0] for row in store.rows()] == ["a.csv", "a.csv", "b.csv.gz"]
    assert sha256s(bucket) == {
        "landing": [],
        "archive": sorted([sha256(first), sha256(second)]),
        "rejected": [sha256(bad)],
    }
    (path,) = store.query("select stored_path from ops.loads where file_name = 'a.csv'")[0]
    assert bucket.get(path) == first

    bucket.put("landing/orders/a.csv", first)
    bucket.put("landing/orders/c.csv", first)
    assert store.outcomes() == [("skipped", "same_again"), ("skipped", "redelivery")]
    bucket.put("landing/orders/a.csv", orders("1,ink,2\n2,pencil,3\n"))
    assert store.outcomes() == [("loaded", "correction")]
    assert [row[3] for row in store.rows()] == ["ink", "pencil", "pad"]


def test_members_of_an_archive_are_read_where_it_lies(store: Shop, bucket: Bucket) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", orders("1,ink,2\n" * 100_000))
        archive.writestr("b.csv", orders("2,pen,3\n"))
    bucket.put("landing/orders/day.zip", data.getvalue())
    assert store.outcomes() == [("loaded", "new"), ("loaded", "new")]
    assert len(store.rows()) == 100_001
    assert sha256s(bucket)["archive"] == [sha256(data.getvalue())]


@pytest.mark.parametrize("places", [("landing",), ("archive", "rejected")])
def test_areas_may_be_folders_and_object_stores_side_by_side(
    store: Shop, bucket: Bucket, places: tuple[str, ...], tmp_path: Path
) -> None:
    folders = {
        name: tmp_path / name for name in ("landing", "archive", "rejected") if name not in places
    }
    store.settings = store.settings.model_copy(update=folders)
    good, bad = orders("1,ink,2\n"), orders("x,ink,2\n" * 200)
    for name, data in (("good.csv", good), ("bad.csv", bad)):
        if "landing" in places:
            bucket.put(f"landing/orders/{name}", data)
        else:
            store.folder.mkdir(parents=True, exist_ok=True)
            (store.folder / name).write_bytes(data)
            os.utime(store.folder / name)
    store.load()
    found = sha256s(bucket)
    for name, folder in folders.items():
        found[name] = [sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    assert found == {"landing": [], "archive": [sha256(good)], "rejected": [sha256(bad)]}


def test_loaded_files_are_deleted_where_the_registry_says_so(store: Shop, bucket: Bucket) -> None:
    store.source = type(ORDERS).model_validate({**ORDERS.model_dump(), "after_load": "delete"})
    bucket.put("landing/orders/a.csv", orders("1,ink,2\n"))
    store.load()
    assert bucket.keys() == []
    assert store.query("select stored_at is null from ops.loads") == [(False,)]


# Each costs the start of Airflow's file system twice; what is left out is between the same lines.
STEPS = [
    ("sluice.loading.storing", "take", "before"),
    ("sluice.landing.object_store", "ObjectStore._copy_within", "after"),
    ("sluice.loading.storing", "ledger.mark_stored", "before"),
]


# In a process of its own: the threads of Airflow's file system do not outlive a fork.
DRIVER = """
import sys
from sluice.settings import Settings
from tests.loading.conftest import ORDERS
from tests.loading.kills import load_and_die

load_and_die(Settings.model_validate_json(sys.stdin.read()), ORDERS, *sys.argv[1:])
"""


def killed_process(settings: Settings, *step: str) -> int:
    document = settings.model_dump(mode="json")
    document["warehouse"] = settings.warehouse.get_secret_value()
    return subprocess.run(
        [sys.executable, "-c", DRIVER, *step], input=json.dumps(document), text=True, check=False
    ).returncode


@pytest.mark.parametrize(
    ("module", "name", "moment"), STEPS, ids=[f"{moment} {name}" for _, name, moment in STEPS]
)
def test_a_kill_leaves_no_trace(
    store: Shop, bucket: Bucket, module: str, name: str, moment: str
) -> None:
    data = orders("1,ink,2\n")
    bucket.put("landing/orders/a.csv", data)
    assert killed_process(store.settings, module, name, moment) == -signal.SIGKILL
    for _ in range(2):
        store.load()
        assert store.query("select outcome, stored_at is null from ops.loads") == [
            ("loaded", False)
        ]
        assert store.rows() == [("a.csv", 1, 1, "ink")]
        assert sha256s(bucket) == {"landing": [], "archive": [sha256(data)], "rejected": []}


def test_a_store_that_goes_away_is_an_error_to_retry(
    store: Shop, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("landing/orders/a.csv", orders("1,ink,2\n"))
    files = connected(StorageUrl.parse(bucket.url("landing")), store.settings.home)

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("nobody answers")

    for call in ("open", "cp_file"):
        with monkeypatch.context() as patch:
            patch.setattr(files, call, away)
            with pytest.raises(RetriableError, match="nobody answers"):
                store.load()
    store.load()
    assert store.rows() == [("a.csv", 1, 1, "ink")]
    assert len(sha256s(bucket)["archive"]) == 1


def test_status_shows_what_waits_there(store: Shop, bucket: Bucket) -> None:
    bucket.put("landing/orders/a.csv", orders("1,ink,2\n"))
    bucket.put("landing/orders/deep/b.csv", orders("1,ink,2\n"))
    registry = Registry(sources={"orders": ORDERS}, pipelines={})
    (state,) = source_states(store.connection, store.settings, registry)
    assert state.waiting == 1
    assert state.refused == (("deep", "is a folder, not a file; it is never opened"),)
