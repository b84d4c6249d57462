"""Generated secrets: made once, whole, and for nobody else's eyes."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.errors import ConfigError
from sluice.settings import Settings
from sluice.warehouse.passwords import password, prepare_home


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """An instance that has nothing yet, not even its folder."""
    return Settings(project=tmp_path, home=tmp_path / "deep" / "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once(fresh: Settings) -> None:
    secret = password(fresh, "one")
    assert len(secret) >= 32
    assert password(fresh, "one") == secret
    assert password(fresh, "other") != secret


def test_nobody_else_can_read_it(fresh: Settings) -> None:
    before = os.umask(0)
    try:
        password(fresh, "one")
    finally:
        os.umask(before)
    assert mode(fresh.secrets) == 0o700
    assert mode(fresh.secrets / "one") == 0o600
    assert [path.name for path in fresh.secrets.iterdir()] == ["one"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_home_of_root_can_be_passed_through(fresh: Settings, umask: int) -> None:
    before = os.umask(umask)
    try:
        prepare_home(fresh)
    finally:
        os.umask(before)
    assert mode(fresh.home) == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_folder_that_is_there_keeps_its_mode(fresh: Settings) -> None:
    fresh.home.mkdir(parents=True, mode=0o750)
    password(fresh, "one")
    assert mode(fresh.home) == 0o750


def test_all_who_ask_at_once_get_the_same(fresh: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: password(fresh, "one"), range(32)))
    assert len(found) == 1


def test_an_empty_secret_is_refused(fresh: Settings) -> None:
    password(fresh, "one")
    (fresh.secrets / "one").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        password(fresh, "one")


def test_a_file_in_the_place_of_the_home_is_refused(fresh: Settings) -> None:
    fresh.home.parent.mkdir()
    fresh.home.write_text("")
    with pytest.raises(ConfigError, match="SLUICE_HOME"):
        password(fresh, "one")
