"""``sluice psql``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from sluice.cli.output import failures_explained
from sluice.local.postgres import ensure_warehouse, psql_path
from sluice.settings import load_settings
from sluice.warehouse.connections import Role, libpq_environment


def psql(
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="Who to be; the reader sees gold only.")] = "reader",
) -> None:
    """Open psql, as the reader of gold unless another role is named; more arguments go to psql.

    Examples: `./sluice psql -c 'select * from user_growth_daily limit 5'`,
    `./sluice psql --role loader -c 'select * from ops.loads limit 5'`
    """
    with failures_explained():
        settings = load_settings()
        ensure_warehouse(settings)
        program = psql_path()
        login = libpq_environment(settings, role)
    options = f"{login.get('PGOPTIONS', '')} -c search_path=gold".strip()
    os.execve(  # noqa: S606
        program, [str(program), *context.args], {**os.environ, **login, "PGOPTIONS": options}
    )
