"""Airflow's components in containers, configured as on one machine but for what differs there.

``python -m sluice.containers.airflow COMPONENT`` writes the configuration and becomes that
component.
"""

from __future__ import annotations

import os
import sys

from sluice.containers.environment import BROKER_SECRET
from sluice.errors import ConfigError, SluiceError
from sluice.local.airflow_config import (
    airflow_home,
    airflow_options,
    airflow_path,
    write_options,
)
from sluice.settings import Settings, load_settings
from sluice.warehouse.passwords import password

# The names and ports of services in docker-compose.yml.
API_SERVER_URL = "http://api-server:8080"
BROKER = "redis:6379/0"

CELERY = "CeleryExecutor"
CELERY_SCHEDULER = "celery-scheduler"
WORKER = "worker"

# Each with the arguments of ``airflow``. Logs are on a volume that all share; a worker on another
# machine serves its own.
COMPONENTS = {
    # What a proxy says of the browser's address is listened to: FORWARDED_ALLOW_IPS says whose.
    "api-server": ("api-server", "--proxy-headers"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    CELERY_SCHEDULER: ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    WORKER: ("celery", "worker"),
}


def container_options(settings: Settings, component: str) -> dict[str, dict[str, str]]:
    """The options of a component: those of one machine, and what differs between containers."""
    options = airflow_options(settings)
    for name in ("simple_auth_manager_users", "simple_auth_manager_passwords_file"):
        del options["core"][name]
    options["core"] |= {
        "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "execution_api_server_url": f"{API_SERVER_URL}{airflow_path(settings)}/execution/",
    }
    options["api"] |= {"host": "0.0.0.0", "port": "8080"}  # noqa: S104  of the container alone
    options["scheduler"] |= {
        # How soon the task of a worker that has vanished is tried again; the default is 5 minutes.
        "task_instance_heartbeat_timeout": "60",
    }
    if component in (CELERY_SCHEDULER, WORKER):
        # Of all workers together; each has its own bound, and so have the pools.
        options["core"] |= {"executor": CELERY, "parallelism": "1000"}
        secret = password(settings, BROKER_SECRET)
        options["celery"] = {
            "broker_url": f"redis://:{secret}@{BROKER}",
            "worker_concurrency": str(settings.parallelism),
        }
        # The default, said: a task that takes longer, in seconds, would be given out twice.
        options["celery_broker_transport_options"] = {"visibility_timeout": "86400"}
        # The executor does not wait by itself, as the one on one machine does.
        options["scheduler"]["scheduler_idle_sleep_time"] = "0.25"
    return options


def become(settings: Settings, component: str) -> None:
    """Replace this process by a component of Airflow.

    Raises:
        ConfigError: there is no such component, or a secret is missing.
    """
    if component not in COMPONENTS:
        raise ConfigError(
            f"There is no component {component}.", f"Choose one of: {', '.join(COMPONENTS)}."
        )
    os.umask(0o077)
    write_options(settings, container_options(settings, component))
    environment = {**os.environ, "AIRFLOW_HOME": str(airflow_home(settings))}
    command = [sys.executable, "-m", "airflow", *COMPONENTS[component]]
    os.execve(command[0], command, environment)  # noqa: S606  no shell is wanted


def main() -> None:
    """Become the component that the first argument names."""
    try:
        become(load_settings(), " ".join(sys.argv[1:]))
    except SluiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
