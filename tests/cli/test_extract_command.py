"""``sluice extract``: one delivery, from the command line, with a login from the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sluice.settings import Settings
from tests.cli.conftest import Sluice
from tests.http_api import Asked, HttpApi, Reply, http_api, records

__all__ = ["http_api"]


@pytest.fixture
def users(settings: Settings, http_api: HttpApi) -> Path:
    """The landing folder of a source that is fetched with a login."""
    entry = {
        "description": "Users of an API.",
        "owner": "test",
        "format": "jsonl",
        "columns": {"id": {"data_type": "bigint"}},
        "extract": {
            "url": http_api.url,
            "data_selector": "results",
            "auth": {"connection": "crm", "type": "bearer"},
            "retries": 0,
        },
    }
    (settings.registry / "sources" / "users.yml").write_text(yaml.safe_dump(entry))
    assert isinstance(settings.landing, Path)
    return settings.landing / "users"


def test_an_extraction_delivers_and_says_where(
    sluice: Sluice, users: Path, http_api: HttpApi
) -> None:
    def answer(asked: Asked) -> Reply:
        is_known = asked.headers.get("authorization") == "Bearer s3cret-token"
        return records({"id": 1}) if is_known else Reply(status=401)

    http_api.answer = answer
    login = {"AIRFLOW_CONN_CRM": '{"conn_type": "http", "password": "s3cret-token"}'}
    moment = ("--moment", "2026-06-30T08:00:00+02:00")
    done = sluice("extract", "users", *moment, "--json", **login)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["file_name"] == "users_20260630T060000Z.jsonl"
    assert (users / document["file_name"]).read_text() == '{"id": 1}\n'

    refused = sluice("extract", "users", AIRFLOW_CONN_CRM='{"conn_type": "http", "password": "x"}')
    assert refused.returncode == 1
    assert "refuses the login (401)" in refused.stderr
    assert len(list(users.iterdir())) == 1


def test_a_broken_entry_is_said_and_no_other_name_guessed(
    sluice: Sluice, settings: Settings, users: Path
) -> None:
    entry = settings.registry / "sources" / "users.yml"
    (settings.registry / "sources" / "user.yml").write_text(entry.read_text())
    entry.write_text("columns: [\n")
    refused = sluice("extract", "users")
    assert refused.returncode == 1
    assert "registry/sources/users.yml:2: is not YAML" in refused.stderr
    assert "Did you mean" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["users"], "AIRFLOW_CONN_CRM"),
        (["users", "--moment", "tomorrow"], "no moment"),
        (["nobody"], "no source 'nobody'"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    arguments: list[str], said: str, sluice: Sluice, users: Path
) -> None:
    refused = sluice("extract", *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert not users.exists()
