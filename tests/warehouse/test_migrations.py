"""The ledger's tables: applied once and in order, and never behind anybody's back."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from sluice.errors import ConfigError, InternalError
from sluice.settings import Settings
from sluice.warehouse.connections import connect
from sluice.warehouse.migrations import FOLDER, is_current, migrate, migrations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's own migrations, to which a test adds its own."""
    return Path(shutil.copytree(FOLDER, tmp_path / "migrations"))


def add(folder: Path, text: str) -> int:
    version = len(migrations(folder)) + 1
    (folder / f"{version:04}_added.sql").write_text(text)
    return version


def applied(connection: Connection) -> list[int]:
    rows = connection.execute("select version from ops.schema_migrations order by version")
    return [version for (version,) in rows]


@pytest.fixture
def ledger(loader: Connection) -> Connection:
    loader.autocommit = True
    return loader


def test_a_prepared_warehouse_is_current(ledger: Connection) -> None:
    assert is_current(ledger)
    assert migrate(ledger) == []
    assert applied(ledger) == [migration.version for migration in migrations()]


def test_new_migrations_are_applied_in_order(ledger: Connection, folder: Path) -> None:
    first = add(folder, "create table ops.added (a int); comment on table ops.added is '100%';")
    second = add(folder, "alter table ops.added add column b int;")

    assert migrate(ledger, folder) == [first, second]
    assert migrate(ledger, folder) == []
    ledger.execute("insert into ops.added (a, b) values (1, 2)")


def test_a_migration_that_fails_leaves_nothing(ledger: Connection, folder: Path) -> None:
    before = applied(ledger)
    version = add(folder, "create table ops.added (a int); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(ledger, folder)
    assert applied(ledger) == before

    (folder / f"{version:04}_added.sql").write_text("create table ops.added (a int);")
    assert migrate(ledger, folder) == [version]


def test_a_changed_migration_is_refused(ledger: Connection, folder: Path) -> None:
    changed = next(folder.iterdir())
    changed.write_text(changed.read_text() + "-- more\n")
    with pytest.raises(InternalError, match="is not the one that was"):
        migrate(ledger, folder)


def test_line_ends_of_another_system_are_no_change(ledger: Connection, folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate(ledger, folder) == []


def test_a_newer_warehouse_is_refused(ledger: Connection, folder: Path) -> None:
    add(folder, "create table ops.added (a int);")
    migrate(ledger, folder)
    with pytest.raises(ConfigError, match="a newer Sluice has used it"):
        migrate(ledger)
    with pytest.raises(ConfigError, match="a newer Sluice has used it"):
        is_current(ledger)


def test_a_gap_in_the_numbers_is_refused(folder: Path) -> None:
    (folder / "0900_added.sql").write_text("select 1;")
    with pytest.raises(InternalError, match=r"0900_added\.sql is out of order"):
        migrations(folder)


def test_processes_take_turns(settings: Settings, folder: Path) -> None:
    version = add(folder, "create table ops.added (a int); select pg_sleep(0.2);")

    def one(_: int) -> list[int]:
        with connect(settings, "loader", application_name="test", autocommit=True) as connection:
            return migrate(connection, folder)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [[], [], [], [version]]
