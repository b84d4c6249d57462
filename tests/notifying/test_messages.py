"""What arrives by mail and by webhook, where the names in it are somebody else's."""

from __future__ import annotations

import json
import os
import time

import pytest
from linkify_it import LinkifyIt
from linkify_it.tlds import TLDS

from sluice.errors import RetriableError
from sluice.notifying import send_test, sending, tell
from sluice.notifying.messages import (
    LONGEST_BLOCK,
    LONGEST_BODY,
    LONGEST_LINE,
    LONGEST_TITLE,
    PAGE,
    Message,
    News,
    compose,
    shown,
)
from sluice.notifying.sending import send
from sluice.orchestration.page.plugin import PREFIX, SluicePlugin
from sluice.settings import Settings
from tests.http_api import Reply
from tests.notifying.conftest import SECRET, Mailbox, Notifying, Webhook, connect_address
from tests.shop_project import ShopProject

HOSTILE = "<img src=x>[pay](http:;)@here\r\nBcc: a\u202e`.csv"


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("orders_2026-06-30.csv", "orders_2026-06-30.csv"),
        ("<!channel> @all", r"\x3c!channel\x3e \x40all"),
        ("[here](https://evil.example)", r"\x5bhere\x5d(https\x3a\x2f\x2fevil\x2eexample)"),
        ("www.evil.example/a.csv", r"www\x2eevil\x2eexample/a.csv"),
        ("orders_2026.06.30.CSV.gz", "orders_2026.06.30.CSV.gz"),
        ("a\nSubject: b\x1b[1m\u202e", r"a\nSubject: b\x1b\x5b1m\u202e"),
        ("x" * 999, "x" * (LONGEST_LINE - 3) + "..."),
    ],
)
def test_text_of_others_is_neither_markup_nor_lines(text: str, as_shown: str) -> None:
    assert shown(text) == as_shown


@pytest.mark.parametrize(
    "name",
    [
        "www.evil.com",
        "https://evil.com/x.csv",
        "EVIL.COM",
        "orders.zip",
        "orders.csv.evil.com",
        "orders.csv-evil.com",
        "pay@evil.com",
        "mailto:pay@evil.com",
        "1.evil.2.co",
        "www.163.com",
        "xn--e1a.xn--p1ai",
        "b\u00fccher.de",
        "//evil.com",
        "10.0.0.1",
    ],
)
def test_no_name_becomes_a_link(name: str) -> None:
    links = LinkifyIt(options={"fuzzy_ip": True}).tlds(TLDS)  # all domains there are
    assert links.test(name)
    assert links.match(shown(name)) is None


def test_a_dot_that_browsers_take_for_one_is_an_escape() -> None:
    assert shown("evil\u3002com\uff0ede\uff61x") == r"evil\u3002com\uff0ede\uff61x"


def test_a_message_is_never_longer_than_services_take(settings: Settings) -> None:
    news = News("pipeline p", "1", "n" * 3_000, ["l" * 3_000] * 9, "builds/7")
    one = compose(settings, "failed", [news])
    assert (len(one.title), one.title[-3:]) == (LONGEST_TITLE, "...")
    assert one.body.splitlines()[0] == "n" * (LONGEST_BLOCK - 3) + "..."
    assert one.body.endswith("/builds/7")
    many = compose(settings, "failed", [news] * 3)
    assert f"...\n{settings.airflow_ui}/{PAGE}builds/7\n\nAnd 2 more: " in many.body
    far = settings.model_copy(update={"ui_url": f"https://{'u' * 2_000}"})
    assert {len(compose(far, "failed", [news] * n).body) for n in (1, 2)} == {LONGEST_BODY}


def test_a_mail_of_a_hostile_name_is_harmless(
    shop: ShopProject, notifying: Notifying, mailbox: Mailbox
) -> None:
    registry = notifying("notify: [{connection: ops_mail}]")
    shop.drop(HOSTILE, "one,ink,2\n")
    shop.load()
    assert tell(shop.settings, registry).problems == []
    (mail,) = mailbox.mails
    assert mail["subject"] == "Sluice: orders: 1 file rejected"
    assert mail["to"] == "team@example.org"
    assert mail["bcc"] is None
    parts = {
        part.get_content_type(): part.get_content()
        for part in mail.walk()
        if not part.is_multipart()
    }
    assert set(parts) >= {"text/html"}
    for text in (part.replace("&nbsp;", " ") for part in parts.values()):
        assert "<img" not in text
        assert r"\x3cimg src=x\x3e\x5bpay\x5d(http:;)\x40here\r\nBcc: a\u202e\x60.csv" in text
        assert SECRET not in text


def test_a_refused_login_is_said_without_it(
    settings: Settings, notifying: Notifying, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = json.loads(os.environ["AIRFLOW_CONN_OPS_MAIL"])["password"]
    connect_address(monkeypatch, "ops_mail", address.replace(SECRET, "wrong-password"))
    begin = time.monotonic()
    told = send_test(settings, notifying("notify: [{connection: ops_mail}]"), "shop")
    # Apprise's words are the same for a server that says nothing, but come after 15 s.
    assert time.monotonic() - begin < 10
    (problem,) = told.problems
    assert isinstance(problem, RetriableError)
    assert "Connection error while submitting email" in problem.message
    assert "wrong-password" not in str(problem)
    assert "team@example.org" not in str(problem)
    assert mailbox.mails == []


def test_the_form_of_airflows_apprise_connections_is_taken(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.dumps([{"path": webhook.address, "tag": "x"}, {"path": webhook.address}])
    monkeypatch.setenv(
        "AIRFLOW_CONN_FORM", json.dumps({"conn_type": "apprise", "extra": {"config": config}})
    )
    send("form", settings.home, Message("a title", "a body", "info"), wanted_by="a test")
    assert webhook.take() == [("a title", "a body")] * 2


def test_a_server_that_never_ends_its_answer_is_given_up(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 1.0)
    webhook.server.answer = lambda _: Reply(b"x" * 20, drip_seconds=0.5)
    begin = time.monotonic()
    with pytest.raises(RetriableError, match="ops_chat: JSON: "):
        send("ops_chat", settings.home, Message("t", "b", "info"), wanted_by="a test")
    assert time.monotonic() - begin < 8


def test_links_lead_to_the_page_where_people_reach_it(settings: Settings) -> None:
    (nav,) = [view for view in SluicePlugin.external_views if view["destination"] == "nav"]
    there = settings.model_copy(update={"ui_url": "https://sluice.example.org/airflow"})
    message = compose(there, "held", [News("pipeline shop", "7", "held", [], "builds/7")])
    page = f"plugin/{nav['url_route']}{PREFIX}/builds/7"
    assert message.body.splitlines()[-1] == f"https://sluice.example.org/airflow/{page}"


@pytest.mark.parametrize("url", ["sluice.example.org", "ftp://x", "https://a@b", "https://x/?q"])
def test_an_address_of_the_ui_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address such as"):
        Settings(ui_url=url)
