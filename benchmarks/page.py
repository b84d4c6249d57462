"""How long the page's views take with a long history: a million loads, rejects and test results.

Fills the ledger of a PostgreSQL of its own and asks for each view in turn, the first and a late
page of what is paged, in one process and without Airflow's login. The yardstick is a view that
asks the warehouse nothing: the page that says that there is no such source.

    .venv/bin/python benchmarks/page.py            # about two minutes
    .venv/bin/python benchmarks/page.py --loads 100000

Machines are shared, so the ratio to the yardstick stands beside the seconds. Exits with 1 where a
view takes longer than promised.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time

# Airflow makes its home when it is imported, in the user's own if nothing is said.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="sluice-benchmark-airflow-")

import psycopg
from fastapi.testclient import TestClient
from instances import PIPELINE, SOURCE, own_instance
from sensing import drop, fill

from sluice.local.postgres import administrator_uri
from sluice.orchestration.page.access import Visible, visible
from sluice.orchestration.page.app import build_app
from sluice.registry import Registry, load_registry
from sluice.settings import Settings

PROMISED_SECONDS = 0.5
NODES = 50  # of a build
MODEL = "model.sluice.model_1"

# Builds with the results of their nodes, and as many rejected records in one load. A fiftieth of
# the files was rejected and has been mended, beside the thousandth that was not.
FILL = """
    insert into ops.transformations (pipeline, run_id, status)
    select %(pipeline)s, number::text, 'passed' from generate_series(1, %(builds)s) as number;

    insert into ops.node_results
    select transformation_id,
        case when node <= 10 then 'model.sluice.model_' else 'test.sluice.test_' end || node,
        case when node <= 10 then 'model' else 'test' end,
        case when node <= 10 then 'success' else 'pass' end, 0, 1000, 'SELECT 1000', 0.5
    from ops.transformations, generate_series(1, %(nodes)s) as node;

    update ops.loads set rows_rejected = %(loads)s where load_id = 1;

    update ops.loads set
        outcome = 'rejected', reject_code = 'wrong_type', reject_reason = 'a reason'
    where outcome = 'skipped';
    insert into ops.loads (
        load_id, file_id, source, file_name, content_sha256, content_bytes, outcome,
        delivery_kind, rows_loaded, stored_at, started_at
    )
    select
        %(loads)s + row_number() over (order by load_id), file_id, source, file_name,
        encode(sha256(load_id::text::bytea), 'hex'), 100, 'loaded', 'new', 10, now(), now()
    from ops.loads where outcome = 'rejected' and load_id %% 50 = 3;

    insert into ops.rejected_rows (
        load_id, source, file_name, row_number, code, column_name, reason, raw_record
    )
    select 1, %(source)s, 'events_1.csv', number, 'wrong_type', 'user_id', 'a reason', 'a,record'
    from generate_series(1, %(loads)s) as number;
"""


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loads", type=int, default=1_000_000, help="entries of the ledger")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped
    with own_instance() as settings:
        registry = load_registry(settings.project)
        fill(settings, arguments.loads)
        fill_more(settings, arguments.loads)
        drop(settings, registry, files=1_000)
        figures = measure(settings, registry, arguments)
    print(f"{arguments.loads:,} loads, rejected records and results of nodes; 1,000 files wait")
    return report(figures)


def fill_more(settings: Settings, loads: int) -> None:
    """Write the history of builds, and a load's many rejects."""
    uri = administrator_uri(settings).rpartition("/")[0] + "/sluice"
    values = {"source": SOURCE, "pipeline": PIPELINE, "loads": loads, "nodes": NODES}
    with psycopg.ClientCursor(psycopg.connect(uri, autocommit=True)) as cursor:
        cursor.execute(FILL, {**values, "builds": loads // NODES})  # type: ignore[arg-type]
        cursor.execute("vacuum analyze")
        cursor.connection.close()


def measure(
    settings: Settings, registry: Registry, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Ask for every view in turn; the seconds of each."""
    app = build_app(settings)
    everything = Visible(registry, tuple(registry.pipelines), dict(registry.sources))
    app.dependency_overrides[visible] = lambda: everything
    half, builds = arguments.loads // 2, arguments.loads // NODES
    paths = {
        "yardstick": "/sources/none",
        "landing zone": "/",
        "source": f"/sources/{SOURCE}",
        "source, late": f"/sources/{SOURCE}?before={half}",
        "source, empty": f"/sources/{next(name for name in registry.sources if name != SOURCE)}",
        "load": f"/loads/{half}",
        "rejects": "/loads/1",
        "rejects, late": f"/loads/1?after={half}",
        "publications": "/publications",
        "pipeline": f"/pipelines/{PIPELINE}",
        "pipeline, late": f"/pipelines/{PIPELINE}?before={builds // 2}",
        "build": f"/builds/{builds}",
        "model": f"/pipelines/{PIPELINE}/nodes/{MODEL}",
        "model, late": f"/pipelines/{PIPELINE}/nodes/{MODEL}?before={builds // 2}",
    }
    figures: dict[str, list[float]] = {name: [] for name in paths}
    with TestClient(app) as client:
        for turn in range(arguments.turns + 1):
            for name, path in paths.items():
                started = time.perf_counter()
                response = client.get(path)
                seconds = time.perf_counter() - started
                if response.status_code != (404 if name == "yardstick" else 200):
                    raise RuntimeError(f"{path}: {response.status_code}\n{response.text}")
                if turn:  # the first one compiles the templates
                    figures[name].append(seconds)
    return figures


def report(figures: dict[str, list[float]]) -> int:
    """Print medians and ratios; returns the exit code."""
    yardstick = statistics.median(figures["yardstick"])
    print(f"{'':<16}{'median s':>10}{'max s':>10}{'times the yardstick':>22}")
    for name, seconds in figures.items():
        median = statistics.median(seconds)
        print(f"{name:<16}{median:>10.3f}{max(seconds):>10.3f}{median / yardstick:>22.1f}")
    slowest = max(statistics.median(seconds) for seconds in figures.values())
    print(f"the slowest takes {slowest:.2f} s (promised: under {PROMISED_SECONDS} s)")
    return 0 if slowest < PROMISED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
