"""Real servers on this machine that take messages: a webhook, and mail by SMTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sluice.registry import Registry, load_registry
from tests.conftest import free_port
from tests.http_api import HttpApi, http_api  # noqa: F401  # a fixture
from tests.shop_project import ShopProject

SECRET = "hunter2-of-ops"


class Webhook:
    """What was posted to a local address.

    Attributes:
        address: in Apprise's form, with a login and a token in its path.
    """

    def __init__(self, server: HttpApi) -> None:
        self.server = server
        place = server.url.partition("://")[2].partition("/")[0]
        self.address = f"json://robot:{SECRET}@{place}/t0ken-in-path"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.server.asked]

    def take(self) -> list[tuple[str, str]]:
        """Title and body of each message since the last look."""
        found = [(message["title"], message["message"]) for message in self.messages]
        self.server.asked.clear()
        return found


@pytest.fixture
def webhook(http_api: HttpApi, monkeypatch: pytest.MonkeyPatch) -> Webhook:  # noqa: F811
    """The address of the connection ``ops_chat``."""
    webhook = Webhook(http_api)
    connect_address(monkeypatch, "ops_chat", webhook.address)
    return webhook


def connect_address(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    connection = {"conn_type": "generic", "password": "\n".join(addresses)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


class Mailbox:
    """A mail server that wants a login and keeps what it takes."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    def login(self, server: SMTP, session: Session, *given: Any) -> AuthResult:
        data = given[-1]
        assert isinstance(data, LoginPassword)
        # Not handled: the server says so to the client, which else waits for it.
        return AuthResult(success=data.password == SECRET.encode(), handled=False)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The address of the connection ``ops_mail``."""
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        authenticator=mailbox.login,
        auth_require_tls=False,
    )
    controller.start()
    connect_address(
        monkeypatch,
        "ops_mail",
        f"mailto://robot:{SECRET}@127.0.0.1:{port}?mode=insecure&from=sluice@example.org"
        "&to=team@example.org&format=html",
    )
    yield mailbox
    controller.stop()


Notifying = Callable[[str], Registry]


@pytest.fixture
def notifying(shop: ShopProject) -> Notifying:
    """Gives the shop's pipeline more lines, and reads the registry."""
    path = shop.settings.registry / "pipelines" / "shop.yml"
    text = path.read_text()

    def add(lines: str) -> Registry:
        path.write_text(f"{text}{lines}\n")
        return load_registry(shop.settings.project)

    return add
