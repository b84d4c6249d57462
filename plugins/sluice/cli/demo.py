"""``sluice demo``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from psycopg import Connection
from psycopg.sql import SQL, Identifier
from rich import box
from rich.markup import escape
from rich.table import Table

from sluice.cli.instance import show_addresses, start_instance
from sluice.cli.output import console, failures_explained, progress
from sluice.errors import ConfigError, SluiceError, TransformError, counted
from sluice.pipeline.overview import pipeline_states, source_states
from sluice.registry import Registry
from sluice.settings import Settings, load_settings
from sluice.warehouse.connections import connect

SHOWN_ROWS = 3


def demo(
    timeout: int = typer.Option(600, min=1, help="How many seconds to wait for the marts."),
) -> None:
    """Start everything, drop generated deliveries, wait for the marts, show them.

    Everything keeps running; drop another file and the marts follow. Repeating it is harmless:
    deliveries are dropped once.
    """
    with failures_explained():
        settings = load_settings()
        dropped = drop_samples(settings)
        registry = start_instance(settings)
        if dropped:
            console.print(f"Dropped into {settings.landing}: {counted(dropped, 'file')}.")
        wait_for_publications(settings, registry, timeout)
        show_marts(settings, registry)
        show_addresses(settings)


def drop_samples(settings: Settings) -> int:
    """Run every generator of ``data/samples`` that has not run for this instance yet.

    Returns:
        How many files were dropped.
    """
    landing = settings.landing
    if not isinstance(landing, Path):
        raise ConfigError(
            f"The samples are written into a folder, and SLUICE_LANDING is {landing}.",
            "Unset it for the demo.",
        )
    before = _count_files(landing)
    for program in sorted((settings.project / "data" / "samples").glob("[!_]*.py")):
        marker = settings.home / "demo" / program.stem
        if marker.exists():
            continue
        with progress(f"generating deliveries: {program.stem}"):
            outcome = subprocess.run(
                [sys.executable, str(program), "--landing", str(landing)],
                capture_output=True,
                text=True,
                check=False,
            )
        if outcome.returncode != 0:
            raise SluiceError(f"{program} failed: {outcome.stderr.strip()[-2000:]}")
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    return _count_files(landing) - before


def _count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.glob("**/[!.]*"))


def wait_for_publications(settings: Settings, registry: Registry, timeout: int) -> None:
    """Wait until nothing is waiting or pending, telling what is; at most ``timeout`` seconds.

    Raises:
        TransformError: a pipeline failed, or the time was not enough.
    """
    end = time.monotonic() + timeout
    with (
        progress("looking at what waits") as tell,
        connect(
            settings, "transformer", application_name="sluice demo", autocommit=True
        ) as connection,
    ):
        while True:
            states = pipeline_states(connection, registry)
            waiting = sum(
                state.waiting + state.unsettled
                for state in source_states(connection, settings, registry)
            )
            unpublished = [state for state in states if not state.is_up_to_date]
            if not waiting and not unpublished:
                return
            failed = next((state.failure for state in states if state.failure), None)
            if failed:
                raise TransformError(failed, "Look at its task in the Airflow UI.")
            if time.monotonic() > end:
                raise TransformError(
                    f"After {timeout} s: {counted(waiting, 'file')} to load,"
                    f" {counted(len(unpublished), 'pipeline')} to publish.",
                    f"Look at the Airflow UI and {settings.logs}.",
                )
            pending = sum(state.pending_loads for state in states)
            tell(
                f"{counted(waiting, 'file')} to load, {counted(pending, 'load')} to publish,"
                f" {len(states) - len(unpublished)} of {len(states)} pipelines published"
            )
            time.sleep(0.5)


def show_marts(settings: Settings, registry: Registry) -> None:
    """Print the first rows of each published mart, read as the reader."""
    with connect(settings, "transformer", application_name="sluice demo") as connection:
        states = pipeline_states(connection, registry)
    with connect(settings, "reader", application_name="sluice demo") as connection:
        for state in states:
            marts = (state.last_publication or {}).get("marts")
            for mart in marts if isinstance(marts, list) else []:
                _show_mart(connection, mart)


def _show_mart(connection: Connection, mart: str) -> None:
    table_name = Identifier("gold", mart)
    count = connection.execute(SQL("select count(*) from {}").format(table_name)).fetchone()
    cursor = connection.execute(
        SQL("select * from {} order by 1, 2 limit %s").format(table_name), (SHOWN_ROWS,)
    )
    columns = [column.name for column in cursor.description or []]
    rows = [[_cell(value) for value in row] for row in cursor]
    shown = _fitting([columns, *rows], console.width)
    more = ["..."] if shown < len(columns) else []
    table = Table(
        title=f"gold.{mart}: {counted(count[0] if count else 0, 'row')}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for column in columns[:shown] + more:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row[:shown]), *more)
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)


def _fitting(rows: Sequence[Sequence[str]], width: int) -> int:
    """How many columns fit beside each other, with their padding and a sign that there are more."""
    used = len("  ...  ")
    for number, cells in enumerate(zip(*rows, strict=True)):
        used += max(map(len, cells)) + 3
        if used > width and number:
            return number
    return len(rows[0])
