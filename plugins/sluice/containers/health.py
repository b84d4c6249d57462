"""Whether a component of Airflow works: as the API server says, or a worker itself.

The containers' health checks run ``python -m sluice.containers.health COMPONENT``. A question to
the API server costs 0.1 s; Airflow's own ``airflow jobs check`` costs 4 s of a core.
"""

from __future__ import annotations

import configparser
import json
import os
import socket
import sys
import urllib.request
from pathlib import Path

# Written out, since this is asked every few seconds: the import of the components costs 1 s.
HEALTH_URL = "http://api-server:8080/api/v2/monitor/health"


def is_healthy(component: str, url: str = HEALTH_URL) -> bool:
    """Whether the API server answers, and calls this component healthy.

    Args:
        component: the word for it in the answer, such as ``dag_processor``; empty for itself.
        url: where to ask.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            states = json.load(response)
        return not component or states[component]["status"] == "healthy"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_worker_healthy(airflow_home: Path) -> bool:
    """Whether the Celery worker of this container answers, asked through the broker.

    Celery's own command would import Airflow to learn where the broker is.
    """
    from celery import Celery

    options = configparser.ConfigParser()
    options.read(airflow_home / "airflow.cfg")
    application = Celery(broker=options["celery"]["broker_url"])
    worker = f"celery@{socket.gethostname()}"
    return bool(application.control.inspect(destination=[worker], timeout=5).ping())


def main() -> None:
    """Exit with 0 where the component that the first argument names is healthy."""
    component = "".join(sys.argv[1:])
    if component == "worker":
        sys.exit(not is_worker_healthy(Path(os.environ["AIRFLOW_HOME"])))
    sys.exit(not is_healthy(component))


if __name__ == "__main__":
    main()
