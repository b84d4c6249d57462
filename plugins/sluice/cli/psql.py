"""``sluice psql``."""

from __future__ import annotations

import os

import typer

from sluice.cli.output import failures_explained
from sluice.local.postgres import ensure_warehouse, psql_path
from sluice.settings import load_settings
from sluice.warehouse.connections import connection_parameters


def psql(context: typer.Context) -> None:
    """Open psql as the reader of gold; further arguments go to psql.

    Example: `./sluice psql -c 'select * from gold.user_growth_daily limit 5'`
    """
    with failures_explained():
        settings = load_settings()
        ensure_warehouse(settings)
        program = psql_path(settings)
        parameters = connection_parameters(settings, "reader")
    # The password goes through the environment: arguments can be read by other users.
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    names |= {"dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}
    login = {names[key]: str(value) for key, value in parameters.items() if key in names}
    search_path = {"PGOPTIONS": "-c search_path=gold"}
    os.execve(  # noqa: S606
        program, [str(program), *context.args], {**os.environ, **search_path, **login}
    )
