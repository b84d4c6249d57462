"""``sluice dsn``."""

from __future__ import annotations

from typing import Annotated

import typer

from sluice.cli.output import failures_explained
from sluice.local.postgres import ensure_warehouse
from sluice.settings import load_settings
from sluice.warehouse.connections import Role, role_uri


def dsn(role: Annotated[Role, typer.Argument(help="Whose connection.")]) -> None:
    """Print a connection URI, with its password, for a role of the warehouse.

    loader writes bronze and the ledger; transformer builds silver and gold; observer reads the
    ledger; reader reads gold.
    """
    with failures_explained():
        settings = load_settings()
        ensure_warehouse(settings)
        typer.echo(role_uri(settings, role))
