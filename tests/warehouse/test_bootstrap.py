"""A warehouse made by whoever may: the superuser, a user with some rights, or in two steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
import pytest
from psycopg import Connection
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from sluice.errors import ConfigError
from sluice.local.postgres import administrator_uri, start_postgres
from sluice.settings import Settings
from sluice.warehouse import bootstrap, rights
from sluice.warehouse.bootstrap import prepare_warehouse
from sluice.warehouse.connections import ROLES, as_uri, connect, database_role, parse_uri
from sluice.warehouse.passwords import password
from tests.conftest import free_port, make_open_folder, remove_instance


@dataclass
class BareServer:
    """A server without any of our roles, of which a test makes what it likes."""

    settings: Settings
    administrator: Connection

    def login(self, database: str = "own", user: str = "postgres", secret: str = "") -> str:
        given = parse_uri(administrator_uri(self.settings))
        own = {"user": user, "password": secret or given["password"], "dbname": database}
        return as_uri({**given, **own})

    def user(self, attributes: LiteralString = "") -> str:
        """Make the user ``owner``, who has the password ``owner``; returns the URI."""
        self.administrator.execute(SQL("create role owner login password 'owner' " + attributes))
        return self.login(user="owner", secret="owner")

    def clear(self) -> None:
        rows = self.administrator.execute(
            "select datname from pg_database where datname not like 'template%'"
            " and datname <> 'postgres'"
        ).fetchall()
        for (name,) in rows:
            self.administrator.execute(SQL("drop database {}").format(Identifier(name)))
        for (name,) in self.administrator.execute(
            "select rolname from pg_roles where rolname !~ '^(pg_|postgres$)'"
        ).fetchall():
            self.administrator.execute(SQL("drop role {}").format(Identifier(name)))


@pytest.fixture(scope="module")
def running() -> Iterator[BareServer]:
    folder = make_open_folder()
    settings = Settings(project=folder, home=folder / "home", postgres_port=free_port())
    start_postgres(settings)
    try:
        with psycopg.connect(administrator_uri(settings), autocommit=True) as administrator:
            administrator.execute("alter system set fsync = off")
            administrator.execute("select pg_reload_conf()")
            yield BareServer(settings, administrator)
    finally:
        remove_instance(settings)
        shutil.rmtree(folder)


@pytest.fixture
def bare(running: BareServer) -> Iterator[BareServer]:
    """The server with an empty database ``own``."""
    running.administrator.execute("create database own")
    yield running
    running.clear()


def instance(folder: Path, uri: str) -> Settings:
    """An instance with secrets of its own on a server of the user's own."""
    return Settings(project=folder, home=folder / "home", warehouse=SecretStr(uri))


def prepare(settings: Settings) -> None:
    prepare_warehouse(settings, settings.warehouse.get_secret_value())


def assert_ready(settings: Settings) -> None:
    """Each role does one thing that only a complete warehouse lets it."""
    with connect(settings, "loader", application_name="test") as connection:
        connection.execute("create table bronze.orders (amount int)")
        connection.execute("insert into ops.files (source, file_name) values ('orders', 'a')")
    with connect(settings, "transformer", application_name="test") as connection:
        connection.execute("create table gold_audit.sales as select amount from bronze.orders")
        connection.execute("create temporary table staging (amount int)")
        connection.execute("create table gold.sales as select amount from gold_audit.sales")
        assert connection.execute("select count(*) from ops.files").fetchone() == (1,)
    with connect(settings, "reader", application_name="test") as connection:
        assert connection.execute("select count(*) from gold.sales").fetchone() == (0,)


def test_by_a_superuser(bare: BareServer, tmp_path: Path) -> None:
    settings = instance(tmp_path, bare.login())
    prepare(settings)
    prepare(settings)
    assert_ready(settings)


@pytest.mark.parametrize("public", [True, False])
def test_by_a_user_who_may_make_roles_and_schemas(
    bare: BareServer, tmp_path: Path, public: bool
) -> None:
    uri = bare.user("createrole")
    if public:
        bare.administrator.execute("grant create on database own to owner")
    else:
        bare.administrator.execute("alter database own owner to owner")
        bare.administrator.execute("revoke all on database own from public")
    settings = instance(tmp_path, uri)
    prepare(settings)
    prepare(settings)
    assert_ready(settings)
    # The user keeps the right to manage the roles, and not what they may do.
    with psycopg.connect(uri) as connection:
        for role in ROLES:
            member = connection.execute(
                "select pg_has_role(%s, 'usage')", (database_role(role),)
            ).fetchone()
            assert member == (False,)


@pytest.mark.parametrize("attributes", ["", "createrole"])
@pytest.mark.parametrize("helper", ["a superuser", "a user with rights"])
def test_in_two_steps_where_rights_are_missing(
    bare: BareServer, tmp_path: Path, attributes: LiteralString, helper: str
) -> None:
    settings = instance(tmp_path, bare.user(attributes))
    bare.administrator.execute("revoke all on database own from public")
    bare.administrator.execute("grant connect on database own to owner")
    with pytest.raises(ConfigError, match="owner may not make") as refusal:
        prepare(settings)
    assert "run this in the database own" in refusal.value.remedy
    for role in ROLES:
        assert password(settings, f"postgres-{role}") not in str(refusal.value)
        assert f'create role "{database_role(role)}" login password' in refusal.value.remedy
    assert nothing_was_made(bare)

    script = refusal.value.remedy.partition("\n\n")[2]
    uri = bare.login()
    if helper == "a user with rights":
        bare.administrator.execute("create role helper createrole login password 'helper'")
        bare.administrator.execute("alter database own owner to helper")
        uri = bare.login(user="helper", secret="helper")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(SQL(cast("Any", script)))
    prepare(settings)
    assert_ready(settings)


def nothing_was_made(bare: BareServer) -> bool:
    with psycopg.connect(bare.login()) as connection:
        found = connection.execute(
            "select rolname from pg_roles where rolname like 'sluice%%'"
            " union all select nspname from pg_namespace where nspname = any(%s)",
            (list(rights.OWNERS),),
        ).fetchall()
    return not found


def test_no_administrator_is_needed_where_all_is_there(bare: BareServer, tmp_path: Path) -> None:
    prepare(instance(tmp_path, bare.login()))
    bare.administrator.execute("create role nobody_much")
    settings = instance(tmp_path, bare.login(user="nobody_much", secret="wrong"))
    prepare(settings)

    with connect(settings, "loader", application_name="test") as connection:
        connection.execute("drop schema ops cascade")
        connection.execute("drop schema bronze cascade")
    with pytest.raises(ConfigError, match="nobody_much"):
        prepare(settings)


def test_roles_of_another_instance(bare: BareServer, tmp_path: Path) -> None:
    first = instance(tmp_path / "first", bare.login())
    prepare(first)
    second = instance(tmp_path / "second", bare.login())
    with pytest.raises(ConfigError, match="another instance of Sluice made them") as refusal:
        prepare(second)
    assert str(second.secrets) in refusal.value.remedy
    for role in ROLES:
        connect(first, role, application_name="test").close()  # nothing was reset

    script = refusal.value.remedy.partition("\n\n")[2]
    assert script.count("alter role") == len(ROLES)
    bare.administrator.execute(SQL(cast("Any", script)))
    prepare(second)
    assert_ready(second)


def test_roles_of_another_database_serve_this_one(bare: BareServer, tmp_path: Path) -> None:
    bare.administrator.execute("create database other")
    prepare(instance(tmp_path, bare.login()))
    other = instance(tmp_path, bare.login("other"))
    prepare(other)
    assert_ready(other)


def test_many_at_once_in_two_databases(bare: BareServer, tmp_path: Path) -> None:
    bare.administrator.execute("create database other")
    instances = [instance(tmp_path, bare.login(name)) for name in ("own", "other")]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(prepare, instances * 3))
    for settings in instances:
        assert_ready(settings)


def test_a_schema_of_somebody_else_is_left_alone(bare: BareServer, tmp_path: Path) -> None:
    with psycopg.connect(bare.login()) as connection:
        connection.execute("create schema gold")
    with pytest.raises(ConfigError, match="a schema gold already, which belongs to postgres"):
        prepare(instance(tmp_path, bare.login()))


def test_what_was_removed_is_made_again(bare: BareServer, tmp_path: Path) -> None:
    settings = instance(tmp_path, bare.login())
    prepare(settings)
    with psycopg.connect(bare.login()) as connection:
        connection.execute("drop schema gold cascade")
    prepare(settings)
    assert_ready(settings)


def test_a_server_of_another_version(
    bare: BareServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "SUPPORTED_VERSIONS", (16, 17))
    with pytest.raises(ConfigError, match="is PostgreSQL 18; Sluice works with 16 and 17"):
        prepare(instance(tmp_path, bare.login()))
    assert nothing_was_made(bare)


def test_a_database_that_cannot_hold_every_text(bare: BareServer, tmp_path: Path) -> None:
    bare.administrator.execute(
        "create database other template template0 encoding 'LATIN1' locale_provider libc locale 'C'"
    )
    with pytest.raises(ConfigError, match="keeps text as LATIN1"):
        prepare(instance(tmp_path, bare.login("other")))


def test_a_death_halfway_is_made_good(
    bare: BareServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = instance(tmp_path, bare.login())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "migrate", die)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
    prepare(settings)
    assert_ready(settings)
