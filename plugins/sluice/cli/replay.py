"""``sluice replay``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.output import (
    console,
    failures_explained,
    log_to_console,
    print_error,
    print_json,
    progress,
)
from sluice.cli.run import as_document, print_loads, print_report
from sluice.errors import ConfigError, SluiceError
from sluice.loading import SourceReport
from sluice.loading.kept import Selection
from sluice.loading.replay import find_deliveries, plan_of, refused_again
from sluice.loading.replay import replay as replay_source
from sluice.local.postgres import ensure_warehouse
from sluice.pipeline import RunReport, run_pipeline
from sluice.registry import Registry, read_registry
from sluice.settings import Settings, load_settings

DAY = ["%Y-%m-%d"]


def replay(
    source: Annotated[str, typer.Argument(help="The source's name.")],
    files: Annotated[
        list[str] | None, typer.Argument(help="The delivered files' names; all where none.")
    ] = None,
    first_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY, help="What arrived on this day (UTC) or later."),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option("--to", formats=DAY, help="What arrived on this day (UTC) or earlier."),
    ] = None,
    load_only: Annotated[
        bool, typer.Option("--load-only", help="Do not rebuild the pipelines of the source.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines.")] = False,
) -> None:
    """Load files again from the archive, by the registry as it is now, and rebuild.

    Meant are the files whose rows are in bronze and those that were rejected; a withdrawn file
    comes back when it is named. Where a file is rejected now, its old rows stay.

    Of a source with write_disposition: replace, it is the file that is the whole truth, or the
    newest that was not withdrawn. An older one becomes the whole truth again when it is named, or
    is the newest of the days that are given; the rows of every other file leave.
    """
    log_to_console(verbose=verbose)
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        known = registry.source(source)
        selection = Selection(
            tuple(files or ()), first_day and first_day.date(), last_day and last_day.date()
        )
        ensure_warehouse(settings)
        found = find_deliveries(settings, known, selection)
        plan = plan_of(known, found)
        if not json_output:
            console.print(escape(plan), soft_wrap=True)
        if not yes:
            _ask(plan if json_output else "")
        with progress(f"{source}: loading again") as tell:
            loaded = replay_source(
                settings, known, selection, tell=lambda done: tell(f"{source}: {done}")
            )
        run_id = f"replay__{datetime.now(UTC).isoformat(timespec='seconds')}"
        names = [] if load_only else registry.pipelines_of(source)
        reports = {name: _rebuild(settings, registry, name, run_id) for name in names}
    errors = _errors(loaded, reports)
    if json_output:
        runs = [as_document(name, run_id, report) for name, report in reports.items()]
        print_json({"replayed": loaded, "runs": runs})
    else:
        print_loads(loaded)
        for report in reports.values():
            print_report(report)
        for error in errors:
            print_error(error)
    if errors or loaded.left:
        raise typer.Exit(1)


def _rebuild(settings: Settings, registry: Registry, name: str, run_id: str) -> RunReport:
    with progress(f"{name}: starting") as tell:
        return run_pipeline(
            settings, registry, name, run_id, tell=lambda words: tell(f"{name}: {words}")
        )


def _errors(loaded: SourceReport, reports: dict[str, RunReport]) -> list[SluiceError]:
    found: list[SluiceError] = [refused_again(loaded.rejected)] if loaded.rejected else []
    return found + [error for report in reports.values() for error in report.errors]


def _ask(plan: str) -> None:
    """Go on only where a person says so; standard output may be for a program."""
    if not sys.stdin.isatty():
        raise ConfigError("A replay asks before it begins, and nobody is there.", "Add --yes.")
    if not typer.confirm(f"{plan} Go on?".lstrip(), err=True):
        raise typer.Exit(1)
