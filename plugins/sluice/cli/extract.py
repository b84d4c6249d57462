"""``sluice extract``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.output import (
    console,
    failures_explained,
    log_to_console,
    print_json,
    progress,
)
from sluice.errors import ConfigError, counted
from sluice.extracting import extract_source
from sluice.registry import read_registry
from sluice.settings import load_settings


def extract(
    source: Annotated[str, typer.Argument(help="The source's name.")],
    moment: Annotated[
        str,
        typer.Option(
            metavar="ISO-8601",
            help="What the delivery is named by, in UTC where it has no zone; now if not given.",
        ),
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines.")] = False,
) -> None:
    """Fetch a source's records from its API, here, without Airflow: one delivery.

    The delivery lies in the landing zone then; Airflow, or `sluice run`, takes it up as any other.
    A login comes from the variable AIRFLOW_CONN_... of the connection that the registry names.
    """
    log_to_console(verbose=verbose)
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        known = registry.source(source)
        at = _moment(moment) if moment else datetime.now(UTC)
        with progress(f"{source}: asking") as tell:
            extraction = extract_source(
                settings, known, at, tell=lambda words: tell(f"{source}: {words}")
            )
    if json_output:
        print_json(extraction)
        return
    if extraction.file_name is None:
        console.print(f"{source}: no records; nothing was delivered")
        return
    console.print(
        f"{source}: {counted(extraction.records, 'record')} in"
        f" {counted(extraction.pages, 'page')}:"
        f" {escape(extraction.place)}"
    )
    for name in registry.pipelines_of(source):
        console.print(f"Gold follows with Airflow, or with: ./sluice run {name}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no moment.", "Write it such as 2026-06-30T06:00:00+00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
