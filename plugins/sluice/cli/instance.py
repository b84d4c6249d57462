"""``sluice up`` and ``sluice down``: PostgreSQL and Airflow in the background."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from sluice.cli.output import console, failures_explained, progress
from sluice.landing.zone import landing_folder
from sluice.local.airflow import airflow_address, start_airflow, stop_airflow
from sluice.local.postgres import ensure_warehouse, postgres_status, stop_postgres
from sluice.registry import Registry, read_registry
from sluice.settings import Settings, load_settings


def up() -> None:
    """Start PostgreSQL and Airflow in the background, and say where they are.

    What runs already is left alone, so it can be repeated.
    """
    with failures_explained():
        settings = load_settings()
        start_instance(settings)
        show_addresses(settings)


def down() -> None:
    """Stop Airflow and the embedded PostgreSQL; the data stays."""
    with failures_explained():
        settings = load_settings()
        with progress("stopping Airflow"):
            airflow_ran = stop_airflow(settings)
        console.print("Airflow stopped." if airflow_ran else "Airflow was not running.")
        with progress("stopping PostgreSQL"):
            postgres_ran = stop_postgres(settings)
        console.print("PostgreSQL stopped." if postgres_ran else "PostgreSQL was not running.")


def start_instance(settings: Settings) -> Registry:
    """Start everything; returns the registry as far as it is sound."""
    registry = read_registry(settings.project)
    for problem in registry.problems:
        console.print(f"[yellow]registry:[/] {escape(str(problem))}")
    for source in registry.sources.values():
        folder = landing_folder(settings, source)
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
    is_there = settings.warehouse.get_secret_value() or postgres_status(settings).running
    with progress("looking at PostgreSQL" if is_there else "starting PostgreSQL"):
        ensure_warehouse(settings)
    console.print("PostgreSQL is ready.")
    with progress("starting Airflow (about 20 seconds)") as tell:
        start_airflow(settings, tell)
    console.print("Airflow is ready.")
    return registry


def show_addresses(settings: Settings) -> None:
    """Say where to look, and where to drop files."""
    address = airflow_address(settings)
    console.print()
    console.print(f"Airflow UI    {address.url}")
    console.print(f"  user        {address.user}")
    console.print(f"  password    {escape(address.password)}")
    console.print(f"Landing zone  {settings.landing}/SOURCE/")
    console.print("Gold          ./sluice psql   (psql as the reader; \\dt lists the marts)")
    console.print("              ./sluice dsn reader   (a URI for another SQL client)")
    console.print("What runs     ./sluice status")
    console.print("Stop          ./sluice down")
