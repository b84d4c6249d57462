"""How long it takes from a dropped file to published gold, stage by stage, with Airflow running.

Starts an instance of its own in a temporary folder, on free ports, gives it some history, and drops
deliveries one after the other. With --running it measures the instance of the present SLUICE_*
settings instead: the deliveries then stay in its data. Exit code 1 where the median exceeds the
limit.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from instances import PIPELINE, SOURCE, engagement_samples, own_instance

from sluice.landing.zone import landing_folder
from sluice.local.airflow import airflow_status, start_airflow
from sluice.registry import load_registry
from sluice.settings import Settings, load_settings
from sluice.warehouse.bootstrap import airflow_database_uri
from sluice.warehouse.connections import connect

LIMIT_SECONDS = 10.0
TIMEOUT_SECONDS = 180.0
POLL_SECONDS = 0.02

# Each stage ends at the named moment and begins at the one before it.
STAGES = (
    ("settled and noticed", "announced"),
    ("run started", "run_started"),
    ("sense", "sense"),
    ("load", f"load.{SOURCE}"),
    ("transform", "transform"),
    ("publish", "in_gold"),
)

IN_GOLD = """
    select load_id from ops.loads
    join ops.published_loads using (load_id)
    where source = %s and file_name = %s and pipeline = %s
"""
RUN = """
    select dag_run.id, dag_run.start_date, max(asset_event.timestamp)
    from dag_run
    join dagrun_asset_event on dagrun_asset_event.dag_run_id = dag_run.id
    join asset_event on asset_event.id = dagrun_asset_event.event_id
    where dag_run.dag_id = %s and asset_event.timestamp >= %s
    group by dag_run.id
    order by dag_run.id
    limit 1
"""
TASKS = """
    select task_instance.task_id, task_instance.end_date
    from task_instance
    join dag_run using (dag_id, run_id)
    where dag_run.id = %s
"""


@dataclass(frozen=True)
class Drop:
    """One measured delivery: the moment of the drop and of the end of each stage."""

    at: datetime
    moments: Mapping[str, datetime]

    def seconds(self) -> list[float]:
        """The time of each stage."""
        ends = [self.moments[moment] for _, moment in STAGES]
        starts = [self.at, *ends[:-1]]
        return [(end - start).total_seconds() for start, end in zip(starts, ends, strict=True)]

    @property
    def total(self) -> float:
        """From the drop to gold."""
        return (self.moments["in_gold"] - self.at).total_seconds()


@contextlib.contextmanager
def new_instance() -> Iterator[Settings]:
    """An instance of our own, with Airflow."""
    with own_instance() as settings:
        start_airflow(settings, tell=lambda what: print(f"waiting for {what}"))
        yield settings


@contextlib.contextmanager
def running_instance() -> Iterator[Settings]:
    """The instance of the present settings, as it runs."""
    settings = load_settings()
    if not airflow_status(settings).running:
        sys.exit("Airflow does not run; start it with ./sluice up.")
    yield settings


class Bench:
    """Drops deliveries into an instance and waits for them in gold."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.generator = engagement_samples()
        source = load_registry(settings.project).source(SOURCE)
        self.folder = landing_folder(settings, source)
        self.folder.mkdir(parents=True, exist_ok=True)

    def drop_history(self, days: int) -> None:
        """Deliver some days of events and wait until they are published."""
        deliveries = list(self.generator.generate(days=days))
        for name, rows in deliveries:
            self.generator.write_delivery(self.folder / name, rows)
        self.wait_in_gold(deliveries[-1][0])

    def drop(self, number: int, rows: int) -> Drop:
        """Deliver one file of so many rows and wait until it is published."""
        day = self.generator.END_DATE + timedelta(days=1 + number)
        ((_, records),) = self.generator.generate(
            seed=1000 + number, days=1, rows=rows, end_date=day
        )
        name = f"drop_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.csv"
        self.generator.write_delivery(self.folder / name, records)
        dropped_at = datetime.now(UTC)
        in_gold = self.wait_in_gold(name)
        return Drop(dropped_at, {**self.moments(dropped_at), "in_gold": in_gold})

    def wait_in_gold(self, file_name: str) -> datetime:
        """Wait until the load of a file is part of a publication."""
        end = time.monotonic() + TIMEOUT_SECONDS
        with connect(
            self.settings, "transformer", application_name="drop_to_gold", autocommit=True
        ) as connection:
            while time.monotonic() < end:
                if connection.execute(IN_GOLD, (SOURCE, file_name, PIPELINE)).fetchone():
                    return datetime.now(UTC)
                time.sleep(POLL_SECONDS)
        return sys.exit(f"{file_name} was not in gold after {TIMEOUT_SECONDS:.0f} s.")

    def moments(self, dropped_at: datetime) -> dict[str, datetime]:
        """When the stages of the run that took the delivery ended, by Airflow's metadata."""
        with psycopg.connect(airflow_database_uri(self.settings), autocommit=True) as connection:
            run = connection.execute(RUN, (PIPELINE, dropped_at)).fetchone()
            if run is None:
                return sys.exit("Airflow knows of no run for the delivery.")
            run_id, started_at, announced_at = run
            tasks = dict(connection.execute(TASKS, (run_id,)).fetchall())
        return {**tasks, "announced": announced_at, "run_started": started_at}


def show(drops: Sequence[Drop]) -> None:
    """Print each stage's median and maximum."""
    print(f"{'stage':<22}{'median s':>10}{'max s':>10}")
    seconds = [drop.seconds() for drop in drops]
    for (label, _), values in zip(STAGES, zip(*seconds, strict=True), strict=True):
        print(f"{label:<22}{statistics.median(values):>10.2f}{max(values):>10.2f}")
    totals = [drop.total for drop in drops]
    print(f"{'drop to gold':<22}{statistics.median(totals):>10.2f}{max(totals):>10.2f}")


def main() -> None:
    """Measure, print the table, and compare the median with the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drops", type=int, default=10, help="how many files (default: 10)")
    parser.add_argument("--rows", type=int, default=10_000, help="rows a file (default: 10000)")
    parser.add_argument(
        "--history", type=int, default=60, help="days of events before the first drop (default: 60)"
    )
    parser.add_argument(
        "--running", action="store_true", help="measure the running instance, without history"
    )
    options = parser.parse_args()
    with running_instance() if options.running else new_instance() as settings:
        bench = Bench(settings)
        if not options.running:
            print(f"delivering {options.history} days of history")
            bench.drop_history(options.history)
        drops = []
        for number in range(options.drops):
            drops.append(bench.drop(number, options.rows))
            print(f"drop {number + 1}: {drops[-1].total:.2f} s", flush=True)
    show(drops)
    median = statistics.median(drop.total for drop in drops)
    if median > LIMIT_SECONDS:
        sys.exit(f"The median of {median:.2f} s exceeds {LIMIT_SECONDS:.0f} s.")


if __name__ == "__main__":
    main()
