"""``sluice compose-init``: what ``docker compose up`` needs."""

from __future__ import annotations

from rich.markup import escape

from sluice.cli.output import console, failures_explained
from sluice.containers.environment import LOGIN_SECRET, secret_variable, write_environment
from sluice.local.airflow_config import USER
from sluice.settings import load_settings


def compose_init() -> None:
    """Write `.env` for docker compose, with generated secrets; what it holds already is kept.

    Then `docker compose up --wait` starts PostgreSQL and Airflow; see docs/deployment.md.
    """
    with failures_explained():
        path, added = write_environment(load_settings())
    said = f"{len(added)} variables added" if added else "complete already"
    console.print(f"{escape(str(path))}: {said}.")
    console.print(f"Login: {USER}; its password is {secret_variable(LOGIN_SECRET)} in that file.")
    console.print("Next: docker compose up --wait")
