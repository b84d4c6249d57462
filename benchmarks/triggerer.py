"""What a real triggerer takes of a core, in an Airflow of its own; used by ``many_sources.py``."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from instances import own_instance

from sluice.local.airflow import TRIGGERER, airflow_status, start_airflow
from sluice.settings import PROJECT, Settings
from sluice.warehouse.bootstrap import airflow_database_uri

# A start of Airflow, and the DAG processor's first look at 100 new DAGs, on a busy machine.
PATIENCE_SECONDS = 300.0
# The runner starts its triggers, and folders that have just been made become quiet.
CALM_SECONDS = 20.0
YARDSTICK_SECONDS = 3.0

ASSIGNED = "select count(*) from trigger where triggerer_id is not null"


def triggerer_shares(
    write_registry: Callable[[Settings], None], sources: int, turns: int, seconds: float
) -> list[float]:
    """Measure and print the shares of a core of a triggerer and its runner while nothing arrives.

    Beside them stand what the same triggerer takes before it has a trigger, and one ``os.scandir``
    of each folder as often as the watch may look, measured in the same seconds.

    Args:
        write_registry: writes the registry and the folders into an instance.
        sources: how many triggers that makes.
        turns: how often the triggerer is measured.
        seconds: how long each time.
    """
    with _empty_instance() as settings:
        print("starting Airflow with an empty registry", flush=True)
        start_airflow(settings)
        time.sleep(CALM_SECONDS)
        _report("no trigger", *_measure(settings, seconds))
        write_registry(settings)
        _wait_for_triggers(settings, sources)
        time.sleep(CALM_SECONDS)
        shares = []
        for _ in range(turns):
            share, yardstick = _measure(settings, seconds)
            _report(f"{sources:,} triggers", share, yardstick)
            shares.append(share)
    print(f"{sources:,} triggers: {statistics.median(shares):.1%} of a core (median)")
    return shares


@contextmanager
def _empty_instance() -> Iterator[Settings]:
    """An instance whose project has what Airflow reads, and no registry yet."""
    with tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder:
        project = Path(folder) / "project"
        for name in ("dags/sluice_pipelines.py", "plugins/.airflowignore"):
            (project / name).parent.mkdir(parents=True)
            shutil.copy(PROJECT / name, project / name)
        with own_instance(project=project) as settings:
            yield settings


def _wait_for_triggers(settings: Settings, count: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(airflow_database_uri(settings), autocommit=True) as connection:
        while time.monotonic() < end:
            if connection.execute(ASSIGNED).fetchone() == (count,):
                return
            time.sleep(1)
    sys.exit(f"The triggerer had not {count:,} triggers after {PATIENCE_SECONDS:.0f} s.")


def _measure(settings: Settings, seconds: float) -> tuple[float, float]:
    """The triggerer's share of a core, and the yardstick's."""
    process_id = airflow_status(settings).processes[TRIGGERER]
    if process_id is None:
        sys.exit("The triggerer has ended.")
    triggerer = psutil.Process(process_id)
    listings = []
    busy, clock = _busy_seconds(triggerer), time.monotonic()
    while time.monotonic() < clock + seconds:
        listings.append(_listing_seconds(Path(str(settings.landing))))
        time.sleep(YARDSTICK_SECONDS)
    share = (_busy_seconds(triggerer) - busy) / (time.monotonic() - clock)
    return share, statistics.mean(listings) / settings.poll_seconds


def _busy_seconds(process: psutil.Process) -> float:
    """What a process and its children have had of a core so far."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _listing_seconds(landing: Path) -> float:
    folders = [entry.path for entry in os.scandir(landing)] if landing.is_dir() else []
    started = time.process_time()
    for folder in folders:
        with os.scandir(folder) as entries:
            list(entries)
    return time.process_time() - started


def _report(what: str, share: float, yardstick: float) -> None:
    print(f"{what:<15}{share:>6.1%} of a core; listing the folders: {yardstick:.1%}", flush=True)
