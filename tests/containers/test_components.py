"""What a component in a container is told, beside what it is told on one machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from sluice.containers import prepare
from sluice.containers.airflow import (
    API_SERVER_URL,
    CELERY_SCHEDULER,
    COMPONENTS,
    WORKER,
    become,
    container_options,
)
from sluice.containers.health import HEALTH_URL, is_healthy
from sluice.errors import ConfigError
from sluice.local.airflow_config import airflow_options
from sluice.settings import PROJECT, Settings
from sluice.warehouse.passwords import password

CHART = yaml.safe_load((PROJECT / "deploy" / "values.yaml").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
TASK_SECRETS = COMPOSE["services"]["scheduler"]["secrets"]
DOCKERFILE = (PROJECT / "docker" / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    database = SecretStr("postgresql://airflow@postgres:5432/airflow")
    return Settings(home=tmp_path / "home", airflow_port=8123, airflow_database=database)


def test_a_component_differs_from_one_machine_by_little(settings: Settings) -> None:
    alone, here = airflow_options(settings), container_options(settings, "scheduler")
    different = {
        f"{section}.{name}"
        for section in alone.keys() | here.keys()
        for name in alone.get(section, {}).keys() | here.get(section, {}).keys()
        if alone.get(section, {}).get(name) != here.get(section, {}).get(name)
    }

    assert different == {
        "core.auth_manager",
        "core.simple_auth_manager_users",
        "core.simple_auth_manager_passwords_file",
        "core.execution_api_server_url",
        "api.host",
        "api.port",
        "scheduler.task_instance_heartbeat_timeout",
    }
    secret = password(settings, "postgres-airflow")
    uri = f"postgresql+psycopg2://airflow:{secret}@postgres:5432/airflow"
    assert here["database"]["sql_alchemy_conn"] == uri
    assert HEALTH_URL.startswith(f"{API_SERVER_URL}/")


def test_workers_bound_what_runs_at_once(settings: Settings) -> None:
    options = container_options(settings.model_copy(update={"parallelism": 7}), WORKER)

    assert options["core"]["executor"] == "CeleryExecutor"
    assert options["core"]["parallelism"] == "1000"
    assert options["celery"]["worker_concurrency"] == "7"
    assert options["celery"]["broker_url"] == f"redis://:{password(settings, 'redis')}@redis:6379/0"


@pytest.mark.parametrize(
    ("ui_url", "path"),
    [("https://sluice.example.org", ""), ("https://data.example.org/airflow", "/airflow")],
)
def test_a_login_leads_back_to_where_people_are(settings: Settings, ui_url: str, path: str) -> None:
    settings = settings.model_copy(update={"ui_url": ui_url})
    alone, here = airflow_options(settings), container_options(settings, "api-server")

    assert alone["api"]["base_url"] == here["api"]["base_url"] == ui_url
    # Airflow serves below the path; between its own parts nothing else changes.
    local, remote = (options["core"]["execution_api_server_url"] for options in (alone, here))
    assert local == f"http://127.0.0.1:8123{path}/execution/"
    assert remote == f"{API_SERVER_URL}{path}/execution/"


def test_an_unknown_component_is_told_the_known_ones(settings: Settings) -> None:
    with pytest.raises(ConfigError) as refusal:
        become(settings, "webserver")
    assert "celery-scheduler" in refusal.value.remedy
    assert not settings.home.exists()


def test_every_component_is_a_service() -> None:
    started = {
        service["command"][-1]
        for service in COMPOSE["services"].values()
        if "sluice.containers.airflow" in service["command"]
    }
    assert started == set(COMPONENTS)


def test_a_password_in_the_setting_comes_first(tmp_path: Path) -> None:
    own = SecretStr("postgresql://me:mine@db.example.org/meta?sslmode=require")
    options = airflow_options(Settings(home=tmp_path / "home", airflow_database=own))
    uri = options["database"]["sql_alchemy_conn"]
    assert uri == "postgresql+psycopg2://me:mine@db.example.org:5432/meta?sslmode=require"

    wrong = Settings(home=tmp_path / "home", airflow_database=SecretStr("mysql://me:mine@db/meta"))
    with pytest.raises(ConfigError, match="SLUICE_AIRFLOW_DATABASE is not") as refusal:
        airflow_options(wrong)
    assert "mine" not in str(refusal.value)


def test_a_folder_that_is_not_ours_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive").write_text("a file where a folder should be")
    settings = Settings(
        project=tmp_path / "project",
        landing=tmp_path / "landing",
        archive=tmp_path / "archive",
        rejected=tmp_path / "rejected",
    )
    with pytest.raises(ConfigError, match=f"may not write to {tmp_path}/archive"):
        prepare._make_folders(settings)


@pytest.fixture
def health_server() -> Iterator[tuple[str, dict[str, object]]]:
    answer: dict[str, object] = {}

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", answer
        server.shutdown()


def test_health_is_what_the_api_server_says(
    health_server: tuple[str, dict[str, object]],
) -> None:
    url, answer = health_server
    answer |= {"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}}
    answer["dag_processor"] = None

    assert is_healthy("", url)
    assert is_healthy("scheduler", url)
    assert not is_healthy("triggerer", url)
    assert not is_healthy("dag_processor", url)
    assert not is_healthy("", "http://127.0.0.1:9/")


def test_the_chart_is_told_the_same(settings: Settings) -> None:
    environment = {entry["name"]: entry["value"] for entry in CHART["env"]}
    address = {"project": Path("/opt/sluice"), "ui_url": environment["SLUICE_UI_URL"]}
    here = container_options(settings.model_copy(update=address), CELERY_SCHEDULER)

    for section, options in CHART["config"].items():
        for name, value in options.items():
            told = here[section][name]
            if name == "dag_bundle_config_list":
                assert json.loads(value) == json.loads(told)
            else:
                assert value == told, f"{section}.{name}"
    assert CHART["executor"] == here["core"]["executor"]
    assert {name.removeprefix("SLUICE_").lower() for name in environment} <= (
        Settings.model_fields.keys()
    )
    assert CHART["apiServer"]["args"][-1].split()[2:] == [*COMPONENTS["api-server"]]


def test_the_chart_mounts_each_secret_of_the_roles_by_itself() -> None:
    """At or above /run/secrets a mount would hide the token of a pod's service account."""
    mounts = {entry["mountPath"]: entry for entry in CHART["volumeMounts"]}
    link, secrets = "/var/lib/sluice/secrets", Path("/run/secrets")
    assert f"ln -s {secrets} {link}" in DOCKERFILE
    own = [Path(path.replace("/var/run/", "/run/").replace(link, str(secrets))) for path in mounts]
    assert not [path for path in own if secrets.is_relative_to(path)]

    mounted = {path for path in mounts if path.startswith(f"{secrets}/")}
    assert mounted == {f"{secrets}/{mounts[path]['subPath']}" for path in mounted}
    assert all(mounts[path]["readOnly"] for path in mounted)
    names = {Path(path).name for path in mounted}
    # The chart has ways of its own for Airflow's.
    assert names == {name for name in TASK_SECRETS if "airflow" not in name}
    page = (PROJECT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"for name in {' '.join(sorted(names, key=TASK_SECRETS.index))}; do" in page


def test_what_the_chart_calls_is_in_the_image() -> None:
    # By default its probes run "exec /entrypoint airflow jobs check ...", and the same with celery.
    script = r"""printf '#!/bin/sh\nexec "$@"\n' > /entrypoint && chmod 0755 /entrypoint"""
    assert script in DOCKERFILE
    # The sidecars for old logs run "bash /clean-logs", of which there is none.
    assert "clean-logs" not in DOCKERFILE
    parts = [CHART["workers"]["celery"], CHART["scheduler"], CHART["dagProcessor"]]
    for part in [*parts, CHART["triggerer"]]:
        assert part["logGroomerSidecar"] == {"enabled": False}
