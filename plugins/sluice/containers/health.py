"""Whether a component of Airflow works, as the API server says.

The containers' health checks run ``python -m sluice.containers.health COMPONENT``. A question to
the API server costs 0.1 s; Airflow's own ``airflow jobs check`` costs 4 s of a core.
"""

from __future__ import annotations

import json
import sys
import urllib.request

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


if __name__ == "__main__":
    sys.exit(not is_healthy("".join(sys.argv[1:])))
