"""How long sensing takes with a long history: a million ledger entries, a thousand pending files.

Starts a PostgreSQL of its own, fills the ledger with what a source and its pipeline have behind
them, drops pending files, and measures in turn:

- sense: what the DAG's first task does (list the landing zone, count the loads not published yet);
- look: what the trigger does every half second (list and compare), without the database;
- status: the state of every source and pipeline, as ``sluice status`` shows it;
- classify: which case each pending file is, as the load asks before it reads a file;
- the yardstick: one ``os.scandir`` with a ``stat`` of each file, and one indexed query each.

    .venv/bin/python benchmarks/sensing.py            # about a minute
    .venv/bin/python benchmarks/sensing.py --loads 100000 --files 100

Machines are shared, so the ratio to the yardstick stands beside the seconds. Exits with 1 where
sensing takes longer than promised.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import psycopg
from instances import PIPELINE, SOURCE, own_instance

from sluice.landing.zone import list_deliveries
from sluice.local.postgres import administrator_uri
from sluice.orchestration.scan import LandingZoneScan
from sluice.pipeline.overview import pipeline_states, source_states
from sluice.pipeline.steps import sense
from sluice.registry import Registry, load_registry
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect

PROMISED_SECONDS = 2.0

# A file in ten was corrected once, one in fifty skipped, one in a thousand rejected.
FILL = """
    insert into ops.files (source, file_name)
    select %(source)s, 'events_' || number || '.csv' from generate_series(1, %(loads)s) as number;

    insert into ops.loads (
        load_id, file_id, source, file_name, content_sha256, content_bytes, outcome,
        delivery_kind, rows_loaded, reject_code, reject_reason, stored_at, started_at
    )
    select
        number, file_id, source, file_name, encode(sha256(number::text::bytea), 'hex'),
        100000 + number %% 50000, outcome, 'new', case outcome when 'loaded' then 1000 else 0 end,
        case outcome when 'rejected' then 'wrong_type' end,
        case outcome when 'rejected' then 'a reason' end, now(), now()
    from (
        select *, row_number() over (order by file_id) as number from ops.files
    ) as files, lateral (
        select case when number %% 1000 = 7 then 'rejected' when number %% 50 = 3 then 'skipped'
            else 'loaded' end as outcome
    ) as ends;

    update ops.files set current_load_id = loads.load_id
    from ops.loads where loads.file_id = files.file_id and outcome = 'loaded';

    insert into ops.transformations (pipeline, run_id, status)
    values (%(pipeline)s, 'all', 'passed');
    insert into ops.publications (pipeline, transformation_id)
    select pipeline, transformation_id from ops.transformations;
    insert into ops.published_loads (pipeline, load_id, publication_id)
    select %(pipeline)s, load_id, publication_id from ops.loads, ops.publications
    where outcome = 'loaded' and load_id <= %(loads)s - %(pending)s;
"""


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loads", type=int, default=1_000_000, help="entries of the ledger")
    parser.add_argument("--files", type=int, default=1_000, help="files that wait")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped
    with own_instance(settle_seconds=0) as settings:
        registry = load_registry(settings.project)
        fill(settings, arguments.loads)
        drop(settings, registry, arguments.files)
        print(f"{arguments.loads:,} ledger entries, {arguments.files:,} files wait")
        return report(measure(settings, registry, arguments.turns))


def fill(settings: Settings, loads: int) -> None:
    """Write a history of as many loads, the last of them not published yet."""
    uri = administrator_uri(settings).rpartition("/")[0] + "/sluice"
    with psycopg.ClientCursor(psycopg.connect(uri, autocommit=True)) as cursor:
        parameters = {"source": SOURCE, "pipeline": PIPELINE, "loads": loads, "pending": 10}
        cursor.execute(FILL, parameters)  # type: ignore[arg-type]
        cursor.execute("vacuum analyze")
        cursor.connection.close()


def drop(settings: Settings, registry: Registry, files: int) -> None:
    """Let files wait: half of them under names that are known."""
    folder = settings.landing / registry.source(SOURCE).landing_path
    folder.mkdir(parents=True)
    for number in range(files):
        name = f"events_{number}.csv" if number % 2 else f"fresh_{number}.csv"
        (folder / name).write_text(f"user_id\n{number}\n")


def measure(settings: Settings, registry: Registry, turns: int) -> dict[str, list[float]]:
    """Measure everything in turn; the seconds of each."""
    source = registry.source(SOURCE)
    scan = LandingZoneScan(settings)
    with connect(settings, "loader", application_name="benchmark", autocommit=True) as connection:

        def classify() -> None:
            for delivery in list_deliveries(settings, [source]).deliveries:
                ledger.bytes_may_be_known(connection, SOURCE, delivery.state.size)
                ledger.classify(connection, source, delivery.file_name, "0" * 64)

        def status() -> None:
            source_states(connection, settings, registry)
            pipeline_states(connection, registry)

        def yardstick() -> None:
            with os.scandir(settings.landing / source.landing_path) as entries:
                names = [entry.name for entry in entries if entry.stat().st_size]
            connection.execute(
                "select file_id from ops.files where source = %s and file_name = any(%s)",
                (SOURCE, names),
            ).fetchall()

        what: Mapping[str, Callable[[], object]] = {
            "yardstick": yardstick,
            "sense": lambda: sense(settings, registry, PIPELINE),
            "look": scan.look,
            "status": status,
            "classify": classify,
        }
        figures: dict[str, list[float]] = {name: [] for name in what}
        for _ in range(turns):
            for name, action in what.items():
                started = time.perf_counter()
                action()
                figures[name].append(time.perf_counter() - started)
    return figures


def report(figures: Mapping[str, list[float]]) -> int:
    """Print medians and ratios; returns the exit code."""
    yardstick = statistics.median(figures["yardstick"])
    print(f"{'':<12}{'median s':>10}{'max s':>10}{'times the yardstick':>22}")
    for name, seconds in figures.items():
        median = statistics.median(seconds)
        print(f"{name:<12}{median:>10.3f}{max(seconds):>10.3f}{median / yardstick:>22.1f}")
    sensing = statistics.median(figures["sense"])
    print(f"sensing takes {sensing:.2f} s (promised: under {PROMISED_SECONDS:.0f} s)")
    return 0 if sensing < PROMISED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
