r"""How fast a clean CSV file is loaded, as a ratio to bare ``psql \copy`` of the same file.

Loads a generated delivery of the source ``event_stream`` the way ``sluice run`` does (hash,
ledger, row numbers, checks, archive), in turn with ``psql \copy`` into a table of the same
columns, and prints the medians, their ratio and the loader's peak memory.

    .venv/bin/python benchmarks/load.py     # 3,000,000 rows, 5 turns: about two minutes
    .venv/bin/python benchmarks/load.py --rows 300000 --turns 3

The ratio is what counts: machines are shared, so a yardstick runs beside each measurement. Exits
with 1 below the ratio or above the memory that the project promises.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import psycopg

from sluice.local.postgres import (
    administrator_uri,
    ensure_warehouse,
    psql_path,
    stop_postgres,
)
from sluice.registry import load_registry
from sluice.settings import PROJECT, Settings
from sluice.warehouse.connections import libpq_environment

PROMISED_RATIO = 0.8
PROMISED_MEMORY = 200 * 1024 * 1024
DAYS = 30


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=3_000_000, help="rows of the file")
    parser.add_argument("--turns", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--load-once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load_once:
        return load_once()
    with instance() as settings:
        file = generate(settings.home / "events.csv", arguments.rows)
        size = file.stat().st_size
        print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB, {arguments.turns} turns")
        return report(measure(settings, file, arguments.turns), size)


@contextmanager
def instance() -> Iterator[Settings]:
    """Start a PostgreSQL of our own for the time of the benchmark."""
    home = Path(tempfile.mkdtemp(prefix="sluice-benchmark-"))
    home.chmod(0o711)  # the server may run as another user
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        home=home / "home",
        landing=home / "landing",
        archive=home / "archive",
        rejected=home / "rejected",
        postgres_port=port,
        settle_seconds=0,
    )
    try:
        ensure_warehouse(settings)
        yield settings
    finally:
        stop_postgres(settings)
        shutil.rmtree(home, ignore_errors=True)


def generate(path: Path, rows: int) -> Path:
    """Write one delivery with as many rows."""
    samples = load_samples()
    deliveries = samples.generate(seed=1, users=max(rows // 50, 100), days=DAYS, rows=rows)
    samples.write_delivery(path, itertools.chain.from_iterable(rows for _, rows in deliveries))
    return path


def load_samples() -> ModuleType:
    """The generator of the system ``engagement``."""
    path = PROJECT / "data" / "samples" / "engagement.py"
    specification = importlib.util.spec_from_file_location("engagement_samples", path)
    if specification is None or specification.loader is None:
        raise SystemExit(f"{path} cannot be read")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def measure(settings: Settings, file: Path, turns: int) -> dict[str, list[float]]:
    """Measure both sides in turn; the seconds of each, and the loader's peak memory in bytes."""
    figures: dict[str, list[float]] = {"psql": [], "sluice": [], "memory": []}
    for turn in range(turns):
        figures["psql"].append(psql_copy(settings, file))
        seconds, memory = sluice_load(settings, file)
        figures["sluice"].append(seconds)
        figures["memory"].append(memory)
        print(
            f"turn {turn + 1}: psql \\copy {figures['psql'][-1]:.2f} s, sluice {seconds:.2f} s",
            flush=True,
        )
    return figures


def prepare(settings: Settings, statements: str) -> None:
    """Empty what the last turn filled, and let its pages be written before the next begins."""
    uri = administrator_uri(settings).rpartition("/")[0] + "/sluice"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statements)  # type: ignore[arg-type]
        connection.execute("checkpoint")


def psql_copy(settings: Settings, file: Path) -> float:
    """The yardstick: psql's own copy into a table of the same columns, without anything else."""
    columns = load_registry(settings.project).source("event_stream").columns
    table = ", ".join(f"{name} {column.postgres_type}" for name, column in columns.items())
    prepare(
        settings,
        f"create table if not exists bronze.yardstick ({table});"
        " grant all on bronze.yardstick to sluice_loader; truncate bronze.yardstick",
    )
    command = f"\\copy bronze.yardstick from '{file}' with (format csv, header true)"
    environment = {**os.environ, **libpq_environment(settings, "loader")}
    started = time.perf_counter()
    subprocess.run([psql_path(), "-qXc", command], env=environment, check=True)
    return time.perf_counter() - started


def sluice_load(settings: Settings, file: Path) -> tuple[float, float]:
    """Load the file in a process of its own; seconds of the load, peak memory of the process."""
    folder = settings.landing / "event_stream"
    folder.mkdir(parents=True, exist_ok=True)
    delivery = folder / "events.csv"
    shutil.copy(file, delivery)
    os.sync()  # the copy is not part of the load
    # The table stays, as in daily work: it is made by the first turn.
    prepare(
        settings,
        "truncate ops.files, ops.loads, ops.published_loads;"
        " do $$ begin if to_regclass('bronze.event_stream') is not null then"
        " truncate bronze.event_stream; end if; end $$",
    )
    done = subprocess.run(
        [sys.executable, __file__, "--load-once"],
        input=json.dumps(settings.model_dump(mode="json")),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    shutil.rmtree(settings.archive)
    outcome = json.loads(done.stdout)
    return outcome["seconds"], outcome["memory"]


def load_once() -> int:
    """The measured process: load what waits, with the settings on standard input."""
    from sluice.loading import load_source

    settings = Settings.model_validate_json(sys.stdin.read())
    source = load_registry(settings.project).source("event_stream")
    started = time.perf_counter()
    loaded = load_source(settings, source)
    seconds = time.perf_counter() - started
    if [entry.outcome for entry in loaded.entries] != ["loaded"]:
        raise SystemExit(f"not loaded: {loaded}")
    print(json.dumps({"seconds": seconds, "memory": peak_memory()}))
    return 0


def peak_memory() -> int:
    """The peak of this process in bytes; getrusage would count that of the parent as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def report(figures: dict[str, list[float]], size: int) -> int:
    """Print medians, ratio and memory; returns the exit code."""
    psql, sluice = (statistics.median(figures[side]) for side in ("psql", "sluice"))
    memory = max(figures["memory"])
    ratio = psql / sluice
    print(f"psql \\copy  median {psql:.2f} s  {size / psql / 1e6:.0f} MB/s")
    print(f"sluice      median {sluice:.2f} s  {size / sluice / 1e6:.0f} MB/s")
    print(f"ratio       {ratio:.2f}  (promised: {PROMISED_RATIO} or more)")
    print(f"peak memory {memory / 1e6:.0f} MB  (promised: under {PROMISED_MEMORY / 1e6:.0f} MB)")
    return 0 if ratio >= PROMISED_RATIO and memory < PROMISED_MEMORY else 1


if __name__ == "__main__":
    raise SystemExit(main())
