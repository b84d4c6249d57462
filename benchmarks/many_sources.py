"""What a large registry costs: 1,000 sources in 100 pipelines.

Writes such a registry and a landing folder for each source, without a database, and measures

- the time of a core to import the DAG file, as the DAG processor does it after each change;
- the share of a core that one triggerer's watch of all landing folders takes while nothing arrives;
- the yardsticks: reading the same files with PyYAML's C parser, and one ``os.scandir`` of each
  folder as often as the watch may look.

    .venv/bin/python benchmarks/many_sources.py            # about half a minute
    .venv/bin/python benchmarks/many_sources.py --sources 100 --pipelines 10
    .venv/bin/python benchmarks/many_sources.py --triggerer       # about five minutes

With --triggerer an Airflow of its own is started, and all that its triggerer takes is measured:
Airflow's share as well. Its yardstick is the same triggerer before it has a trigger.

Machines are shared, so times are those of the processor and not of the clock (both use one core
only), and the yardsticks stand beside them. Exits with 1 where one
of them is more than promised.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

# Airflow makes its home when it is imported, in the user's own if nothing is said.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="sluice-benchmark-airflow-")

import yaml
from triggerer import triggerer_shares

from sluice.orchestration.trigger import LandingZoneTrigger
from sluice.registry import load_registry
from sluice.settings import PROJECT, Settings, load_settings

PROMISED_IMPORT_SECONDS = 3.0
PROMISED_SHARE = 0.05
# The first look reads the registry, which is no part of being idle.
WARM_UP_SECONDS = 5.0
# How often a whole triggerer is measured, and how long each time.
TURNS, TURN_SECONDS = 4, 30.0

# As long as a real entry: that of the system `engagement` has eight columns.
SOURCE = """\
description: Events of app {number}, one file a day.
owner: analytics
file_glob: "events_*.csv"
freshness:
  warn_after: {{count: 26, period: hour}}
columns:
  event_at: {{data_type: timestamp, nullable: false, description: When it happened.}}
  user_id: {{data_type: text, nullable: false}}
  event_type: {{data_type: text, accepted_values: [like, share, search, earned, redeemed]}}
  category: {{data_type: text}}
  amount: {{data_type: decimal, precision: 12, scale: 2, minimum: 0}}
  platform: {{data_type: text, accepted_values: [ios, android, web]}}
  campaign: {{data_type: text}}
  country: {{data_type: text, pattern: "[A-Z]{{2}}"}}
"""
PIPELINE = """\
description: What the users of the apps {first} to {last} do.
owner: analytics
tags: [apps]
sources: [{sources}]
"""


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", type=int, default=1_000)
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5, help="how often the DAG file is imported")
    parser.add_argument("--seconds", type=float, default=15, help="how long the watch is measured")
    parser.add_argument(
        "--triggerer", action="store_true", help="measure a real triggerer as well: four times 30 s"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that Airflow is stopped
    with tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder:
        for name in ("project", "home", "landing"):
            os.environ[f"SLUICE_{name.upper()}"] = f"{folder}/{name}"
        settings = load_settings()
        write_registry(settings, arguments.sources, arguments.pipelines)
        load_registry(settings.project)  # a broken entry would cost nothing
        is_quick = report_import(settings, arguments.turns)
        is_light = report_watch(settings, arguments.seconds)
    if arguments.triggerer:
        is_light = report_triggerer(arguments.sources, arguments.pipelines) and is_light
    return 0 if is_quick and is_light else 1


def write_registry(settings: Settings, sources: int, pipelines: int) -> None:
    """Write the entries of as many sources, dealt evenly among the pipelines, and their folders."""
    for kind in ("sources", "pipelines"):
        (settings.registry / kind).mkdir(parents=True)
    settings.dbt.mkdir()
    for number in range(sources):
        path = settings.registry / "sources" / f"app_{number:04}.yml"
        path.write_text(SOURCE.format(number=number))
        (Path(str(settings.landing)) / path.stem).mkdir(parents=True)
    share = sources // pipelines
    for first in range(0, sources, share):
        names = [f"app_{number:04}" for number in range(first, min(first + share, sources))]
        text = PIPELINE.format(first=first, last=first + share - 1, sources=", ".join(names))
        (settings.registry / "pipelines" / f"apps_{first:04}.yml").write_text(text)


def report_import(settings: Settings, turns: int) -> bool:
    """Measure and print the import of the DAG file; whether it keeps what is promised."""
    imports, yardsticks = [], []
    for _ in range(turns):
        started = time.process_time()
        for path in settings.registry.glob("*/*.yml"):
            yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        yardsticks.append(time.process_time() - started)
        started = time.process_time()
        dags = import_dag_file()
        imports.append(time.process_time() - started)
    median, yardstick = statistics.median(imports), statistics.median(yardsticks)
    print(
        f"{dags} DAGs: the DAG file is imported in {median:.2f} s (at most {max(imports):.2f} s;"
        f" promised: under {PROMISED_IMPORT_SECONDS:.0f} s), {median / yardstick:.1f} times the"
        f" parsing of the same YAML ({yardstick:.2f} s)"
    )
    return median < PROMISED_IMPORT_SECONDS


def import_dag_file() -> int:
    """Import it as a module of its own, as Airflow does; how many DAGs it has."""
    path = PROJECT / "dags" / "sluice_pipelines.py"
    specification = importlib.util.spec_from_file_location("sluice_pipelines", path)
    if specification is None or specification.loader is None:
        raise SystemExit(f"{path} cannot be read")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return sum(name.startswith("dag_") for name in vars(module))


def report_watch(settings: Settings, seconds: float) -> bool:
    """Measure and print what the watch takes of a core; whether it keeps what is promised."""
    share = asyncio.run(watch(seconds))
    folders = [Path(entry.path) for entry in os.scandir(str(settings.landing))]
    started = time.process_time()
    for folder in folders:
        with os.scandir(folder) as entries:
            list(entries)
    yardstick = (time.process_time() - started) / settings.poll_seconds
    print(
        f"{len(folders):,} folders: the watch takes {share:.1%} of a core (promised: under"
        f" {PROMISED_SHARE:.0%}); listing them every {settings.poll_seconds} s takes"
        f" {yardstick:.1%}"
    )
    return share < PROMISED_SHARE


def report_triggerer(sources: int, pipelines: int) -> bool:
    """Measure and print what a whole triggerer takes; whether it keeps what is promised."""
    shares = triggerer_shares(
        lambda settings: write_registry(settings, sources, pipelines), sources, TURNS, TURN_SECONDS
    )
    print(f"promised: under {PROMISED_SHARE:.0%}")
    return statistics.median(shares) < PROMISED_SHARE


async def watch(seconds: float) -> float:
    """Watch the landing zone as the triggerer does; the share of a core once it is idle."""
    async with aclosing(LandingZoneTrigger.open_shared_stream({})) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(WARM_UP_SECONDS)
        started, clock = time.process_time(), time.monotonic()
        await asyncio.wait([first], timeout=seconds)
        share = (time.process_time() - started) / (time.monotonic() - clock)
        if not first.cancel():
            raise SystemExit("something has arrived, and the watch was to be idle")
        with contextlib.suppress(asyncio.CancelledError):
            await first
    return share


if __name__ == "__main__":
    sys.exit(main())
