"""``sluice psql``."""

from __future__ import annotations

import os

import typer

from sluice.cli.output import failures_explained
from sluice.local.postgres import ensure_warehouse, psql_path
from sluice.settings import load_settings
from sluice.warehouse.connections import libpq_environment


def psql(context: typer.Context) -> None:
    """Open psql as the reader of gold; further arguments go to psql.

    Example: `./sluice psql -c 'select * from gold.user_growth_daily limit 5'`
    """
    with failures_explained():
        settings = load_settings()
        ensure_warehouse(settings)
        program = psql_path()
        login = libpq_environment(settings, "reader")
    search_path = {"PGOPTIONS": "-c search_path=gold"}
    os.execve(  # noqa: S606
        program, [str(program), *context.args], {**os.environ, **search_path, **login}
    )
