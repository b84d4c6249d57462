"""The lock on a source: given-up attempts that hang are ended, nobody else is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection

from sluice.errors import RetriableError
from sluice.settings import Settings
from sluice.warehouse import fencing
from sluice.warehouse.connections import connect
from sluice.warehouse.fencing import hold_source, holder_of

TASK = "airflow shop load.orders"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fencing, "HANG_SECONDS", 0.6)
    monkeypatch.setattr(fencing, "LOOK_SECONDS", 0.2)


@pytest.fixture
def first(settings: Settings) -> Iterator[Connection]:
    """The earlier attempt's connection."""
    with connect(
        settings, "loader", application_name="sluice load orders", autocommit=True
    ) as connection:
        connection.execute("create table bronze.orders (order_id bigint)")
        yield connection


@pytest.fixture
def second(settings: Settings) -> Iterator[Connection]:
    """The later attempt's connection."""
    with connect(settings, "loader", application_name="later", autocommit=True) as connection:
        yield connection


def with_timeout(settings: Settings, seconds: int) -> Settings:
    return settings.model_copy(update={"lock_timeout_seconds": seconds})


def rows(connection: Connection) -> int:
    (count,) = connection.execute("select count(*) from bronze.orders").fetchone() or (-1,)
    return int(count)


def test_the_holder_is_known_and_forgotten(
    settings: Settings, first: Connection, second: Connection
) -> None:
    with hold_source(first, settings, "orders", task=TASK):
        holder = holder_of(second, "orders")
        assert holder is not None
        assert holder.pid == first.info.backend_pid
        assert holder.task == TASK
        assert holder_of(second, "others") is None
    assert holder_of(second, "orders") is None
    assert second.execute("select count(*) from ops.attempts").fetchone() == (0,)


def test_a_given_up_attempt_that_hangs_in_copy_is_ended(
    settings: Settings, first: Connection, second: Connection
) -> None:
    with (  # noqa: PT012 - what it meets when it wakes
        pytest.raises(psycopg.OperationalError),
        hold_source(first, settings, "orders", task=TASK),
        first.cursor().copy("copy bronze.orders from stdin") as copy,
    ):
        copy.write("1\n" * 100_000)
        with hold_source(second, settings, "orders", task=TASK):
            assert rows(second) == 0
        copy.write("2\n" * 1_000_000)
    assert rows(second) == 0


def test_an_attempt_that_hangs_between_statements_is_ended(
    settings: Settings, first: Connection, second: Connection
) -> None:
    with hold_source(first, settings, "orders", task=TASK):
        first.execute("begin")
        first.execute("insert into bronze.orders values (1)")
        with hold_source(second, settings, "orders", task=TASK):
            assert rows(second) == 0
        first.close()


@pytest.mark.parametrize("work", ["copies", "computes"])
def test_an_attempt_that_gets_on_is_waited_for(
    settings: Settings, first: Connection, second: Connection, work: str
) -> None:
    begun = threading.Event()

    def copies() -> None:
        with first.cursor().copy("copy bronze.orders from stdin") as copy:
            begun.set()
            for _ in range(20):
                copy.write("1\n" * 50_000)  # more than libpq keeps back
                time.sleep(0.1)

    def computes() -> None:
        begun.set()
        first.execute("insert into bronze.orders select 1 from pg_sleep(2)")

    def hold() -> None:
        with hold_source(first, settings, "orders", task=TASK):
            {"copies": copies, "computes": computes}[work]()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    with hold_source(second, settings, "orders", task=TASK):
        assert rows(second) == {"copies": 1_000_000, "computes": 1}[work]
    thread.join()


@pytest.mark.parametrize("task", [None, "airflow another load.orders"])
def test_somebody_elses_attempt_is_named_and_not_ended(
    settings: Settings, first: Connection, second: Connection, task: str | None
) -> None:
    patient = with_timeout(settings, 2)
    with hold_source(first, settings, "orders", task=TASK):
        with (
            pytest.raises(RetriableError) as error,
            hold_source(second, patient, "orders", task=task),
        ):
            pass
        assert first.execute("select 1").fetchone() == (1,)
    for words in (
        "Another load of source orders is under way: sluice load orders on",
        f"task {TASK}, since 20",
        "it has done nothing for ",
    ):
        assert words in error.value.message
    assert f"pg_terminate_backend({first.info.backend_pid})" in error.value.remedy


def test_a_lock_of_an_attempt_without_a_task_is_never_taken_over(
    settings: Settings, first: Connection, second: Connection
) -> None:
    with (
        hold_source(first, settings, "orders"),
        pytest.raises(RetriableError),
        hold_source(second, with_timeout(settings, 2), "orders"),
    ):
        pass


def test_the_notes_of_an_ended_backend_harm_nobody(
    settings: Settings, first: Connection, second: Connection
) -> None:
    """A backend with the recorded number that began later is another one."""
    with hold_source(first, settings, "orders", task=TASK):
        second.execute("update ops.attempts set backend_start = backend_start - interval '1 s'")
        with (
            pytest.raises(RetriableError),
            hold_source(second, with_timeout(settings, 2), "orders", task=TASK),
        ):
            pass


def test_a_session_ends_its_statements_when_its_client_is_gone(
    settings: Settings, first: Connection
) -> None:
    with hold_source(first, settings, "orders"):
        shown = first.execute("show client_connection_check_interval").fetchone()
        assert shown == ("10s",)
        assert first.execute("show lock_timeout").fetchone() == ("5min",)
