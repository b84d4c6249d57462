"""Whether a delivery costs by what it changes: the same files on a short and on a long history.

Starts a PostgreSQL of its own, loads a history of 50,000 rows and one of 5,000,000 rows of a
system, a day a file and about as many users a day in both, and builds their marts. Then, in turn,
each gets deliveries of 10,000 rows and a correction of each; measured is the time of ``transform``
and of ``publish`` in a process that has dbt imported. Prints the medians and, stage by stage, what
each model, the tests and the publication took.

    .venv/bin/python benchmarks/incremental.py                       # about eight minutes
    .venv/bin/python benchmarks/incremental.py --histories 50000 500000 --turns 3
    .venv/bin/python benchmarks/incremental.py --system attribution --histories 50000 10000000

Exits with 1 where a delivery or a correction takes more than twice the time on the longest history
that it takes on the shortest.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import psycopg
from instances import own_instance, samples
from pydantic import SecretStr

from sluice.loading import load_source
from sluice.local.postgres import administrator_uri
from sluice.pipeline import publish, transform
from sluice.registry import Registry, load_registry
from sluice.settings import PROJECT, Settings
from sluice.warehouse.bootstrap import prepare_warehouse
from sluice.warehouse.connections import connect

PROMISED_RATIO = 2.0
ROWS_A_DAY = 10_000
# Users join over the days, use the app for a while and leave: as many for each day of the history,
# above those that were there before, make some 4,000 active users a day in a history of any length.
USERS_AT_FIRST, USERS_A_DAY = 13_000, 270
SESSIONS_A_VISITOR = 4

# Rows by the path of their file below the landing zone.
Files = dict[str, list[str]]
# In which turn a file comes, None for the history; its path and its rows.
Delivered = tuple[int | None, str, list[str]]


@dataclass
class History:
    """An instance with so many rows, and deliveries that have yet to arrive.

    Attributes:
        system: whose data it is; its pipeline has the same name.
        rows: how long it is.
        settings: its instance.
        deliveries: what comes after it, one a turn.
        seconds: by what was delivered, the time of each run's transformation and publication.
        stages: by what was delivered and stage, the seconds of each run.
    """

    system: str
    rows: int
    settings: Settings
    deliveries: list[Files]
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stages: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--system", choices=SYSTEMS, default="engagement")
    parser.add_argument("--histories", type=int, nargs="+", default=[50_000, 5_000_000])
    parser.add_argument("--rows", type=int, default=10_000, help="rows of a delivery")
    parser.add_argument("--turns", type=int, default=7, help="deliveries, and corrections, of each")
    arguments = parser.parse_args()
    registry = load_registry(PROJECT)
    with own_instance(settle_seconds=0) as settings:
        histories = []
        for rows in sorted(arguments.histories):
            history = make_history(settings, arguments, rows)
            seconds = first_run(history, registry)
            print(f"history of {rows:,} rows: built in {seconds:.1f} s", flush=True)
            histories.append(history)
        for turn in range(arguments.turns):
            for history in histories:
                run_turn(history, registry, turn)
    return report(histories)


def make_history(server: Settings, arguments: argparse.Namespace, rows: int) -> History:
    """Put a history into the landing zone of an instance, and keep what comes after it."""
    settings = beside(server, f"history_{rows}")
    history = History(arguments.system, rows, settings, [{} for _ in range(arguments.turns)])
    for turn, path, lines in SYSTEMS[arguments.system](rows, arguments.rows, arguments.turns):
        if turn is None:
            drop(history, {path: lines})
        else:
            history.deliveries[turn][path] = lines
    return history


def engagement(rows: int, delivery_rows: int, turns: int) -> Iterator[Delivered]:
    """A history of events, and deliveries of exactly as many more."""
    days = max(rows // ROWS_A_DAY, 1)
    more = -(-turns * delivery_rows // ROWS_A_DAY)
    generated = samples("engagement").generate(
        seed=1,
        users=USERS_AT_FIRST + USERS_A_DAY * (days + more),
        days=days + more,
        rows=rows + turns * delivery_rows,
    )
    left, after = rows, []
    for file_name, lines in generated:
        if left:
            yield None, f"event_stream/{file_name}", lines[:left]
        after += lines[left:]
        left = max(left - len(lines), 0)
    for turn in range(turns):
        lines = after[turn * delivery_rows : (turn + 1) * delivery_rows]
        yield turn, f"event_stream/delivery_{turn}.csv", lines


def attribution(rows: int, delivery_rows: int, turns: int) -> Iterator[Delivered]:
    """A history of sessions with their registrations, and the days after it: about as many each."""
    days = max(rows // delivery_rows, 1)
    sessions = rows + turns * delivery_rows
    generator = samples("attribution")
    generated = generator.generate(
        seed=1, users=sessions // SESSIONS_A_VISITOR, days=days + turns, rows=sessions
    )
    first = generator.END_DATE - timedelta(days=turns - 1)
    for path, lines in generated:
        day = date.fromisoformat(path.rpartition("_")[2].removesuffix(".csv"))
        yield (None if day < first else (day - first).days), path, lines


SYSTEMS = {"engagement": engagement, "attribution": attribution}


def drop(history: History, files: Files) -> None:
    """Write files into the landing zone."""
    for path, lines in files.items():
        samples(history.system).write_delivery(history.settings.landing / path, lines)


def beside(server: Settings, name: str) -> Settings:
    """An instance on the same server, with a database and folders of its own."""
    uri = administrator_uri(server)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    folder = server.home.parent / name
    shutil.copytree(server.secrets, folder / "home" / "secrets")
    uri = f"{uri.rpartition('/')[0]}/{name}"
    settings = Settings(
        home=folder / "home",
        landing=folder / "landing",
        archive=folder / "archive",
        rejected=folder / "rejected",
        warehouse=SecretStr(uri),
        settle_seconds=0,
    )
    prepare_warehouse(settings, uri)
    return settings


def first_run(history: History, registry: Registry) -> float:
    """Load the history, build and publish its marts; the seconds of the last two."""
    load(history, registry)
    started = time.perf_counter()
    run(history, registry)
    return time.perf_counter() - started


def load(history: History, registry: Registry) -> None:
    """Load what waits; it must be sound."""
    for source in registry.pipeline(history.system).sources:
        report = load_source(history.settings, registry.source(source))
        if report.rejected or not report.entries:
            raise SystemExit(f"not loaded: {report}")


def run(history: History, registry: Registry) -> tuple[int, float, float]:
    """Transform and publish; the transformation's id, and the seconds of each."""
    started = time.perf_counter()
    transformation = transform(history.settings, registry, history.system, "benchmark")
    built = time.perf_counter()
    publish(history.settings, history.system, transformation)
    return transformation, built - started, time.perf_counter() - built


def run_turn(history: History, registry: Registry, turn: int) -> None:
    """Deliver once and then the correction, and measure what each takes."""
    files = history.deliveries[turn]
    # A tenth of the records gone, the others as they were, each under another number.
    corrected = {
        path: [row for number, row in enumerate(rows) if number % 10]
        for path, rows in files.items()
    }
    shown = []
    for kind, content in (("delivery", files), ("correction", corrected)):
        drop(history, content)
        load(history, registry)
        transformation, transforming, publishing = run(history, registry)
        history.seconds[kind].append(transforming + publishing)
        for stage, seconds in node_seconds(history.settings, transformation).items():
            history.stages[kind, stage].append(seconds)
        history.stages[kind, "transform in all"].append(transforming)
        history.stages[kind, "publish"].append(publishing)
        shown.append(f"{kind} {transforming + publishing:.2f} s")
    print(f"turn {turn + 1}, {history.rows:,} rows: {', '.join(shown)}", flush=True)


def node_seconds(settings: Settings, transformation: int) -> dict[str, float]:
    """How long each model of a transformation took, and its tests together."""
    with connect(settings, "transformer", application_name="benchmark") as connection:
        rows = connection.execute(
            """
            select
                case
                    when resource_type = 'model' then split_part(unique_id, '.', 3)
                    else resource_type || 's'
                end,
                sum(execution_seconds)
            from ops.node_results
            where transformation_id = %s
            group by 1
            """,
            (transformation,),
        ).fetchall()
    return dict(rows)


def report(histories: Sequence[History]) -> int:
    """Print every stage's median on each history and the ratios; returns the exit code."""
    kept = True
    columns = "".join(f"{history.rows:>13,}" for history in histories)
    for kind in histories[0].seconds:
        print(f"\n{kind}: median seconds on a history of{columns:>{13 * len(histories) + 3}}")
        for stage in sorted(stage for of, stage in histories[-1].stages if of == kind):
            print_medians(stage, [history.stages[kind, stage] for history in histories])
        medians = print_medians("transform + publish", [each.seconds[kind] for each in histories])
        ratio = medians[-1] / medians[0]
        kept = kept and ratio <= PROMISED_RATIO
        print(f"ratio {ratio:.2f}  (promised: {PROMISED_RATIO} or less)")
    return 0 if kept else 1


def print_medians(label: str, measured: Sequence[Sequence[float]]) -> list[float]:
    """Print one line of the table; the medians that it shows."""
    medians = [statistics.median(seconds) if seconds else 0.0 for seconds in measured]
    print(f"  {label:<36}{''.join(f'{median:>13.3f}' for median in medians)}")
    return medians


if __name__ == "__main__":
    raise SystemExit(main())
