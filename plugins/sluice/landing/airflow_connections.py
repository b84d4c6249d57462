"""Logins, from where users of Airflow keep them: its connections.

Inside of a task, Airflow answers from its metadata and its secrets backends; elsewhere from its
environment variables (``AIRFLOW_CONN_<NAME>``).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice.errors import ConfigError


@contextlib.contextmanager
def quiet_airflow(home: Path) -> Iterator[None]:
    """Airflow may be imported within, wherever this is.

    Outside of its own processes, importing it makes its home; that is the instance's. It also tells
    of logins on the standard output, which belongs to the command.
    """
    os.environ.setdefault("AIRFLOW_HOME", str(home / "airflow"))
    with contextlib.redirect_stdout(sys.stderr):
        yield


def find_connection(name: str, home: Path, *, wanted_by: str) -> Any:
    """An Airflow connection, with its host, login, password and the like.

    Args:
        name: its id.
        home: the instance's folder.
        wanted_by: what it is for, for the message.

    Raises:
        ConfigError: there is none of that name, or it cannot be read.
    """
    with quiet_airflow(home):
        from airflow.sdk import Connection
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            return Connection.get(name)
        except AirflowNotFoundException:
            raise ConfigError(
                f"There is no connection {name} for {wanted_by}.",
                f"Define it in Airflow, or by the variable AIRFLOW_CONN_{name.upper()}.",
            ) from None
        except ValueError:  # its text may repeat the login
            raise ConfigError(
                f"The connection {name} for {wanted_by} is no connection that Airflow can read.",
                f"Write it as JSON or as an address: see AIRFLOW_CONN_{name.upper()}.",
            ) from None
