"""What counts as a delivery, and what its name is in the ledger."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.landing.zone import file_system_name, ledger_name, list_deliveries
from sluice.registry import Source
from sluice.settings import Settings


def source(name: str = "orders", **more: object) -> Source:
    fields = {"description": "x", "owner": "y", "columns": {"a": {"data_type": "text"}}}
    return Source.model_validate({"name": name, **fields, **more})


@pytest.fixture
def zone(tmp_path: Path) -> Settings:
    (tmp_path / "landing" / "orders").mkdir(parents=True)
    return Settings(
        project=tmp_path, landing=tmp_path / "landing", settle_seconds=0, home=tmp_path / "home"
    )


def drop(settings: Settings, name: str | bytes, folder: str = "orders") -> Path:
    path = settings.landing / folder / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("a\n1\n")
    return path


def names(settings: Settings, *sources: Source) -> list[str]:
    listing = list_deliveries(settings, sources or (source(),))
    return [delivery.file_name for delivery in listing.deliveries]


@pytest.mark.parametrize(
    "name",
    [
        "plain.csv",
        "with space.csv",
        "new\nline.csv",
        "quote'\".csv",
        "-rf.csv",
        "ü.csv",
        "$(touch x).csv",
        "n" * 251 + ".csv",
        b"not-utf8-\xff\xfe.csv",
        r"back\slash.csv",
    ],
)
def test_hostile_names_are_deliveries_like_any_other(zone: Settings, name: str | bytes) -> None:
    drop(zone, name)
    assert [file_system_name(found) for found in names(zone)] == [os.fsdecode(name)]


@pytest.mark.parametrize("name", [".hidden", "a.csv.tmp", "a.csv.part", "a.csv.filepart", "a~"])
def test_files_under_temporary_names_are_left_alone(zone: Settings, name: str) -> None:
    drop(zone, name)
    assert names(zone) == []


def test_what_is_no_file_is_refused_with_its_kind_and_never_opened(zone: Settings) -> None:
    folder = zone.landing / "orders"
    target = drop(zone, "good.csv")
    (folder / "link.csv").symlink_to(target)
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket.csv"))
        listing = list_deliveries(zone, [source()])

    assert [delivery.file_name for delivery in listing.deliveries] == ["good.csv"]
    reasons = {refusal.file_name: refusal.reason.split(",")[0] for refusal in listing.refusals}
    assert reasons == {
        "link.csv": "is a link",
        "pipe.csv": "is a pipe",
        "folder.csv": "is a folder",
        "socket.csv": "is a socket",
    }


@pytest.mark.parametrize(
    ("path", "link"),
    [("orders", "orders"), ("web/orders", "web/orders"), ("web/orders/new", "web/orders")],
)
def test_a_link_in_the_place_of_a_folder_is_not_followed(
    tmp_path: Path, path: str, link: str
) -> None:
    """Who may write into web/ could have the files of another place loaded by such a link."""
    zone = Settings(
        project=tmp_path, landing=tmp_path / "landing", settle_seconds=0, home=tmp_path / "home"
    )
    secret = tmp_path / "away" / path.removeprefix(link).lstrip("/")
    secret.mkdir(parents=True)
    (secret / "secret.csv").write_text("a\n1\n")
    (zone.landing / link).parent.mkdir(parents=True)
    (zone.landing / link).symlink_to(tmp_path / "away")
    drop(zone, "a.csv", folder="other")
    listing = list_deliveries(zone, [source(path=path), source("other")])
    assert [delivery.file_name for delivery in listing.deliveries] == ["a.csv"]
    assert [(refusal.source, refusal.reason) for refusal in listing.refusals] == [
        (
            "orders",
            "cannot be read: orders is a link, and no link below the landing zone is followed",
        )
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_folders_on_the_way_need_not_be_readable() -> None:
    """Who may go through a folder, and not list it, names what is below it."""
    # Not in pytest's own folder, which is its user's alone.
    root = Path(tempfile.mkdtemp())
    try:
        zone = Settings(project=root, landing=root / "landing", settle_seconds=0, home=root / "h")
        web = source(path="web/shop/orders")
        (zone.landing / "web" / "shop").mkdir(parents=True)
        drop(zone, "a.csv", "web/shop/orders")
        for folder in (root, zone.landing, zone.landing / "web", zone.landing / "web" / "shop"):
            folder.chmod(0o711)
        assert as_nobody(lambda: names(zone, web)) == ["a.csv"]
        (zone.landing / "web" / "shop" / "orders").chmod(0o711)
        said = as_nobody(lambda: [each.reason for each in list_deliveries(zone, [web]).refusals])
        assert "Permission denied" in said[0]
    finally:
        shutil.rmtree(root)


def as_nobody(work: Callable[[], list[str]]) -> list[str]:
    """What a function returns in a process of an ordinary user."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def whole() -> None:
        account = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        answers.put(work())

    process = context.Process(target=whole)
    process.start()
    process.join()
    assert process.exitcode == 0
    return list(answers.get())


def test_the_landing_zone_itself_may_be_a_link(zone: Settings, tmp_path: Path) -> None:
    drop(zone, "a.csv")
    (tmp_path / "by-a-link").symlink_to(zone.landing)
    assert names(zone.model_copy(update={"landing": tmp_path / "by-a-link"})) == ["a.csv"]


def test_a_file_that_is_still_written_is_not_listed(zone: Settings) -> None:
    patient = zone.model_copy(update={"settle_seconds": 60})
    path = drop(zone, "a.csv")
    os.utime(path, (1, 1))  # a sender that keeps old times: the change itself counts

    assert names(patient) == []
    assert list_deliveries(patient, [source()]).unsettled == {"orders": 1}
    assert names(zone) == ["a.csv"]


def test_a_time_in_the_future_keeps_no_file_back(zone: Settings) -> None:
    os.utime(drop(zone, "a.csv"), (4_000_000_000, 4_000_000_000))
    time.sleep(0.05)
    assert names(zone.model_copy(update={"settle_seconds": 0.01})) == ["a.csv"]


def test_a_folder_that_cannot_be_read_is_reported_and_stops_no_other(
    zone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(zone, "a.csv")
    drop(zone, "b.csv", folder="broken")
    real_open = os.open

    def failing(path: object, *arguments: Any, **more: Any) -> int:
        if path == "broken":
            raise OSError(5, "Input/output error")
        return real_open(path, *arguments, **more)

    monkeypatch.setattr(os, "open", failing)
    listing = list_deliveries(zone, [source("broken"), source()])
    assert [found.file_name for found in listing.deliveries] == ["a.csv"]
    assert [refusal.reason for refusal in listing.refusals] == [
        "cannot be read: Input/output error"
    ]


def test_a_file_settles_by_itself(zone: Settings) -> None:
    quick = zone.model_copy(update={"settle_seconds": 0.2})
    drop(zone, "a.csv")
    assert names(quick) == []
    time.sleep(0.3)
    assert names(quick) == ["a.csv"]


def test_globs_share_a_folder_and_say_what_they_do_not_take(zone: Settings) -> None:
    first = source("first", path="orders", file_glob="a*.csv")
    second = source("second", path="orders", file_glob="*2.csv")
    for name in ("a1.csv", "b2.csv", "a2.csv", "c3.csv"):
        drop(zone, name)
    listing = list_deliveries(zone, [first, second])

    assert [(found.source, found.file_name) for found in listing.deliveries] == [
        ("first", "a1.csv"),
        ("second", "b2.csv"),
    ]
    assert {refusal.file_name: refusal.reason for refusal in listing.refusals} == {
        "a2.csv": "matches the sources first and second",
        "c3.csv": "does not match file_glob *2.csv, a*.csv",
    }


def test_a_missing_folder_holds_nothing(zone: Settings) -> None:
    assert names(zone, source("elsewhere")) == []


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"/" not in raw and b"\0" not in raw))
def test_every_name_has_one_text_and_comes_back(raw: bytes) -> None:
    name = os.fsdecode(raw)
    text = ledger_name(name)
    text.encode("utf-8")  # PostgreSQL can hold it
    assert file_system_name(text) == name
