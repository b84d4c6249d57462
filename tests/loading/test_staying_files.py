"""Files that stay where they are delivered (``after_load: keep``): each content is loaded once."""

from __future__ import annotations

import os
import shutil
import zipfile
from typing import Any, NoReturn

import pytest

from sluice.errors import RetriableError
from sluice.loading.kept import Selection
from sluice.loading.replay import replay
from sluice.loading.withdrawal import withdraw
from sluice.orchestration.scan import CurrentRegistry, LandingZoneScan
from sluice.pipeline.overview import SourceState, source_states
from sluice.registry import Registry, Source
from sluice.settings import StorageUrl
from sluice.warehouse.connections import connect
from tests.loading.conftest import HEADER, ORDERS, Shop
from tests.loading.kills import killed_load
from tests.object_storage import Bucket


def keeping(**keys: Any) -> Source:
    return Source.model_validate({**ORDERS.model_dump(), "after_load": "keep", **keys})


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.source = keeping()
    return shop


def scan_of(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> LandingZoneScan:
    registry = Registry(sources={"orders": shop.source}, pipelines={})
    monkeypatch.setattr(CurrentRegistry, "read", lambda _: registry)
    return LandingZoneScan(shop.settings)


def states(shop: Shop, registry: Registry) -> list[SourceState]:
    """As ``sluice status`` asks."""
    with connect(shop.settings, "transformer", application_name="test") as connection:
        return source_states(connection, shop.settings, registry)


def seen(shop: Shop) -> list[tuple[Any, ...]]:
    """What lies in the landing zone, down to the inode."""
    status = [(path.name, path.stat()) for path in sorted(shop.folder.iterdir())]
    return [(name, one.st_ino, one.st_mtime_ns, one.st_nlink) for name, one in status]


def test_a_file_is_loaded_once_and_stays(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("bad.csv", "x,ink,2\n" * 200)
    shop.drop("copy.csv", "1,ink,2\n")
    before = seen(shop)

    assert shop.outcomes() == [("loaded", "new"), ("rejected", "new"), ("skipped", "redelivery")]
    assert [shop.outcomes(), shop.outcomes()] == [[], []]
    assert seen(shop) == before
    assert not shop.stored()["archive"]
    assert not shop.stored()["rejected"]
    assert shop.rows() == [("a.csv", 1, 1, "ink")]
    assert shop.query("select count(*) from ops.loads where stored_at is null") == [(0,)]


def test_a_changed_file_is_looked_at_again(shop: Shop) -> None:
    path = shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    os.utime(path, ns=(1, 1))
    assert shop.outcomes() == [("skipped", "same_again")]
    path.write_text(f"{HEADER}1,cup,2\n")
    assert shop.outcomes() == [("loaded", "correction")]
    assert shop.outcomes() == []
    assert shop.rows() == [("a.csv", 1, 1, "cup")]


def test_another_inode_alone_is_no_change(shop: Shop) -> None:
    path = shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.rename(path)
    assert shop.outcomes() == []


def test_an_archive_stays_with_all_its_members(shop: Shop) -> None:
    shop.folder.mkdir(parents=True)
    with zipfile.ZipFile(shop.folder / "all.zip", "w") as archive:
        archive.writestr("one.csv", f"{HEADER}1,ink,2\n")
        archive.writestr("bad.csv", f"{HEADER}x,ink,2\n" * 200)
    shop.source = keeping(file_glob="*")
    before = seen(shop)
    assert shop.outcomes() == [("loaded", "new"), ("rejected", "new")]
    assert shop.outcomes() == []
    assert seen(shop) == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_after_the_commit_doubles_nothing(shop: Shop, moment: str) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    killed_load(shop.settings, shop.source, "sluice.loading.loader", "storing.store", moment)
    assert shop.outcomes() == ([("skipped", "same_again")] if moment == "before" else [])
    assert shop.outcomes() == []
    assert shop.rows() == [("a.csv", 1, 1, "ink")]


def test_a_replay_reads_the_file_where_it_is(shop: Shop) -> None:
    path = shop.drop("a.csv", "1,ink,2\n2,pen,-3\n")
    shop.source = keeping(max_row_errors=0)
    assert shop.outcomes() == [("rejected", "new")]
    shop.source = keeping()
    again = Selection(("a.csv",))
    assert [entry.outcome for entry in replay(shop.settings, shop.source, again).entries] == [
        "loaded"
    ]
    assert shop.rows() == [("a.csv", 1, 1, "ink")]

    path.write_text(f"{HEADER}1,cup,2\n")
    report = replay(shop.settings, shop.source, again)
    assert report.entries == ()
    assert "other bytes than the ledger says" in report.left[0]


def test_a_withdrawn_file_does_not_come_back(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    withdraw(shop.settings, shop.source, "a.csv")
    assert shop.outcomes() == []
    assert shop.rows() == []


def test_the_newest_of_files_that_stay_is_the_whole_truth(shop: Shop) -> None:
    shop.source = keeping(write_disposition="replace")
    for number, name in enumerate(("b.csv", "a.csv")):
        os.utime(shop.drop(name, f"{number},ink,2\n"), ns=(number, number))
    shop.load()
    assert shop.rows() == [("a.csv", 1, 1, "ink")]
    assert shop.outcomes() == []


def test_files_that_stayed_are_archived_once_the_registry_says_so(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.source = ORDERS
    assert shop.outcomes() == [("skipped", "same_again")]
    assert [len(files) for files in shop.stored().values()] == [0, 1, 0]


def test_nothing_waits_once_it_was_loaded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(sources={"orders": shop.source}, pipelines={})
    scan = scan_of(shop, monkeypatch)
    shop.drop("a.csv", "1,ink,2\n")
    assert list(scan.look().waiting) == ["orders"]
    assert states(shop, registry)[0].waiting == 1
    shop.load()
    monkeypatch.setattr("sluice.orchestration.scan.REGISTRY_SECONDS", 0)
    assert not scan.look().waiting
    assert states(shop, registry)[0].waiting == 0
    # What is known of it is not asked again, also where there is nobody to ask.
    monkeypatch.setattr("sluice.orchestration.scan.connect", None)
    assert not scan.look().waiting


def test_a_file_waits_as_long_as_the_ledger_cannot_be_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    scan = scan_of(shop, monkeypatch)

    def away(*_: Any, **__: Any) -> NoReturn:
        raise RetriableError("The warehouse is away.")

    monkeypatch.setattr("sluice.orchestration.scan.connect", away)
    assert list(scan.look().waiting) == ["orders"]


def test_objects_stay_in_a_bucket(shop: Shop, bucket: Bucket) -> None:
    update = {"landing": StorageUrl.parse(bucket.url("landing"))}
    shop.settings = shop.settings.model_copy(update=update)
    bucket.put("landing/orders/a.csv", f"{HEADER}1,ink,2\n".encode())
    assert shop.outcomes() == [("loaded", "new")]
    assert shop.outcomes() == []
    bucket.put("landing/orders/a.csv", f"{HEADER}1,cup,2\n".encode())
    assert shop.outcomes() == [("loaded", "correction")]
    assert len(bucket.keys("landing/")) == 1
    assert shop.rows() == [("a.csv", 1, 1, "cup")]
