"""``sluice withdraw``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.output import console, failures_explained, print_json
from sluice.errors import ConfigError, counted, printable
from sluice.loading import withdrawal
from sluice.local.postgres import ensure_warehouse
from sluice.pipeline.wording import ago
from sluice.registry import read_registry
from sluice.settings import load_settings


def withdraw(
    source: Annotated[str, typer.Argument(help="The source's name.")],
    file: Annotated[str, typer.Argument(help="The delivered file's name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Take a file's rows out of bronze again; silver and gold follow with the next run.

    Its bytes stay in the archive, and what happened stays in the ledger. Delivered again, the
    file is loaded again.
    """
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        known = registry.source(source)
        ensure_warehouse(settings)
        found = withdrawal.find_file(settings, known, file)
        if not yes:
            _ask(found)
        # What nobody has been asked about stays.
        seen = None if yes else found.newest_load_id
        entry = withdrawal.withdraw(settings, known, file, load_id=seen)
    if json_output:
        print_json(entry)
        return
    console.print(
        f"{source}: {counted(entry.rows_replaced, 'row')} of {escape(printable(entry.file_name))}"
        f" {'is' if entry.rows_replaced == 1 else 'are'} out of"
        f" bronze (load {entry.load_id})."
    )
    for name in registry.pipelines_of(source):
        console.print(f"Gold follows with the next run: ./sluice run {name}")


def _ask(found: withdrawal.InBronze) -> None:
    """Go on only where a person says so."""
    if not sys.stdin.isatty():
        raise ConfigError("A withdrawal asks before it begins, and nobody is there.", "Add --yes.")
    name = printable(found.file_name)
    question = (
        f"Take the {counted(found.rows, 'row')} of {name} (loaded {ago(found.loaded_at)}) out of"
        f" bronze.{found.source}?"
    )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
