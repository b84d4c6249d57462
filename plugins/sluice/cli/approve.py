"""``sluice approve`` and ``sluice refuse``."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.output import console, failures_explained, print_json, print_table
from sluice.cli.run import print_publication
from sluice.errors import ConfigError
from sluice.local.postgres import ensure_warehouse
from sluice.pipeline import steps
from sluice.publishing.approval import HeldPublication
from sluice.registry import Registry, read_registry
from sluice.settings import Settings, load_settings

PipelineName = Annotated[str, typer.Argument(help="The pipeline's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
HEADINGS = ("mart", "rows", "inserted", "updated", "deleted")

Json = Annotated[bool, typer.Option("--json", help="Print a JSON document.")]


def approve(pipeline: PipelineName, yes: Yes = False, json_output: Json = False) -> None:
    """Publish what waits for approval, after a look at what it changes."""
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        held = _waiting(settings, registry, pipeline)
        if not yes:
            _ask(held, "Publish it?")
        steps.decide(settings, held, "approved", _who())
        # Held against a newer build that has taken its place; no more against what is approved.
        limits = registry.pipeline(pipeline).approve_when
        published = steps.publish(settings, pipeline, held.transformation_id, limits)
    if json_output:
        print_json(published)
    else:
        print_publication(published)


def refuse(pipeline: PipelineName, yes: Yes = False, json_output: Json = False) -> None:
    """Leave gold as it is; what waited for approval is not published."""
    with failures_explained():
        settings = load_settings()
        held = _waiting(settings, read_registry(settings.project), pipeline)
        if not yes:
            _ask(held, "Refuse it?")
        refused = steps.decide(settings, held, "refused", _who())
    if json_output:
        print_json(refused)
        return
    console.print(
        f"{pipeline}: refused. Its loads stay pending: withdraw or correct what is wrong, then"
        f" ./sluice run {pipeline}"
    )


def _waiting(settings: Settings, registry: Registry, pipeline: str) -> HeldPublication:
    registry.pipeline(pipeline)  # a mistyped name gets its suggestion
    ensure_warehouse(settings)
    held = steps.waiting_publication(settings, pipeline)
    if held is None:
        raise ConfigError(
            f"No publication of pipeline {pipeline} waits for approval.",
            "What is pending: ./sluice status",
        )
    return held


def _who() -> str:
    return f"cli:{getpass.getuser()}"


def _ask(held: HeldPublication, question: str) -> None:
    """Show what would change, and go on only where a person says so."""
    if not sys.stdin.isatty():
        raise ConfigError("A decision is asked for, and nobody is there.", "Add --yes.")
    for reason in held.reasons:
        console.print(f"[yellow]held:[/] {escape(reason)}")
    rows = []
    for mart in held.marts:
        counts = (mart.rows_before, mart.rows_inserted, mart.rows_updated, mart.rows_deleted)
        rows.append((mart.mart, *("new" if count is None else f"{count:,}" for count in counts)))
    print_table(HEADINGS, rows, numbers=HEADINGS[1:])
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
