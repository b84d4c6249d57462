"""Archives through a load: a ledger entry for each member, one move, and kills in between."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from datetime import date
from pathlib import Path

import pytest

from sluice.landing.content import DeliveryContent
from sluice.loading import members, storing
from sluice.registry import Source
from tests.loading.conftest import HEADER, ORDERS, Shop
from tests.loading.test_kill import kill

LEDGER = "select file_name, outcome, delivery_kind, rows_loaded from ops.loads order by load_id"


def drop(shop: Shop, files: dict[str, str], name: str = "day.zip") -> Path:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, rows in files.items():
            archive.writestr(zipfile.ZipInfo(member), HEADER + rows)
    shop.folder.mkdir(parents=True, exist_ok=True)
    path = shop.folder / name
    path.write_bytes(data.getvalue())
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paths(shop: Shop) -> list[str | None]:
    return [path for (path,) in shop.query("select stored_path from ops.loads order by load_id")]


def test_each_member_is_loaded_and_the_archive_is_kept_whole(shop: Shop) -> None:
    whole = sha256(drop(shop, {"a.csv": "1,ink,2\n", "b.csv": "2,pen,3\n3,pad,1\n"}))
    report = shop.load()

    assert [entry.outcome for entry in report.entries] == ["loaded", "loaded"]
    assert shop.rows() == [
        ("day.zip!a.csv", 1, 1, "ink"),
        ("day.zip!b.csv", 1, 2, "pen"),
        ("day.zip!b.csv", 2, 3, "pad"),
    ]
    assert shop.stored() == {"landing": [], "archive": [whole], "rejected": []}
    (stored,) = (path for path in shop.settings.archive.rglob("*") if path.is_file())
    where = f"archive/{stored.relative_to(shop.settings.archive)}"
    assert paths(shop) == [f"{where}!a.csv", f"{where}!b.csv"]
    assert whole[:16] in where
    hashes = shop.query("select content_sha256 from ops.loads order by load_id")
    assert hashes[0][0] == hashlib.sha256((HEADER + "1,ink,2\n").encode()).hexdigest()


def test_members_are_corrected_and_skipped_like_files(shop: Shop) -> None:
    drop(shop, {"a.csv": "1,ink,2\n", "b.csv": "2,pen,3\n"})
    shop.load()
    drop(shop, {"a.csv": "1,ink,2\n", "b.csv": "2,pencil,3\n"})

    assert shop.outcomes() == [("skipped", "same_again"), ("loaded", "correction")]
    assert [row[3] for row in shop.rows()] == ["ink", "pencil"]
    assert len(shop.stored()["archive"]) == 2


def test_an_archive_with_a_bad_member_is_kept_with_the_rejected(shop: Shop) -> None:
    whole = sha256(
        drop(shop, {"a.csv": "1,ink,2\n", "bad.csv": "1,ink,-9\n", "folder/c.csv": "2,pen,3\n"})
    )
    shop.drop("other.csv", "7,cup,1\n")
    shop.load()

    assert [entry[:2] for entry in shop.query(LEDGER)][:1] == [("day.zip!a.csv", "loaded")]
    refused = shop.query("select outcome, reject_code from ops.loads where file_name ~ 'folder/c'")
    assert refused == [("rejected", "refused_member")]
    assert [row[0] for row in shop.rows()] == ["day.zip!a.csv", "other.csv"]
    assert shop.stored()["rejected"] == [whole]
    assert shop.stored()["landing"] == []
    assert not shop.query("select from ops.loads where stored_at is null")


@pytest.mark.parametrize("product", ["ink", "bad"])
def test_loaded_archives_are_deleted_where_the_registry_says_so(shop: Shop, product: str) -> None:
    """But never where a member was rejected: its bytes are all that its sender has to mend."""
    shop.source = Source.model_validate({**ORDERS.model_dump(), "after_load": "delete"})
    amount = "-1" if product == "bad" else "1"
    whole = sha256(drop(shop, {"a.csv": "1,ink,2\n", "b.csv": f"2,{product},{amount}\n"}))
    shop.load()
    expected = [whole] if product == "bad" else []
    assert shop.stored() == {"landing": [], "archive": [], "rejected": expected}
    assert all((path is None) == (product == "ink") for path in paths(shop))


def test_an_archive_that_cannot_be_read_is_rejected_as_one_file(shop: Shop) -> None:
    path = drop(shop, {"a.csv": "1,ink,2\n"})
    path.write_bytes(path.read_bytes()[:-25])
    whole = sha256(path)
    assert shop.load().rejected[0].reject_code == "bad_compression"
    assert shop.query("select file_name from ops.loads") == [("day.zip",)]
    assert shop.stored()["rejected"] == [whole]


def test_a_compressed_file_is_loaded_and_its_own_bytes_are_kept(shop: Shop) -> None:
    path = shop.drop("a.csv.gz", "")
    path.write_bytes(gzip.compress(f"{HEADER}1,ink,2\n".encode()))
    whole = sha256(path)
    assert shop.outcomes() == [("loaded", "new")]
    assert shop.rows() == [("a.csv.gz", 1, 1, "ink")]
    assert shop.stored()["archive"] == [whole]


def test_a_bomb_is_rejected_and_leaves_no_row(shop: Shop) -> None:
    shop.settings = shop.settings.model_copy(update={"max_unpacked_bytes": 200_000})
    path = shop.drop("a.csv.gz", "")
    path.write_bytes(gzip.compress((HEADER + "1,ink,2\n" * 50_000).encode()))
    assert shop.load().rejected[0].reject_code == "too_large"
    assert shop.rows() == []


def test_a_new_archive_in_the_place_of_one_half_loaded_is_loaded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, {"a.csv": "1,ink,2\n", "b.csv": "2,pen,3\n"})
    with monkeypatch.context() as patch:
        patch.setattr(members.storing, "store_archive", lambda *_: None)
        shop.load()
    whole = sha256(drop(shop, {"a.csv": "1,ink,2\n", "c.csv": "3,pad,3\n"}))
    shop.load()
    assert shop.rows() == [
        ("day.zip!a.csv", 1, 1, "ink"),
        ("day.zip!b.csv", 1, 2, "pen"),
        ("day.zip!c.csv", 1, 3, "pad"),
    ]
    assert shop.stored()["archive"] == [whole]
    shop.load()
    assert not shop.query("select from ops.loads where stored_at is null")


def test_an_archive_taken_away_half_loaded_is_given_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(shop, {"a.csv": "1,ink,2\n"})
    with monkeypatch.context() as patch:
        patch.setattr(members.storing, "store_archive", lambda *_: None)
        shop.load()
    path.unlink()
    shop.load()
    assert shop.query("select stored_path, stored_at is null from ops.loads") == [(None, False)]


def test_an_archive_that_changes_between_its_members_is_left_for_the_next_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(shop, {"a.csv": "1,ink,2\n", "b.csv": "2,pen,3\n"})
    verify = DeliveryContent.verify

    def changing(self: DeliveryContent) -> str:
        sha = verify(self)
        path.touch()
        return sha

    with monkeypatch.context() as patch:
        patch.setattr(DeliveryContent, "verify", changing)
        report = shop.load()
    assert [entry.file_name for entry in report.entries] == ["day.zip!a.csv"]
    assert len(report.left) == 1
    shop.load()
    assert shop.query(LEDGER) == [
        ("day.zip!a.csv", "loaded", "new", 1),
        ("day.zip!b.csv", "loaded", "new", 1),
    ]
    assert shop.stored()["landing"] == []


STEPS = [
    ("sluice.loading.loader", "ledger.record"),
    ("sluice.loading.loader", "storing.store"),
    ("sluice.loading.members", "storing.store_archive"),
    ("sluice.loading.storing", "ledger.plan_moves"),
    ("sluice.loading.storing", "take"),
    ("sluice.loading.storing", "put"),
    ("sluice.loading.storing", "_mark"),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_kill_leaves_no_trace(shop: Shop, module: str, name: str, moment: str) -> None:
    whole = sha256(drop(shop, {"a.csv": "1,ink,2\n", "bad.csv": "1,ink,-9\n"}))
    kill(shop, module, name, moment)
    for _ in range(2):
        shop.load()
        assert [row[:3] for row in shop.query(LEDGER)] == [
            ("day.zip!a.csv", "loaded", "new"),
            ("day.zip!bad.csv", "rejected", "new"),
        ]
        assert shop.rows() == [("day.zip!a.csv", 1, 1, "ink")]
        assert shop.stored() == {"landing": [], "archive": [], "rejected": [whole]}
        assert not shop.query("select from ops.loads where stored_at is null")
        assert all(str(path).startswith("rejected/orders/") for path in paths(shop))


def test_the_path_of_a_member_is_unknown_until_its_archive_moves() -> None:
    day = date(2026, 7, 1)
    assert storing.stored_path(ORDERS, "a.zip!b.csv", 1, day, "0" * 64, "loaded") is None
    assert storing.stored_path(ORDERS, r"a\x21b.csv", 1, day, "0" * 64, "loaded")
