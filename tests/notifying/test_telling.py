"""What is told, to whom, how often: the ledger on one side, a real webhook on the other."""

from __future__ import annotations

from traceback import format_exception
from typing import Any

import psycopg
import pytest

from sluice.errors import RetriableError, SluiceError
from sluice.notifying import send_test, sending, tell, telling
from sluice.notifying.messages import LONGEST_BODY
from sluice.pipeline.steps import note_missing
from sluice.registry import Registry
from sluice.settings import Settings
from tests.http_api import Reply
from tests.notifying.conftest import SECRET, Notifying, Webhook, connect_address
from tests.shop_project import ShopProject

CHAT = "notify: [{connection: ops_chat}]"
PAGE = "http://127.0.0.1:8080/plugin/sluice/sluice/"

Ledger = psycopg.Connection[Any]


@pytest.fixture
def ledger(administrator: Ledger) -> Ledger:
    return administrator


def an_hour_passes(ledger: Ledger) -> None:
    ledger.execute(
        "update ops.notifications set told_at = told_at - interval '1 hour',"
        " failed_at = failed_at - interval '1 hour'"
    )


def build(ledger: Ledger, status: str = "passed", **nodes: tuple[str, int]) -> int:
    """A build of the shop, as ``transform`` records it, with results of tests."""
    row = ledger.execute(
        "insert into ops.transformations (pipeline, run_id, status, message, ended_at)"
        " values ('shop', 'test', %s, 'no value of the data', now()) returning transformation_id",
        (status,),
    ).fetchone()
    assert row
    for name, (result, failures) in nodes.items():
        ledger.execute(
            "insert into ops.node_results (transformation_id, unique_id, resource_type, status,"
            " failures, message, execution_seconds)"
            " values (%s, %s, 'test', %s, %s, 'Got secret-value', 0)",
            (row[0], f"test.sluice.{name}.1a2b", result, failures),
        )
    return int(row[0])


def publish(ledger: Ledger, **marts: int) -> None:
    build_id = build(ledger)
    ledger.execute(
        "insert into ops.publications (pipeline, transformation_id) values ('shop', %s)", [build_id]
    )
    for mart, rows in marts.items():
        ledger.execute(
            "insert into ops.published_marts select max(publication_id), %s, %s, 2, 3"
            " from ops.publications",
            (mart, rows),
        )


def test_rejects_are_told_once_and_then_together_after_an_hour(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying(CHAT)
    shop.drop("good.csv", "1,ink,2\n")
    shop.load()
    assert tell(shop.settings, registry).titles == []
    shop.drop("bad.csv", "one,ink,secret-value\n")
    shop.load()

    assert tell(shop.settings, registry).titles == ["Sluice: orders: 1 file rejected"]
    row = ledger.execute("select load_id from ops.loads where file_name = 'bad.csv'").fetchone()
    assert row
    ((title, body),) = webhook.take()
    assert title == "Sluice: orders: 1 file rejected"
    assert body.splitlines()[1:] == [
        "bad.csv: the whole file, wrong_type, record 1, column order_id",
        f"{PAGE}loads/{row[0]}",
    ]
    for number in range(7):
        shop.drop(f"{number}.csv", f"{number},ink,2\nx,ink,2\n" if number else "y,ink,2\n")
    shop.load()
    assert tell(shop.settings, registry).titles == []
    an_hour_passes(ledger)
    assert tell(shop.settings, registry, ["shop"]).titles == [
        "Sluice: orders: 1 file and 6 records rejected"
    ]
    ((_, body),) = webhook.take()
    assert "\n6.csv: 1 of 2 records\n" in body
    assert f"\nand 3 earlier files\n{PAGE}sources/orders" in body
    an_hour_passes(ledger)
    assert tell(shop.settings, registry).titles == []


def test_builds_and_publications_are_told_with_counts_and_without_values(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying("notify: [{connection: ops_chat, events: [failed, warned, published]}]")
    tests = {f"test_{number}": ("fail", number) for number in range(6)}
    failed = build(ledger, "failed", not_run=("skipped", 0), **tests)
    publish(ledger, orders=1234, prices=0)
    warned = build(ledger, odd_prices=("warn", 12))

    assert tell(shop.settings, registry).titles == [
        "Sluice: shop: failed",
        "Sluice: shop: published",
        "Sluice: shop: 1 test warned",
    ]
    bodies = [body.splitlines()[1:] for _, body in webhook.take()]
    assert bodies[0] == [
        "test test_0",
        *(f"test test_{number}: {number} found" for number in (1, 2, 3)),
        "and 2 more",
        "A later build has passed.",
        f"{PAGE}builds/{failed}",
    ]
    assert bodies[1][:2] == [
        "orders: 1,234 inserted, 2 updated, 3 deleted",
        "prices: 0 inserted, 2 updated, 3 deleted",
    ]
    assert bodies[2] == ["odd_prices: 12 found", f"{PAGE}builds/{warned}"]
    publish(ledger, orders=1)
    publish(ledger, orders=1)
    build(ledger, "failed")
    an_hour_passes(ledger)
    assert tell(shop.settings, registry).titles == [
        "Sluice: shop: failed",
        "Sluice: shop: published 2 times",
    ]
    ((_, failed_body), (_, published_body)) = webhook.take()
    assert "no value of the data\nGold is as it was." in failed_body
    assert "orders: 2 inserted, 4 updated, 6 deleted" in published_body


def test_a_held_publication_is_told_while_it_waits(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying(CHAT)
    for decision in ("approved", None):
        ledger.execute(
            "insert into ops.held_publications (transformation_id, pipeline, marts, reasons,"
            " decision, decided_by, decided_at) values (%s, 'shop', '[]', %s, %s, %s, %s)",
            (
                build(ledger),
                ["total_sales: 9 of 10 rows deleted, more than 20%"],
                decision,
                decision and "somebody",
                decision and "2026-06-30",
            ),
        )
        titles = ["Sluice: shop: a publication waits for approval"]
        assert tell(shop.settings, registry).titles == ([] if decision else titles)
    assert "total_sales: 9 of 10 rows deleted, more than 20%" in webhook.take()[0][1]
    an_hour_passes(ledger)
    assert tell(shop.settings, registry).titles == []


def test_what_is_late_is_told_when_it_gets_late_and_when_it_gets_worse(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    span = "{count: %s, period: hour}"
    late = f"freshness: {{warn_after: {span % 1}, error_after: {span % 3}}}"
    source = shop.settings.registry / "sources" / "orders.yml"
    source.write_text(f"{source.read_text()}{late}\n")
    registry = notifying(f"{CHAT}\n{late}")
    publish(ledger, orders=1)
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    assert tell(shop.settings, registry).titles == []

    def age(hours: int) -> list[str]:
        step = f"interval '{hours} hours'"
        ledger.execute(f"update ops.loads set loaded_at = loaded_at - {step}")
        ledger.execute(f"update ops.publications set published_at = published_at - {step}")
        an_hour_passes(ledger)
        return tell(shop.settings, registry).titles

    assert age(2) == ["Sluice: 2 sources or pipelines are late"]
    assert tell(shop.settings, registry).titles == []
    ((_, body),) = webhook.take()
    assert "pipeline shop is late\nwas last published" in body
    assert f"it may be 1 hour old\n{PAGE}sources/orders" in body
    # Its times are other ones in this test alone; else a state is told once.
    assert age(2) == ["Sluice: 2 sources or pipelines are late"]
    assert "source orders is too late" in webhook.take()[0][1]
    an_hour_passes(ledger)
    assert tell(shop.settings, registry).titles == []


def test_what_a_run_has_missed_is_told(
    settings: Settings, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying(
        f"{CHAT}\nschedule: {{when: cron, cron: '0 6 * * *', on_missing: fail}}\nreads: []"
    )
    note_missing(settings, registry, "shop", ["orders"])
    assert tell(settings, registry).titles == ["Sluice: shop: orders did not come in time"]
    assert webhook.take()[0][1].splitlines()[1] == "a run has failed"
    note_missing(settings, registry, "shop", [f"{number:02}{'i' * 60}" for number in range(80)])
    an_hour_passes(ledger)
    assert tell(settings, registry).titles == ["Sluice: shop: 80 inputs did not come in time"]
    assert webhook.take()[0][1].splitlines()[1:-1] == [
        *(f"{number:02}{'i' * 60}" for number in range(4)),
        "and 76 more",
        "a run has failed",
    ]
    skipping = notifying(f"{CHAT}\nschedule: {{when: cron, cron: '0 6 * * *', on_missing: skip}}")
    note_missing(settings, skipping, "shop", ["orders"])
    assert tell(settings, skipping).titles == []


def test_what_happened_long_before_is_no_news(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    ledger.execute("update ops.loads set loaded_at = now() - interval '25 hours'")
    assert tell(shop.settings, notifying(CHAT)).titles == []
    assert ledger.execute(
        "select subject, marker, told_at from ops.notifications where event = 'rejected'"
    ).fetchall() == [("source orders", None, None)]


def days_pass(ledger: Ledger) -> None:
    """What is in the ledger is three days old."""
    step = "interval '3 days'"
    ledger.execute(f"update ops.notifications set since = since - {step}")
    ledger.execute(f"update ops.loads set loaded_at = loaded_at - {step}")
    ledger.execute(f"update ops.transformations set ended_at = ended_at - {step}")
    an_hour_passes(ledger)


def test_what_happens_while_nobody_can_tell_for_days_is_told_then(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    """Airflow was down over a weekend; before that there was nothing to tell."""
    registry = notifying(CHAT)
    assert tell(shop.settings, registry).titles == []
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    build(ledger, "failed")
    days_pass(ledger)
    assert tell(shop.settings, registry).titles == [
        "Sluice: shop: failed",
        "Sluice: orders: 1 file rejected",
    ]


def test_a_secrets_backend_that_is_away_for_days_loses_nothing(
    shop: ShopProject,
    notifying: Notifying,
    webhook: Webhook,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionError(f"https://vault/{SECRET}")

    registry = notifying(CHAT)
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    with monkeypatch.context() as patched:
        patched.setattr(sending, "find_connection", away)
        problems = [*tell(shop.settings, registry).problems]
        problems += send_test(shop.settings, registry, "shop").problems
    said = "A message could not be sent by connection ops_chat: ConnectionError."
    assert [problem.message for problem in problems] == [said] * 2
    assert SECRET not in "".join(line for one in problems for line in format_exception(one))
    assert ledger.execute(
        "select event, failure from ops.notifications where failed_at is not null"
    ).fetchall() == [("rejected", said)]
    assert tell(shop.settings, registry).titles == []  # not at once, as with a server
    days_pass(ledger)
    assert tell(shop.settings, registry).titles == ["Sluice: orders: 1 file rejected"]


def test_two_pipelines_of_a_source_make_one_message_and_each_address_gets_its_own(
    shop: ShopProject,
    notifying: Notifying,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect_address(monkeypatch, "other_chat", webhook.address)
    registry = notifying("notify: [{connection: ops_chat}, {connection: other_chat}]")
    pipeline = registry.pipeline("shop")
    both = Registry(
        registry.sources,
        {"shop": pipeline, "web": pipeline.model_copy(update={"name": "web"})},
    )
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    assert len(tell(shop.settings, both).titles) == 2


def test_what_cannot_be_sent_is_said_without_the_address_and_sent_later(
    shop: ShopProject,
    notifying: Notifying,
    webhook: Webhook,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = notifying(CHAT)
    webhook.server.answer = lambda _: Reply(f"no {SECRET}".encode(), status=500)
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    build(ledger, "failed")
    told = tell(shop.settings, registry)

    assert told.titles == []
    (problem,) = told.problems  # is the same for both events
    assert isinstance(problem, RetriableError)
    assert "connection ops_chat: JSON: " in problem.message
    rows = ledger.execute(
        "select event, told_at, failure from ops.notifications where failed_at is not null"
    ).fetchall()
    assert sorted(rows) == [(event, None, problem.message) for event in ("failed", "rejected")]
    for part in (SECRET, "robot", "t0ken-in-path", "127.0.0.1"):
        assert part not in str(problem)
        assert part not in caplog.text
    assert len(webhook.server.asked) == 2
    webhook.server.answer = lambda _: Reply(b"")
    assert tell(shop.settings, registry).titles == []
    an_hour_passes(ledger)
    assert tell(shop.settings, registry).titles == [
        "Sluice: shop: failed",
        "Sluice: orders: 1 file rejected",
    ]
    assert ledger.execute(
        "select count(*) from ops.notifications where failure is not null"
    ).fetchone() == (0,)


def test_a_message_that_is_refused_keeps_no_other_one(
    shop: ShopProject, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying(CHAT)
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    build(ledger, "failed")
    webhook.server.answer = lambda asked: Reply(b"", status=400 if b"failed" in asked.body else 200)
    told = tell(shop.settings, registry)
    assert (told.titles, len(told.problems)) == (["Sluice: orders: 1 file rejected"], 1)


@pytest.mark.parametrize("is_slow", [True, False])
def test_an_address_that_takes_nothing_is_asked_once_a_look(
    shop: ShopProject,
    notifying: Notifying,
    webhook: Webhook,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    is_slow: bool,
) -> None:
    """Its server hangs, or the connection holds no address."""
    registry = notifying(CHAT)
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    build(ledger, "failed")
    if is_slow:
        monkeypatch.setattr(telling, "PATIENCE_SECONDS", 0.2)
        webhook.server.answer = lambda _: Reply(b"x" * 3, status=500, drip_seconds=0.1)
    else:
        connect_address(monkeypatch, "ops_chat", "")
    assert len(tell(shop.settings, registry).problems) == 1
    assert ledger.execute(
        "select event from ops.notifications where failed_at is not null"
    ).fetchall() == [("failed",)]


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ((), "There is no connection"),
        (("",), "holds no address"),
        (("https//nothing",), "is none that Apprise knows"),
        ((f"mailto:/{SECRET}", "json://127.0.0.1"), "Address 1 of connection"),
    ],
)
def test_a_connection_that_is_none_is_said(
    settings: Settings,
    notifying: Notifying,
    monkeypatch: pytest.MonkeyPatch,
    addresses: tuple[str, ...],
    words: str,
) -> None:
    if addresses:
        connect_address(monkeypatch, "elsewhere", *addresses)
    told = send_test(settings, notifying("notify: [{connection: elsewhere}]"), "shop")
    (problem,) = told.problems
    assert isinstance(problem, SluiceError)
    assert words in problem.message
    assert SECRET not in str(problem)
    assert "elsewhere" in problem.message


def test_many_at_once_are_one_message_of_bounded_length(
    settings: Settings, notifying: Notifying, webhook: Webhook, ledger: Ledger
) -> None:
    registry = notifying(CHAT)
    orders = registry.source("orders")
    names = [f"source_{number:03}" for number in range(100)]
    pipeline = registry.pipeline("shop").model_copy(update={"sources": tuple(names)})
    many = Registry(
        {name: orders.model_copy(update={"name": name}) for name in names}, {"shop": pipeline}
    )
    for number, name in enumerate(names):
        ledger.execute(
            "with file as (insert into ops.files (source, file_name) values (%s, %s) returning *)"
            " insert into ops.loads (load_id, file_id, source, file_name, content_sha256,"
            " content_bytes, outcome, delivery_kind, reject_code, reject_reason, started_at)"
            " select %s, file_id, source, file_name, repeat('0', 64), 1, 'rejected', 'new',"
            " 'bad', 'bad', now() from file",
            (name, "x" * 300, number + 1),
        )
    title = "Sluice: files or records were rejected in 100 sources"
    assert tell(settings, many).titles == [title]
    ((_, body),) = webhook.take()
    assert len(body) < LONGEST_BODY
    assert body.endswith(f"\n{PAGE}loads/6\n\nAnd 94 more: {PAGE}")
