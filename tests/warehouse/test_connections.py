"""Who connects where and how, and what the reader is told when it does not work."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from sluice.errors import ConfigError, RetriableError
from sluice.settings import Settings
from sluice.warehouse.connections import (
    PasswordRefusedError,
    advisory_key,
    as_uri,
    connect,
    connection_parameters,
    libpq_environment,
    role_uri,
    source_lock_key,
)
from sluice.warehouse.passwords import password

SECRET = "s:e@c/r?e%t"


def with_warehouse(settings: Settings, uri: str) -> Settings:
    return settings.model_copy(update={"warehouse": SecretStr(uri)})


@pytest.fixture
def unborn(tmp_path: Path) -> Settings:
    """An instance without a server."""
    return Settings(project=tmp_path, home=tmp_path / "home", postgres_port=55119)


def test_a_session_is_in_utc_and_utf8(settings: Settings) -> None:
    with connect(settings, "reader", application_name="who asks") as connection:
        for name, value in (
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, YMD"),
            ("client_encoding", "UTF8"),
            ("lock_timeout", "5min"),
            ("application_name", "who asks"),
            ("tcp_keepalives_idle", "30"),
            ("tcp_user_timeout", "180000"),  # milliseconds
        ):
            row = connection.execute("select current_setting(%s)", (name,)).fetchone()
            assert row == (value,), name
        assert not connection.autocommit
        assert connection.info.get_parameters()["keepalives_idle"] == "30"


def test_the_user_of_a_role(settings: Settings) -> None:
    with psycopg.connect(role_uri(settings, "transformer")) as connection:
        assert connection.execute("select current_user").fetchone() == ("sluice_transformer",)


def test_the_embedded_server_is_on_the_loopback_address(unborn: Settings) -> None:
    assert connection_parameters(unborn, "loader") == {
        "host": "127.0.0.1",
        "port": 55119,
        "dbname": "sluice",
        "user": "sluice_loader",
        "password": password(unborn, "postgres-loader"),
    }


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "postgresql://me:mine@db.example:6000/shop?sslmode=require",
            {"host": "db.example", "port": 6000, "dbname": "shop", "sslmode": "require"},
        ),
        (
            "postgres://me@db.example",
            {"host": "db.example", "port": 5432, "dbname": "me"},
        ),
        ("postgresql:///shop", {"host": "localhost", "port": 5432, "dbname": "shop"}),
        ("postgresql://[::1]:6000/a%20b", {"host": "::1", "port": 6000, "dbname": "a b"}),
        (
            "postgresql://one:1,two:2/shop?target_session_attrs=read-write",
            {
                "host": "one,two",
                "port": "1,2",
                "dbname": "shop",
                "target_session_attrs": "read-write",
            },
        ),
        (
            "postgresql:///shop?host=/run/postgresql",
            {"host": "/run/postgresql", "port": 5432, "dbname": "shop"},
        ),
    ],
)
def test_all_but_the_login_comes_from_the_users_uri(
    unborn: Settings, uri: str, expected: dict[str, Any]
) -> None:
    own = with_warehouse(unborn, uri)
    secret = password(own, "postgres-reader")
    login = {"user": "sluice_reader", "password": secret}
    assert connection_parameters(own, "reader") == {**expected, **login}
    # The URI for a role says the same again.
    written = conninfo_to_dict(role_uri(own, "reader"))
    assert written == {name: str(value) for name, value in {**expected, **login}.items()}


def test_an_awkward_password_survives_in_a_uri() -> None:
    login = {"user": "a b", "password": SECRET, "host": "h", "port": 1, "dbname": "d/b"}
    assert conninfo_to_dict(as_uri(login)) == {name: str(value) for name, value in login.items()}


def test_programs_get_the_login_in_their_environment(unborn: Settings) -> None:
    own = with_warehouse(unborn, "postgresql://h:7/shop?sslmode=require&keepalives=1")
    assert libpq_environment(own, "reader") == {
        "PGHOST": "h",
        "PGPORT": "7",
        "PGDATABASE": "shop",
        "PGUSER": "sluice_reader",
        "PGPASSWORD": password(own, "postgres-reader"),
        "PGSSLMODE": "require",
    }


@pytest.mark.parametrize(
    "uri",
    [
        f"mysql://me:{SECRET}@host/shop",
        f"host=here password={SECRET}",
        f"postgresql://me:{SECRET}@host:port:port/shop",
        f"postgresql://me:{SECRET}@host/shop?no_such_parameter=1",
        "postgresql://host",
    ],
)
def test_what_is_no_uri_is_refused_without_repeating_it(unborn: Settings, uri: str) -> None:
    with pytest.raises(ConfigError, match="SLUICE_WAREHOUSE") as refusal:
        connection_parameters(with_warehouse(unborn, uri), "reader")
    assert SECRET not in str(refusal.value)
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in refusal.value.remedy


def test_a_server_that_is_not_there_may_come(unborn: Settings) -> None:
    with pytest.raises(RetriableError, match=r"127\.0\.0\.1, port 55119 .*refused") as refusal:
        connect(unborn, "reader", application_name="test")
    assert "./sluice up" in refusal.value.remedy
    assert_secretless(refusal.value, password(unborn, "postgres-reader"))


def test_a_server_that_hangs_up_may_come_back(unborn: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        own = with_warehouse(unborn, f"postgresql://me@127.0.0.1:{port}/shop?connect_timeout=2")
        with pytest.raises(RetriableError, match=f"127.0.0.1, port {port}") as refusal:
            connect(own, "reader", application_name="test")
    assert "SLUICE_WAREHOUSE" in refusal.value.remedy


def test_a_wrong_password(settings: Settings) -> None:
    (settings.secrets / "postgres-reader").write_text("not-it-at-all\n")
    with pytest.raises(PasswordRefusedError, match="sluice_reader") as refusal:
        connect(settings, "reader", application_name="test")
    assert str(settings.secrets) in refusal.value.remedy
    assert_secretless(refusal.value, "not-it-at-all")


def test_a_missing_database(settings: Settings) -> None:
    uri = settings.warehouse.get_secret_value().rpartition("/")[0] + "/nowhere"
    with pytest.raises(ConfigError, match="no database nowhere"):
        connect(with_warehouse(settings, uri), "reader", application_name="test")


def test_a_closed_database(settings: Settings, administrator: psycopg.Connection[Any]) -> None:
    name = administrator.info.dbname
    administrator.execute(f'revoke connect on database "{name}" from sluice_reader')
    with pytest.raises(ConfigError, match="does not let the role sluice_reader connect"):
        connect(settings, "reader", application_name="test")


def test_too_many_connections_pass(
    settings: Settings, administrator: psycopg.Connection[Any]
) -> None:
    name = administrator.info.dbname
    administrator.execute(f'alter database "{name}" connection limit 0')
    with pytest.raises(RetriableError, match="too many connections"):
        connect(settings, "reader", application_name="test")


def test_the_keys_of_locks_never_change() -> None:
    """Two versions of Sluice that run at once have to agree on them."""
    assert advisory_key("source", "orders") == -3508285789070508180
    assert source_lock_key("orders") == advisory_key("source", "orders")
    assert source_lock_key("orders") != source_lock_key("order")
    assert advisory_key("mart", "orders") != source_lock_key("orders")


def assert_secretless(error: BaseException, secret: str) -> None:
    """Neither an error nor those that it came from carry a password, in whatever form."""
    seen: BaseException | None = error
    while seen is not None:
        assert secret not in repr(seen) + str(seen) + repr(vars(seen))
        seen = seen.__cause__ or seen.__context__
