"""Airflow's configuration and environment, and a start that goes wrong.

What a start that goes right does is tested with the running instance of ``tests/orchestration``.
"""

from __future__ import annotations

import configparser
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.errors import ConfigError
from sluice.local import airflow
from sluice.local.airflow import airflow_address, airflow_status, start_airflow, stop_airflow
from sluice.local.airflow_config import (
    airflow_environment,
    airflow_home,
    password_file,
    write_configuration,
)
from sluice.local.ports import check_port
from sluice.settings import Settings
from tests.conftest import free_port, remove_instance


def read_options(settings: Settings) -> configparser.ConfigParser:
    """The configuration, interpolated as Airflow does."""
    parser = configparser.ConfigParser()
    parser.read(airflow_home(settings) / "airflow.cfg")
    return parser


def test_the_configuration_is_for_this_instance_and_this_machine(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "50% of home", airflow_port=8123)
    write_configuration(settings)
    options = read_options(settings)

    assert options["api"]["host"] == "127.0.0.1"
    assert options["api"]["port"] == "8123"
    assert options["core"]["execution_api_server_url"] == "http://127.0.0.1:8123/execution/"
    assert options["core"]["load_examples"] == "False"
    assert options["logging"]["base_log_folder"] == f"{tmp_path}/50% of home/logs/tasks"
    assert options["database"]["sql_alchemy_conn"].startswith("postgresql+psycopg2://airflow:")


def test_secrets_are_in_private_files_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    write_configuration(settings)

    assert stat.S_IMODE(airflow_home(settings).stat().st_mode) == 0o700
    for path in airflow_home(settings).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    address = airflow_address(settings)
    assert json.loads(password_file(settings).read_text()) == {"admin": address.password}
    assert address.password not in repr(address)
    secrets = [path.read_text().strip() for path in settings.secrets.iterdir()]
    values = "\n".join(airflow_environment(settings).values())
    assert len(secrets) >= 5
    assert [secret for secret in secrets if secret in values] == []


def test_secrets_stay_the_same(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    before = write_configuration(settings)
    text = (airflow_home(settings) / "airflow.cfg").read_text()

    assert write_configuration(settings) == before
    assert (airflow_home(settings) / "airflow.cfg").read_text() == text


@pytest.mark.parametrize("change", [{"airflow_port": 9123}, {"poll_seconds": 3.0}])
def test_another_setting_means_a_new_start(tmp_path: Path, change: dict[str, object]) -> None:
    settings = Settings(home=tmp_path / "home")

    assert write_configuration(settings) != write_configuration(settings.model_copy(update=change))


def test_processes_get_settings_and_connections_and_nothing_else_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_CRM", "http://me:secret@api.example.org")
    settings = Settings(home=tmp_path / "a home", landing=tmp_path / "in", dbt_threads=7)
    environment = airflow_environment(settings)

    assert {name for name in environment if not name.startswith("SLUICE_")} == {
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "PYTHONUNBUFFERED",
        "PYTHONWARNINGS",
        "AIRFLOW_HOME",
        "AIRFLOW_CONN_CRM",
    }
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_asking_about_nothing_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")

    assert not airflow_status(settings).running
    assert not stop_airflow(settings)
    assert not settings.home.exists()


def test_a_free_port_is_fine_and_a_taken_one_names_its_holder() -> None:
    port = free_port()
    check_port("127.0.0.1", port, "SLUICE_AIRFLOW_PORT")
    with socket.create_server(("127.0.0.1", port)) as server:
        with pytest.raises(ConfigError) as refusal:
            check_port("127.0.0.1", port, "SLUICE_AIRFLOW_PORT")
        assert f"Port {port}" in refusal.value.message
        assert f"(process {os.getpid()}) has it" in refusal.value.message
        assert "SLUICE_AIRFLOW_PORT" in refusal.value.remedy
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    # What is left of that connection waits for a minute, and hinders nobody.
    check_port("127.0.0.1", port, "SLUICE_AIRFLOW_PORT")


@pytest.fixture
def instance(open_folder: Path) -> Iterator[Settings]:
    settings = Settings(
        home=open_folder / "home", postgres_port=free_port(), airflow_port=free_port()
    )
    yield settings
    stop_airflow(settings)
    remove_instance(settings)


def test_what_fails_while_it_starts_is_shown_with_its_log(
    instance: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = ["/bin/sh", "-c", "echo the disk is full; exit 3"]
    monkeypatch.setattr(airflow, "_command", lambda _: fail)
    with pytest.raises(ConfigError, match="database could not be prepared:\nthe disk is full") as e:
        start_airflow(instance)
    assert str(instance.logs / "airflow-migration.log") in e.value.remedy

    monkeypatch.setattr(airflow, "_command", lambda args: ["true"] if "db" in args else fail)
    with pytest.raises(ConfigError, match="ended while it was starting:\nthe disk is full"):
        start_airflow(instance)
    assert not airflow_status(instance).running
