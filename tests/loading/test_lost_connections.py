"""Connections that break at the worst moments: the ledger decides, nothing doubles or is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from sluice.errors import RetriableError
from sluice.loading import load_source
from sluice.local.postgres import ensure_warehouse
from sluice.local.postgres_place import existing_data
from sluice.settings import Settings
from sluice.warehouse import fencing, ledger
from sluice.warehouse.connections import connect
from tests.conftest import free_port, remove_instance
from tests.loading.conftest import HEADER, ORDERS, Shop

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as libpq sends it


class Proxy:
    """Stands between a client and the server, and cuts the line at the n-th COMMIT.

    Attributes:
        commits: how many it has seen.
    """

    def __init__(self, port: int, cut_at: int, *, reply_is_lost: bool) -> None:
        self.commits = 0
        self._server_port, self._cut_at, self._reply_is_lost = port, cut_at, reply_is_lost
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if data == COMMIT:
                    self.commits += 1
                    if self.commits == self._cut_at:
                        client.shutdown(socket.SHUT_RDWR)  # nothing comes back any more
                        if self._reply_is_lost:
                            server.sendall(data)
                            time.sleep(0.2)
                        break
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
        server.close()

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        client.close()


@contextmanager
def proxy(settings: Settings, cut_at: int, *, reply_is_lost: bool) -> Iterator[Proxy]:
    port = urlsplit(settings.warehouse.get_secret_value()).port
    assert port
    between = Proxy(port, cut_at, reply_is_lost=reply_is_lost)
    yield between
    between.close()


def through(settings: Settings, between: Proxy) -> Settings:
    uri = urlsplit(settings.warehouse.get_secret_value())
    place = f"{uri.username}:{uri.password}@127.0.0.1:{between.port}"
    replaced = uri._replace(netloc=place).geturl()
    return settings.model_copy(
        update={"warehouse": SecretStr(replaced), "lock_timeout_seconds": 20}
    )


def history(shop: Shop) -> None:
    shop.drop("a", "1,ink,2\n")
    shop.load()
    shop.drop("a", "1,pen,2\n2,pad,2\n")
    shop.drop("b", "3,cup,2\n")
    shop.drop("c", "3,cup,2\n")


def hold_to_promises(shop: Shop) -> None:
    assert shop.rows() == [("a", 1, 1, "pen"), ("a", 2, 2, "pad"), ("b", 1, 3, "cup")]
    assert shop.query(
        "select file_name, outcome, delivery_kind, rows_loaded, rows_replaced from ops.loads"
        " where stored_at is not null order by load_id"
    ) == [
        ("a", "loaded", "new", 1, 0),
        ("a", "loaded", "correction", 2, 1),
        ("b", "loaded", "new", 1, 0),
        ("c", "skipped", "redelivery", 0, 0),
    ]
    stored = shop.stored()
    assert (stored["landing"], len(stored["archive"])) == ([], 4)


@pytest.mark.parametrize("reply_is_lost", [True, False], ids=["reply", "commit"])
def test_whichever_commit_is_lost_the_next_run_goes_on_from_there(
    shop: Shop, reply_is_lost: bool
) -> None:
    history(shop)
    cut_at, commits = 0, 1
    while cut_at < commits:  # again for each commit that a whole load has
        cut_at += 1
        with proxy(shop.settings, cut_at, reply_is_lost=reply_is_lost) as between:
            settings = through(shop.settings, between)
            if cut_at > 1:
                shop.query("select 1")
            with pytest.raises(RetriableError, match="went away"):
                load_source(settings, ORDERS)
            assert between.commits == cut_at
        with proxy(shop.settings, 0, reply_is_lost=False) as between:
            load_source(through(shop.settings, between), ORDERS)
            commits = max(commits, between.commits)
        hold_to_promises(shop)
        if cut_at < commits:
            start_over(shop)
    assert cut_at >= 5  # the lock's, the table's and one for each delivery


def start_over(shop: Shop) -> None:
    shop.connection.execute("truncate bronze.orders, ops.files, ops.loads cascade")
    for folder in (shop.settings.archive, shop.settings.landing):
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
    history(shop)


STOPPED = """
import os, signal, sys
from sluice.loading import load_source
from sluice.settings import Settings
from sluice.warehouse import ledger
from tests.loading.conftest import ORDERS

real = ledger.record

def stopped(*arguments, **named):
    os.kill(os.getpid(), signal.SIGSTOP)
    real(*arguments, **named)

ledger.record = stopped
load_source(Settings.model_validate_json(sys.stdin.read()), ORDERS, task="the task")
"""


def test_an_attempt_that_was_stopped_is_ended_by_its_successor(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does no harm when it wakes up after that."""
    monkeypatch.setattr(fencing, "HANG_SECONDS", 1.0)
    monkeypatch.setattr(fencing, "LOOK_SECONDS", 0.5)
    history(shop)
    document = shop.settings.model_dump(mode="json")
    document["warehouse"] = shop.settings.warehouse.get_secret_value()
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdin
            child.stdin.write(json.dumps(document))
            child.stdin.close()
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            report = load_source(shop.settings, ORDERS, task="the task")
            assert [entry.outcome for entry in report.entries] == ["loaded", "loaded", "skipped"]
            hold_to_promises(shop)
            child.send_signal(signal.SIGCONT)
            assert child.stderr
            assert "RetriableError: The warehouse went away" in child.stderr.read()
        finally:
            child.kill()
    hold_to_promises(shop)


def test_a_server_that_ends_the_session_anywhere_is_an_error_to_retry(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(shop)
    real = fencing.hold_source
    ended = []

    @contextmanager
    def watched(*arguments: object, **named: object) -> Iterator[None]:
        with real(*arguments, **named):  # type: ignore[arg-type]
            connection = arguments[0]
            ended.append(connection.info.backend_pid)  # type: ignore[attr-defined]
            yield
            shop.connection.execute("select pg_terminate_backend(%s, 5000)", (ended[-1],))

    with monkeypatch.context() as patch:
        patch.setattr("sluice.loading.loader.hold_source", watched)
        with pytest.raises(RetriableError, match="went away"):
            shop.load()
    hold_to_promises(shop)
    assert shop.load().entries == ()


def test_a_server_that_crashes_in_the_middle_of_a_load_loses_nothing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        home=open_folder / "home",
        landing=open_folder / "landing",
        archive=open_folder / "archive",
        rejected=open_folder / "rejected",
        postgres_port=free_port(),
        settle_seconds=0,
    )
    try:
        ensure_warehouse(settings)
        folder = settings.landing / "orders"  # type: ignore[operator]
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.csv").write_text(f"{HEADER}{number},ink,2\n")
        record, recorded = ledger.record, []

        def crashing(connection: psycopg.Connection, *arguments: object) -> None:
            record(connection, *arguments)  # type: ignore[arg-type]
            recorded.append(connection)
            if len(recorded) == 2:
                data = existing_data(settings)
                assert data
                postmaster = int((data / "postmaster.pid").read_text().split()[0])
                os.kill(postmaster, signal.SIGQUIT)  # an immediate end, as in a crash
                psutil.Process(postmaster).wait(20)

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "record", crashing)
            with pytest.raises(RetriableError):
                load_source(settings, ORDERS)
        with pytest.raises(RetriableError, match="cannot be reached"):
            load_source(settings, ORDERS)
        ensure_warehouse(settings)
        report = load_source(settings, ORDERS)
        assert [entry.file_name for entry in report.entries] == ["1.csv", "2.csv"]
        with connect(settings, "loader", application_name="test") as connection:
            rows = connection.execute("select order_id from bronze.orders order by 1").fetchall()
        assert rows == [(0,), (1,), (2,)]
    finally:
        remove_instance(settings)
