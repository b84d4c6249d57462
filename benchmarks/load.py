r"""How fast files are loaded, as ratios to bare ``psql \copy`` of the same data.

Loads deliveries of the source ``event_stream`` the way ``sluice run`` does (hash, ledger, row
numbers, checks, rejects, archive), in turn with ``psql \copy`` of the clean CSV file into a table
of the same columns, and prints the medians, their ratios and the loader's peak memory:

    csv      the clean CSV file
    gzip     the same file, compressed
    bad      the same records, 1 % of them spoilt in five ways
    jsonl    the same records as JSON Lines
    parquet  the same records as Parquet

    .venv/bin/python benchmarks/load.py                      # 3,000,000 rows: about five minutes
    .venv/bin/python benchmarks/load.py --only csv bad --rows 300000 --turns 3
    .venv/bin/python benchmarks/load.py --memory             # 10 MB to 1 GB: is memory flat?
    .venv/bin/python benchmarks/load.py --beside dlt sling --environment ~/others   # other tools

The other tools need an environment of their own (``python3 -m venv ~/others; ~/others/bin/pip
install "dlt[postgres,duckdb]" "duckdb<2" "sling==1.4.5"``), as they
require other packages than Airflow does.

The ratio is what counts: machines are shared, so the yardstick runs beside each measurement. Exits
with 1 below a ratio or above the memory that the project promises.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
from instances import engagement_samples, own_instance

from sluice.local.postgres import (
    administrator_uri,
    psql_path,
)
from sluice.registry import Source, read_registry
from sluice.settings import Settings
from sluice.warehouse.connections import libpq_environment, role_uri

PROMISED_RATIOS = {"csv": 0.85, "gzip": 0.6, "bad": 0.35, "jsonl": 0.3, "parquet": 0.3}
PROMISED_MEMORY = 200 * 1024 * 1024
MEMORY_BYTES = (10_000_000, 100_000_000, 1_000_000_000)
BYTES_A_ROW = 101
DAYS = 30
FORMATS = {"csv": "csv", "gzip": "csv", "bad": "csv", "jsonl": "jsonl", "parquet": "parquet"}
SPOILT_EVERY = 100
TYPES = "event_time::timestamptz as event_time, miles_amount::decimal(12, 2) as miles_amount"


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=3_000_000, help="records of each file")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured")
    parser.add_argument("--only", nargs="+", choices=PROMISED_RATIOS, default=[*PROMISED_RATIOS])
    parser.add_argument("--memory", action="store_true", help="measure memory by size instead")
    parser.add_argument("--beside", nargs="+", choices=OTHERS, default=[], help="other tools")
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(sys.prefix),
        help="the virtual environment of the other tools",
    )
    parser.add_argument("--load-once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load_once:
        return load_once(arguments.load_once)
    with own_instance(settle_seconds=0) as settings:
        if arguments.memory:
            return report_memory(settings)
        clean = generate(settings.home / "clean.csv", arguments.rows)
        files = {kind: MAKERS[kind](clean) for kind in arguments.only}
        size = clean.stat().st_size
        print(f"{arguments.rows:,} records, {size / 1e6:,.0f} MB as CSV, {arguments.turns} turns")
        return report(measure(settings, clean, files, arguments), size)


def generate(path: Path, rows: int) -> Path:
    """Write one delivery with as many rows."""
    samples = engagement_samples()
    deliveries = samples.generate(seed=1, users=max(rows // 50, 100), days=DAYS, rows=rows)
    samples.write_delivery(path, itertools.chain.from_iterable(rows for _, rows in deliveries))
    return path


def compress(clean: Path) -> Path:
    """The file through gzip, as its usual level does it."""
    path = clean.with_name("clean.csv.gz")
    with clean.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return path


def spoil(clean: Path) -> Path:
    """The file with every hundredth record spoilt, each in one of five ways."""
    ways: tuple[Callable[[bytes], bytes], ...] = (
        lambda line: b"some day" + line[line.index(b",") :],  # no time
        lambda line: line.rpartition(b",")[0] + b"\n",  # a field too few
        lambda line: line[:-1] + b",more\n",  # a field too many
        lambda line: line.replace(b",", b",x", 2),  # none of the accepted words
        lambda line: line.replace(b",", b',"', 1),  # a quote that is never closed
    )
    path = clean.with_name("bad.csv")
    with clean.open("rb") as source, path.open("wb") as target:
        target.write(source.readline())
        for number, line in enumerate(source):
            way = ways[number // SPOILT_EVERY % len(ways)]
            target.write(line if number % SPOILT_EVERY else way(line))
    return path


def convert(clean: Path, suffix: str, options: str) -> Path:
    """The same records in another format, by DuckDB, with times and amounts in their own types."""
    path = clean.with_name(f"clean.{suffix}")
    duckdb.sql("set timezone = 'UTC'")
    records = f"from read_csv('{clean}', all_varchar = true)"
    duckdb.sql(f"copy (select * replace ({TYPES}) {records}) to '{path}' ({options})")
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "csv": lambda clean: clean,
    "gzip": compress,
    "bad": spoil,
    "jsonl": lambda clean: convert(clean, "jsonl", "format json"),
    "parquet": lambda clean: convert(clean, "parquet", "format parquet"),
}


def measure(
    settings: Settings, clean: Path, files: dict[str, Path], arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Measure all in turn; the seconds of each, and the loader's peak memory in bytes."""
    figures: dict[str, list[float]] = {"psql": [], "memory": []}
    for turn in range(arguments.turns):
        shown = []
        for kind, file in files.items():
            figures["psql"].append(psql_copy(settings, clean))
            outcome = sluice_load(settings, file, kind)
            figures.setdefault(kind, []).append(outcome["seconds"])
            figures.setdefault(f"{kind} ratio", []).append(figures["psql"][-1] / outcome["seconds"])
            figures["memory"].append(outcome["memory"])
            shown.append(f"{kind} {outcome['seconds']:.2f} s beside {figures['psql'][-1]:.2f} s")
        print(f"turn {turn + 1}: {', '.join(shown)}", flush=True)
    for name in arguments.beside:
        figures[name] = [OTHERS[name](settings, clean, arguments.environment / "bin")]
    return figures


def prepare(settings: Settings, statements: str) -> None:
    """Empty what the last turn filled, and let its pages be written before the next begins."""
    uri = administrator_uri(settings).rpartition("/")[0] + "/sluice"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statements)
        connection.execute("checkpoint")


def psql_copy(settings: Settings, file: Path) -> float:
    """The yardstick: psql's own copy into a table of the same columns, without anything else."""
    columns = read_registry(settings.project).source("event_stream").columns
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


def sluice_load(settings: Settings, file: Path, kind: str) -> dict[str, float]:
    """Load the file in a process of its own; seconds of the load, peak memory, rejects."""
    folder = settings.landing / "event_stream"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / f"events.{file.name.partition('.')[2]}")
    os.sync()  # the copy is not part of the load
    # The table stays, as in daily work: it is made by the first turn.
    prepare(
        settings,
        "truncate ops.files, ops.loads, ops.published_loads, ops.rejected_rows;"
        " do $$ begin if to_regclass('bronze.event_stream') is not null then"
        " truncate bronze.event_stream; end if; end $$",
    )
    done = subprocess.run(
        [sys.executable, __file__, "--load-once", kind],
        input=json.dumps(settings.model_dump(mode="json")),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    shutil.rmtree(settings.archive)
    outcome: dict[str, float] = json.loads(done.stdout)
    return outcome


def load_once(kind: str) -> int:
    """The measured process: load what waits, with the settings on standard input."""
    from sluice.loading import load_source

    settings = Settings.model_validate_json(sys.stdin.read())
    declared = read_registry(settings.project).source("event_stream")
    source = Source.model_validate(
        {
            **declared.model_dump(),
            "file_glob": "*",
            "format": FORMATS[kind],
            "max_row_errors": "2%",
        }
    )
    started = time.perf_counter()
    loaded = load_source(settings, source)
    seconds = time.perf_counter() - started
    if [entry.outcome for entry in loaded.entries] != ["loaded"]:
        raise SystemExit(f"not loaded: {loaded}")
    rejects = loaded.entries[0].rows_rejected
    print(json.dumps({"seconds": seconds, "memory": peak_memory(), "rejects": rejects}))
    return 0


def peak_memory() -> int:
    """The peak of this process in bytes; getrusage would count that of the parent as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def with_dlt(settings: Settings, file: Path, programs: Path) -> float:
    """dlt: its CSV reader by DuckDB into PostgreSQL; seconds."""
    program = (
        "import dlt, os, sys; from dlt.sources.filesystem import filesystem, read_csv_duckdb;"
        "folder, name = sys.argv[1:]; uri = os.environ['WAREHOUSE'];"
        "pipeline = dlt.pipeline('benchmark', destination=dlt.destinations.postgres(uri),"
        " dataset_name='dlt_benchmark', pipelines_dir=folder + '/dlt');"
        "pipeline.run((filesystem(folder, file_glob=name) | read_csv_duckdb()).with_name('events'),"
        " write_disposition='replace', loader_file_format='csv')"
    )
    allow_schemas(settings)
    started = time.perf_counter()
    subprocess.run(
        [str(programs / "python"), "-c", program, str(file.parent), file.name],
        env={**os.environ, "WAREHOUSE": role_uri(settings, "loader")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def with_sling(settings: Settings, file: Path, programs: Path) -> float:
    """Sling: a file into a table, at its defaults; seconds."""
    allow_schemas(settings)
    command = [str(programs / "sling"), "run", "--src-stream", f"file://{file}"]
    uri = f"{role_uri(settings, 'loader')}?sslmode=disable"  # its driver demands TLS otherwise
    environment = {**os.environ, "WAREHOUSE": uri}
    started = time.perf_counter()
    subprocess.run(
        [
            *command,
            "--tgt-conn",
            "WAREHOUSE",
            "--tgt-object",
            "sling_benchmark.events",
            "--mode",
            "full-refresh",
        ],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def allow_schemas(settings: Settings) -> None:
    """Let the other tools make the schemas that they want."""
    prepare(settings, "grant create on database sluice to sluice_loader")


OTHERS: dict[str, Callable[[Settings, Path, Path], float]] = {"dlt": with_dlt, "sling": with_sling}


def report(figures: dict[str, list[float]], size: int) -> int:
    """Print medians, ratios and memory; returns the exit code."""
    psql = statistics.median(figures["psql"])
    print(f"{'psql copy':10} median {psql:6.2f} s  {size / psql / 1e6:4.0f} MB/s")
    kept = True
    for kind, promised in PROMISED_RATIOS.items():
        if kind in figures:
            seconds = statistics.median(figures[kind])
            ratio = statistics.median(figures[f"{kind} ratio"])
            kept = kept and ratio >= promised
            print(
                f"{kind:10} median {seconds:6.2f} s  {size / seconds / 1e6:4.0f} MB/s"
                f"  ratio {ratio:.2f}  (promised: {promised} or more)"
            )
    for name in OTHERS:
        if name in figures:
            seconds = figures[name][0]
            print(f"{name:10} once   {seconds:6.2f} s  ratio {psql / seconds:.2f}")
    memory = max(figures["memory"])
    print(f"peak memory {memory / 1e6:.0f} MB  (promised: under {PROMISED_MEMORY / 1e6:.0f} MB)")
    return 0 if kept and memory < PROMISED_MEMORY else 1


def report_memory(settings: Settings) -> int:
    """Print the peak memory of clean and spoilt files by size; returns the exit code."""
    most = 0.0
    for size in MEMORY_BYTES:
        clean = generate(settings.home / "clean.csv", size // BYTES_A_ROW)
        for kind in PROMISED_RATIOS:
            file = MAKERS[kind](clean)
            outcome = sluice_load(settings, file, kind)
            most = max(most, outcome["memory"])
            print(
                f"{size / 1e6:5.0f} MB {kind:8} peak memory {outcome['memory'] / 1e6:4.0f} MB"
                f"  {outcome['seconds']:6.2f} s  {outcome['rejects']:,.0f} rejects",
                flush=True,
            )
    print(f"promised: under {PROMISED_MEMORY / 1e6:.0f} MB")
    return 0 if most < PROMISED_MEMORY else 1


if __name__ == "__main__":
    raise SystemExit(main())
