"""What has to be there before the components start: ``python -m sluice.containers.prepare``.

Roles, schemas and the ledger by the same code as on one machine, Airflow's tables, its first user,
and a folder for each source. Safe to repeat: whatever is there stays.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sluice.containers.airflow import container_options
from sluice.containers.environment import ADMINISTRATOR_SECRET, LOGIN_SECRET
from sluice.errors import ConfigError, SluiceError
from sluice.landing.zone import landing_folder
from sluice.local.airflow_config import USER, airflow_home, write_options
from sluice.local.postgres_data import SUPERUSER
from sluice.registry import read_registry
from sluice.settings import Settings, load_settings
from sluice.warehouse.bootstrap import prepare_airflow_database, prepare_warehouse
from sluice.warehouse.connections import as_uri, server_parameters
from sluice.warehouse.passwords import password


def prepare(settings: Settings) -> None:
    """Make what is missing.

    Raises:
        ConfigError: a secret, a right or a folder stands in the way, or Airflow's migration failed.
        RetriableError: the server is not there.
    """
    administrator = as_uri(
        {
            **server_parameters(settings),
            "user": SUPERUSER,
            "password": password(settings, ADMINISTRATOR_SECRET),
        }
    )
    prepare_warehouse(settings, administrator)
    prepare_airflow_database(settings, administrator)
    _make_folders(settings)
    write_options(settings, container_options(settings, "prepare"))
    os.environ["AIRFLOW_HOME"] = str(airflow_home(settings))
    migration = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False)
    if migration.returncode != 0:
        raise ConfigError("Airflow's metadata could not be migrated; the reason is above.")
    _make_user(password(settings, LOGIN_SECRET))


def _make_folders(settings: Settings) -> None:
    for place in (settings.archive, settings.rejected):
        _check_writable(place)
    for source in read_registry(settings.project).sources.values():
        _check_writable(landing_folder(settings, source))


def _check_writable(folder: object) -> None:
    if not isinstance(folder, Path):
        return  # an object store makes its own
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        raise ConfigError(
            f"The user {os.getuid()} of the containers may not write to {folder}.",
            "Run ./sluice compose-init as root, or as the owner of the folder data/ whose id is"
            " SLUICE_UID in .env.",
        )


def _make_user(secret: str) -> None:
    """Make Airflow's administrator, unless it is there: its password may be another by now."""
    # Only the image has this package; Airflow's own command takes the password as an argument.
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        if manager.find_user(USER):
            return
        role = manager.find_role("Admin")
        if not manager.add_user(USER, USER, USER, f"{USER}@localhost", role, secret):
            raise ConfigError("Airflow's user admin could not be made; the reason is above.")


def main() -> None:
    """Prepare, or say what stands in the way."""
    try:
        prepare(load_settings())
    except SluiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
