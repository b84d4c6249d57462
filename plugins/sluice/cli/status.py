"""``sluice status``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.attention import print_attention
from sluice.cli.output import console, failures_explained, print_json, print_table
from sluice.errors import printable
from sluice.local.airflow import airflow_status
from sluice.local.airflow_config import airflow_url
from sluice.local.postgres import postgres_status
from sluice.pipeline.attention import Attention, attention
from sluice.pipeline.overview import (
    PipelineState,
    SourceState,
    pipeline_states,
    source_states,
)
from sluice.pipeline.wording import ago
from sluice.registry import Registry, read_registry
from sluice.settings import Settings, load_settings
from sluice.warehouse.connections import connect

SOURCE_HEADINGS = ("source", "last load", "file", "outcome", "rows", "rejects", "waiting")
PIPELINE_HEADINGS = ("pipeline", "published", "inserted", "updated", "deleted", "pending")


def status(
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show what runs, each source's last load and what waits, each pipeline's last publication.

    Starts nothing.
    """
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        postgres, airflow = postgres_status(settings), airflow_status(settings)
        external = bool(settings.warehouse.get_secret_value())
        sources, pipelines, asks = (
            _states(settings, registry) if external or postgres.running else ([], [], None)
        )
    if json_output:
        document = {
            "postgres": {"external": external, **vars(postgres)},
            "airflow": {**vars(airflow), "url": airflow_url(settings)},
            "sources": sources,
            "pipelines": pipelines,
            "attention": asks,
            "registry_problems": [str(problem) for problem in registry.problems],
        }
        print_json(document)
        return
    if external:
        console.print("PostgreSQL  SLUICE_WAREHOUSE")
    else:
        running = f"running on 127.0.0.1:{settings.postgres_port}"
        console.print(f"PostgreSQL  {running if postgres.running else 'stopped (./sluice up)'}")
    url = airflow_url(settings)
    console.print(f"Airflow     {f'running on {url}' if airflow.running else 'stopped'}")
    for problem in registry.problems:
        console.print(f"[yellow]registry:[/] {escape(str(problem))}")
    if sources or pipelines:
        _print_sources(sources)
        _print_pipelines(pipelines)
    if asks:
        print_attention(asks)


def _states(
    settings: Settings, registry: Registry
) -> tuple[list[SourceState], list[PipelineState], Attention | None]:
    with connect(settings, "transformer", application_name="sluice status") as connection:
        return (
            source_states(connection, settings, registry),
            pipeline_states(connection, registry),
            attention(connection, settings, registry),
        )


def _print_sources(sources: list[SourceState]) -> None:
    rows = []
    for state in sources:
        last = state.last_load or {}
        waiting = str(state.waiting) + (f" +{state.unsettled}" if state.unsettled else "")
        rows.append(
            (
                state.source,
                ago(last.get("loaded_at")),
                printable(str(last.get("file_name", ""))),
                str(last.get("outcome", "")),
                str(last.get("rows_loaded", "")),
                str(last.get("rows_rejected", "")),
                waiting,
            )
        )
    print_table(SOURCE_HEADINGS, rows, numbers=SOURCE_HEADINGS[4:], folded="file")
    for state in sources:
        _print_rejected(state)
        for name, reason in state.refused:
            console.print(
                f"[yellow]refused:[/] {state.source}/{escape(printable(name))} {escape(reason)}"
            )


def _print_rejected(state: SourceState) -> None:
    """The files that were rejected and not mended: the newest, and how many there are."""
    newest = state.rejected.newest
    for file in newest:
        console.print(
            f"[red]rejected:[/] {state.source}/{escape(printable(file.file_name))}:"
            f" {escape(file.reject_reason)}"
        )
    if state.rejected.files > len(newest):
        console.print(
            f"[red]rejected:[/] {state.source} has {state.rejected.count} rejected files in all:"
            f" ./sluice rejects {state.source}"
        )


def _print_pipelines(pipelines: list[PipelineState]) -> None:
    rows = []
    for state in pipelines:
        last = state.last_publication or {}
        rows.append(
            (
                state.pipeline,
                ago(state.published_at),
                *(str(last.get(f"rows_{what}", "")) for what in ("inserted", "updated", "deleted")),
                str(state.pending_loads + state.pending_publications),
            )
        )
    print_table(PIPELINE_HEADINGS, rows, numbers=PIPELINE_HEADINGS[2:])
    for state in pipelines:
        if state.failure:
            console.print(f"[red]failed:[/] {escape(state.failure)}")
