"""The file of secrets: complete, private, and never written over."""

from __future__ import annotations

import ast
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from sluice.containers.environment import (
    ADMINISTRATOR_SECRET,
    BROKER_SECRET,
    LOGIN_SECRET,
    SECRETS,
    secret_variable,
    write_environment,
)
from sluice.errors import ConfigError
from sluice.local.postgres_data import SERVER_SETTINGS
from sluice.settings import PROJECT, Settings
from sluice.warehouse.connections import ROLES

PLUGINS = PROJECT / "plugins"
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
SET_BY_IMAGE = {"project", "home"}
# Names of secrets that come from another module, and an argument that a caller has named.
IMPORTED = {
    "ADMINISTRATOR_SECRET": ADMINISTRATOR_SECRET,
    "LOGIN_SECRET": LOGIN_SECRET,
    "BROKER_SECRET": BROKER_SECRET,
}
GIVEN_ON = {"secret"}
OF_THE_EMBEDDED_SERVER = {"postgres_port", "postgres_user"}


def variables(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    assert len(pairs) == len({name for name, _ in pairs})
    return dict(pairs)


def test_what_is_missing_is_generated_and_private(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path)
    path, added = write_environment(settings)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = variables(path)
    assert sorted(found) == added
    secrets = [found[secret_variable(name)] for name in SECRETS]
    assert len({*secrets}) == len(SECRETS)
    assert all(len(secret) == 32 for secret in secrets)
    assert int(found["SLUICE_UID"]) > 0
    for name in ("landing", "archive", "rejected"):
        assert (tmp_path / "data" / name).stat().st_uid == int(found["SLUICE_UID"])


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path)
    path = tmp_path / ".env"
    path.write_text("# mine\nSLUICE_SECRET_REDIS=chosen\nOTHER=1\nSLUICE_SECRET_AIRFLOW_JWT=")
    path.chmod(0o644)
    write_environment(settings)
    text = path.read_text()

    assert text.startswith("# mine\nSLUICE_SECRET_REDIS=chosen\nOTHER=1\n")
    assert text.count("SLUICE_SECRET_REDIS=") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert write_environment(settings) == (path, [])
    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == [".env"]


def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"SLUICE_SECRET_REDIS=\xff\n")
    with pytest.raises(ConfigError, match="cannot be prepared") as refusal:
        write_environment(Settings(project=tmp_path))

    assert path.read_bytes() == b"SLUICE_SECRET_REDIS=\xff\n"
    assert "\xff" not in str(refusal.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give folders away")
def test_root_gives_folders_to_who_runs_the_containers(tmp_path: Path) -> None:
    old = tmp_path / "data" / "archive" / "orders" / "2026-01-01"
    old.mkdir(parents=True)
    (tmp_path / "data" / "landing").mkdir()
    (tmp_path / "data" / "landing" / "away").symlink_to("/")
    (tmp_path / ".env").write_text("SLUICE_UID=1234\n")
    write_environment(Settings(project=tmp_path))

    assert old.stat().st_uid == 1234
    assert Path("/").stat().st_uid == 0


def test_compose_asks_for_the_secrets_that_are_generated() -> None:
    declared = {name: entry["environment"] for name, entry in COMPOSE["secrets"].items()}
    assert declared == {name: secret_variable(name) for name in SECRETS}


def test_every_secret_that_is_asked_for_is_generated() -> None:
    """In a container nothing can be made in the folder of secrets."""
    asked = {name for path in PLUGINS.rglob("*.py") for name in names_of_secrets(path)}

    assert asked == set(SECRETS)


def names_of_secrets(path: Path) -> Iterator[str]:
    """The names in the calls of ``password``: literals, constants of the module, one per role."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "password"):
            continue
        name = ast.unparse(node.args[1])
        if name in GIVEN_ON:
            continue
        if name == "f'postgres-{role}'":
            yield from (f"postgres-{role}" for role in ROLES)
        else:
            yield str(known.get(name) or IMPORTED.get(name) or ast.literal_eval(node.args[1]))


def test_each_service_has_the_secrets_that_it_needs() -> None:
    airflow = {"postgres-airflow", "airflow-api", "airflow-fernet", "airflow-jwt"}
    roles = {f"postgres-{role}" for role in ROLES}
    given = {name: set(service["secrets"]) for name, service in COMPOSE["services"].items()}

    assert given == {
        "postgres": {ADMINISTRATOR_SECRET},
        "init": airflow | roles | {ADMINISTRATOR_SECRET, LOGIN_SECRET},
        "api-server": airflow | {"postgres-observer"},
        "dag-processor": airflow,
        "triggerer": airflow | {"postgres-loader", "postgres-transformer"},
        "scheduler": airflow | roles | {"mask-key"},
        "celery-scheduler": airflow | {BROKER_SECRET},
        "redis": {BROKER_SECRET},
        "worker": airflow | roles | {"mask-key", BROKER_SECRET},
    }


def test_compose_knows_every_setting() -> None:
    known = {name for name in COMPOSE["x-environment"] if name.startswith("SLUICE_")}
    expected = Settings.model_fields.keys() - SET_BY_IMAGE - OF_THE_EMBEDDED_SERVER
    assert known == {f"SLUICE_{name.upper()}" for name in expected}


def test_the_server_is_set_as_the_embedded_one() -> None:
    options = [text for text in COMPOSE["services"]["postgres"]["command"] if text.startswith("-c")]
    assert dict(text[2:].split("=", 1) for text in options) == {
        name: value.strip() for name, value in SERVER_SETTINGS.items()
    }


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_is_bounded_and_without_rights(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] in ("postgres", "redis") or "SLUICE_UID" in service["user"]
    assert {"memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert "healthcheck" in service or name == "init"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_has_what_everybody_is_tested_with() -> None:
    def pins(path: str) -> dict[str, str]:
        lines = (PROJECT / path).read_text(encoding="utf-8").splitlines()
        found = [line.split(" ", 1)[0].split("==") for line in lines if "==" in line.split(" ")[0]]
        return {name.split("[")[0]: version for name, version in found}

    image, tested = pins("docker/requirements.txt"), pins("requirements.txt")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {Requirement(each).name for each in project["dependencies"]} <= image.keys()
    assert {name: image[name] for name in image.keys() & tested.keys()} == {
        name: tested[name] for name in image.keys() & tested.keys()
    }
