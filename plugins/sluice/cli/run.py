"""``sluice run``."""

from __future__ import annotations

from collections.abc import Iterable
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
from sluice.errors import counted
from sluice.loading import SourceReport
from sluice.local.postgres import ensure_warehouse
from sluice.pipeline import RunReport, run_pipeline
from sluice.publishing import Publication
from sluice.registry import read_registry
from sluice.registry.filters import read_filter
from sluice.settings import load_settings
from sluice.transforming import TestWarning


def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build incremental models anew.")
    ] = False,
    filter_text: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="[SOURCE.]COLUMN=VALUE",
            help="Load only the records of one source with this value; see docs/operating.md.",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines.")] = False,
) -> None:
    """Run a pipeline once, here, without Airflow: load, transform, test, publish.

    The exit code is 1 where a file was rejected, a model or a test failed; what is sound is
    loaded and published all the same.
    """
    log_to_console(verbose=verbose)
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        registry.pipeline(pipeline)  # before anything is started
        record_filter = read_filter(registry, pipeline, filter_text) if filter_text else None
        ensure_warehouse(settings)
        run_id = f"cli__{datetime.now(UTC).isoformat(timespec='seconds')}"
        with progress(f"{pipeline}: starting") as tell:
            report = run_pipeline(
                settings,
                registry,
                pipeline,
                run_id,
                full_refresh=full_refresh,
                record_filter=record_filter,
                tell=lambda words: tell(f"{pipeline}: {words}"),
            )
    if json_output:
        print_json(as_document(pipeline, run_id, report))
    else:
        print_report(report)
        for error in report.errors:
            print_error(error)
    if report.errors:
        raise typer.Exit(1)


def print_report(report: RunReport) -> None:
    """Write what a run loaded and published."""
    for loaded in report.reports:
        print_loads(loaded)
    print_warnings(report.warnings)
    if report.publication:
        print_publication(report.publication)


def print_warnings(warnings: Iterable[TestWarning]) -> None:
    """Write which tests warned, and where their rows are."""
    for warning in warnings:
        message = " ".join((warning.message or "").split())
        console.print(f"[yellow]warned:[/] {warning.name}: {escape(message)}")
        if warning.rows_kept:
            console.print(f"  in ops.failing_rows: {counted(warning.rows_kept, 'row')} of it")


def print_publication(publication: Publication) -> None:
    """Write what a publication changed."""
    for change in publication.marts:
        shape = "".join(f"; {what}" for what in change.schema_changes)
        console.print(
            f"gold.{change.mart}: {change.rows_inserted} inserted,"
            f" {change.rows_updated} updated, {change.rows_deleted} deleted{shape}"
        )


def print_loads(loaded: SourceReport) -> None:
    """Write what was loaded for one source."""
    rows = sum(entry.rows_loaded for entry in loaded.entries)
    by_outcome = {
        word: sum(entry.outcome == word for entry in loaded.entries)
        for word in ("loaded", "skipped", "rejected")
    }
    counts = ", ".join(f"{count} {word}" for word, count in by_outcome.items() if count)
    console.print(f"{loaded.source}: {counts or 'nothing new'}; {counted(rows, 'row')}")
    bad = sum(entry.rows_rejected for entry in loaded.entries if entry.outcome == "loaded")
    if bad:
        command = f"./sluice rejects {loaded.source}"
        console.print(f"  [yellow]{counted(bad, 'record')} could not be loaded:[/] {command}")
    left_out = sum(entry.rows_left_out for entry in loaded.entries)
    if left_out:
        console.print(f"  left out by the filter: {counted(left_out, 'record')}")
    for reason in loaded.left:
        console.print(f"  [yellow]left:[/] {escape(reason)}")


def as_document(pipeline: str, run_id: str, report: RunReport) -> dict[str, object]:
    """A run as JSON has it."""
    return {
        "pipeline": pipeline,
        "run_id": run_id,
        "sources": report.reports,
        "publication": report.publication,
        "warnings": report.warnings,
        "errors": [
            {"kind": type(error).__name__, "message": error.message, "remedy": error.remedy}
            for error in report.errors
        ],
    }
