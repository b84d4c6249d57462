"""Logins come from Airflow connections, go to their own host, and show up nowhere."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from sluice.errors import ConfigError
from sluice.landing.airflow_connections import find_connection
from tests.extracting.conftest import Fetching
from tests.http_api import Asked, Reply, records

SECRET = "s3cret&token"


@pytest.fixture
def connection(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The connection ``crm`` with a login, and what the test's parameter says otherwise."""
    given = {
        "conn_type": "http",
        "login": "me",
        "password": SECRET,
        **getattr(request, "param", {}),
    }
    monkeypatch.setenv("AIRFLOW_HOME", str(fetching.settings.home / "airflow"))
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(given))
    # Airflow sets up its own logging when it is first imported, before a test listens.
    find_connection("crm", fetching.settings.home, wanted_by="a test")


@pytest.mark.parametrize(
    ("auth", "headers", "params"),
    [
        ({}, {"authorization": "Basic bWU6czNjcmV0JnRva2Vu"}, {}),
        ({"type": "bearer"}, {"authorization": f"Bearer {SECRET}"}, {}),
        ({"type": "api_key"}, {"x-api-key": SECRET}, {}),
        ({"type": "api_key", "name": "key", "location": "query"}, {}, {"key": SECRET}),
    ],
)
@pytest.mark.usefixtures("connection")
def test_each_kind_of_login_is_sent_with_each_request_and_never_told(
    auth: dict[str, str],
    headers: dict[str, str],
    params: dict[str, str],
    fetching: Fetching,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(asked: Asked) -> Reply:
        if "token" in asked.params:
            return Reply(status=401)
        if len(fetching.api.asked) == 1:
            return Reply(status=503)
        return records({"id": 1}, next="/users?token=2")

    fetching.api.answer = answer
    with caplog.at_level(logging.INFO), pytest.raises(ConfigError, match="refuses") as caught:
        fetching.extract(
            auth={"connection": "crm", **auth},
            paginator={"type": "json_link", "next_url_path": "next"},
        )
    assert len(fetching.api.asked) == 3
    for asked in fetching.api.asked:
        assert headers.items() <= asked.headers.items()
        assert params.items() <= asked.params.items()
    told = f"{caught.value} {caught.value!r} {caplog.text}"
    assert "asked again" in told
    assert SECRET not in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("connection", "auth", "message"),
    [
        ({"host": "https://api.example.org"}, {}, "not sent there"),
        ({"password": ""}, {"type": "bearer"}, "lacks a password"),
        ({"login": "", "password": ""}, {}, "lacks a login"),
        ({"password": "two\nlines"}, {"type": "api_key"}, "printable ASCII"),
    ],
    indirect=["connection"],
)
@pytest.mark.usefixtures("connection")
def test_logins_that_do_not_fit(auth: dict[str, Any], message: str, fetching: Fetching) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        fetching.extract(auth={"connection": "crm", **auth})
    assert fetching.api.asked == []
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("connection", [{"host": "127.0.0.1"}], indirect=True)
@pytest.mark.usefixtures("connection")
def test_a_connection_of_this_host_and_one_that_is_missing(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1})
    assert fetching.extract(auth={"connection": "crm"}).records == 1
    with pytest.raises(ConfigError, match="no connection erp for source users"):
        fetching.extract(auth={"connection": "erp"})
