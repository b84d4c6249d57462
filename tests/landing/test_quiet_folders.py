"""Folders that stay empty are asked for their times only, and nothing that comes is missed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sluice.landing import quiet_folders
from sluice.landing.local_store import LocalStore
from sluice.landing.quiet_folders import LISTED_AFTER_SECONDS, TICK_SECONDS, QuietFolders
from sluice.landing.stores import Found

IN_TURN = 3
NAMES = [f"app_{number:02}" for number in range(10)]


@dataclass(frozen=True)
class CountedStore(LocalStore):
    """Keeps what was listed at each look."""

    looks: list[list[str]] = field(default_factory=list)

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        self.looks.append(list(folders))
        return super().listed(folders)


class Zone:
    """A landing zone of ten folders and a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1000.0
        self.store = CountedStore(root)
        self.quiet = QuietFolders(self.store, clock=lambda: self.now)
        self.names = list(NAMES)
        for name in NAMES:
            (root / name).mkdir(parents=True)

    def look(self, after: float = 0.5) -> dict[str, list[str]]:
        """The files that are seen in each folder that has any."""
        self.now += after
        found = self.quiet.listed(self.names)
        names = {
            folder: [entry.name for entry in entries]
            for folder, entries in found.items()
            if not isinstance(entries, OSError)
        }
        return {folder: files for folder, files in names.items() if files}

    def become_quiet(self) -> None:
        for _ in range(20):
            assert self.look() == {}
        assert len(self.store.looks[-1]) == IN_TURN

    def of_other_turns(self) -> list[str]:
        """The folders whose turn is not at the next look."""
        return list(self.quiet._empty)[IN_TURN:]


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.setattr(quiet_folders, "LISTED_ALWAYS", IN_TURN)
    return Zone(tmp_path / "landing")


@pytest.fixture
def quiet_zone(zone: Zone) -> Zone:
    zone.become_quiet()
    return zone


def test_a_few_folders_are_all_listed_at_each_look(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet_folders, "LISTED_ALWAYS", len(NAMES))
    for _ in range(20):
        zone.look()
    assert zone.store.looks == [NAMES] * 20


def test_of_many_quiet_folders_a_part_is_listed_and_each_has_its_turn(quiet_zone: Zone) -> None:
    del quiet_zone.store.looks[:]
    for _ in range(4):
        quiet_zone.look()
    assert [len(look) for look in quiet_zone.store.looks] == [IN_TURN] * 4
    assert {name for look in quiet_zone.store.looks for name in look} == set(NAMES)


def test_folders_are_not_quiet_before_a_tick_has_passed(zone: Zone) -> None:
    for _ in range(4):
        zone.look(after=TICK_SECONDS / 4)
    assert zone.store.looks == [NAMES] * 4


def test_a_file_is_seen_at_the_next_look_and_until_it_is_gone(quiet_zone: Zone) -> None:
    name = quiet_zone.of_other_turns()[-1]
    path = quiet_zone.root / name / "a.csv"
    path.write_text("1\n")
    for _ in range(10):
        assert quiet_zone.look() == {name: ["a.csv"]}
    path.unlink()
    assert quiet_zone.look() == {}


def test_a_file_that_is_written_in_place_has_its_new_state(quiet_zone: Zone) -> None:
    name = quiet_zone.of_other_turns()[-1]
    path = quiet_zone.root / name / "a.csv"
    path.write_text("1\n")
    for _ in range(20):
        quiet_zone.look()
    path.write_text("1\n2\n")
    (entry,) = quiet_zone.quiet.listed(NAMES)[name]  # type: ignore[misc]
    assert entry.state.size == 4


def test_a_file_that_gets_its_name_in_the_end_is_seen(quiet_zone: Zone) -> None:
    name = quiet_zone.of_other_turns()[-1]
    hidden = quiet_zone.root / name / ".a.csv"
    hidden.write_text("1\n")
    quiet_zone.become_quiet()
    while name not in quiet_zone.of_other_turns():
        quiet_zone.look()
    hidden.rename(hidden.with_name("a.csv"))
    assert quiet_zone.look() == {name: ["a.csv"]}


def test_a_sender_that_puts_the_time_of_the_folder_back_is_seen(quiet_zone: Zone) -> None:
    name = quiet_zone.of_other_turns()[-1]
    folder = quiet_zone.root / name
    before = folder.stat()
    (folder / "a.csv").write_text("1\n")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert quiet_zone.look() == {name: ["a.csv"]}


def test_a_folder_that_comes_late_or_is_replaced_is_seen(zone: Zone) -> None:
    for name in NAMES:
        (zone.root / name).rmdir()
    zone.become_quiet()
    late, other = zone.of_other_turns()[-2:]
    (zone.root / late).mkdir()
    (zone.root / late / "a.csv").write_text("1\n")
    assert zone.look() == {late: ["a.csv"]}
    (zone.root / late).rename(zone.root / other)
    assert zone.look() == {other: ["a.csv"]}


@pytest.mark.parametrize("seconds", [0.1, LISTED_AFTER_SECONDS])
def test_where_times_say_nothing_a_file_is_seen_in_its_turn(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(quiet_folders, "_times_of", lambda _: 0)
    zone.become_quiet()
    name = zone.of_other_turns()[-1]
    (zone.root / name / "a.csv").write_text("1\n")
    looks = 1 if seconds == LISTED_AFTER_SECONDS else 4
    for _ in range(looks - 1):
        assert zone.look(after=seconds) == {}
    assert zone.look(after=seconds) == {name: ["a.csv"]}


def test_a_folder_that_cannot_be_read_is_told_each_time_and_keeps_no_other_back(
    quiet_zone: Zone,
) -> None:
    broken, sound = quiet_zone.of_other_turns()[-2:]
    (quiet_zone.root / broken).rmdir()
    (quiet_zone.root / broken).symlink_to(broken)
    (quiet_zone.root / sound / "a.csv").write_text("1\n")
    for _ in range(20):
        assert quiet_zone.look() == {sound: ["a.csv"]}
        assert isinstance(quiet_zone.quiet.listed(NAMES)[broken], OSError)
    (quiet_zone.root / broken).unlink()
    assert quiet_zone.look() == {sound: ["a.csv"]}
    assert broken in quiet_zone.quiet._empty


def test_folders_that_are_no_sources_any_more_are_forgotten(quiet_zone: Zone) -> None:
    quiet_zone.names = [*NAMES[:5], *(f"new_{number}" for number in range(8))]
    quiet_zone.look()
    assert set(quiet_zone.quiet._empty) == set(quiet_zone.names)


def test_nothing_is_missed_whatever_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real clock and the file system's own ticks, held against a full listing."""
    monkeypatch.setattr(quiet_folders, "LISTED_ALWAYS", 1)
    monkeypatch.setattr(quiet_folders, "LISTED_AFTER_SECONDS", 60.0)
    monkeypatch.setattr(quiet_folders, "TICK_SECONDS", 0.05)  # ext4 and others: 10 ms at most
    names = [f"app_{number:03}" for number in range(60)]
    for name in names:
        (tmp_path / name).mkdir()
    store = LocalStore(tmp_path)
    quiet = QuietFolders(store)
    chance = random.Random(7)
    for _ in range(400):
        for _ in range(chance.randrange(4)):
            chance.choice(CHANGES)(tmp_path / chance.choice(names), chance)
        seen = {folder: entries for folder, entries in quiet.listed(names).items() if entries}
        there = {folder: entries for folder, entries in store.listed(names).items() if entries}
        assert seen == there
        time.sleep(chance.choice([0.0, 0.001, 0.01]))


def _write(folder: Path, chance: random.Random) -> None:
    (folder / f"{chance.randrange(2)}.csv").write_text("1\n" * chance.randrange(9))


def _clear(folder: Path, chance: random.Random) -> None:
    for path in folder.iterdir():
        path.unlink()


def _write_and_clear(folder: Path, chance: random.Random) -> None:
    _write(folder, chance)
    _clear(folder, chance)


def _set_back(folder: Path, chance: random.Random) -> None:
    os.utime(folder, (0, 0))


CHANGES: list[Callable[[Path, random.Random], None]] = [
    _write,
    _clear,
    _clear,
    _write_and_clear,
    _set_back,
]
