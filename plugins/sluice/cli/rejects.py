"""``sluice rejects``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from sluice.cli.output import console, errors_console, failures_explained, print_json
from sluice.errors import ConfigError, printable
from sluice.loading.reject_export import export_columns, export_lines
from sluice.local.postgres import ensure_warehouse
from sluice.registry import Source, load_registry
from sluice.settings import load_settings
from sluice.warehouse.connections import connect
from sluice.warehouse.rejected_rows import (
    RejectCount,
    RejectedFile,
    RejectedRow,
    counts_by_reason,
    rejected_files,
    rejected_rows,
)


def rejects(
    source: Annotated[str, typer.Argument(help="The source's name.")],
    file: Annotated[
        str | None, typer.Argument(help="A file's name as delivered; without it, all files.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="PATH",
            help="Write the records as CSV, the file's own columns first; - is standard output.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many records to show.")] = 20,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show the records that could not be loaded: why, where they stand, and what they are.

    Counts are of each file's newest load, and of a rejected correction that only a replay of the
    rows before it has followed: once a file is mended and delivered again, its old rejects are
    history (they stay in ops.rejected_rows). An exported file can be mended and
    dropped into the landing zone: the columns that start with _reject_ are passed over. Values
    that a spreadsheet would run as a formula get an apostrophe before them.
    """
    with failures_explained():
        settings = load_settings()
        declared = load_registry(settings.project).source(source)
        ensure_warehouse(settings)
        with connect(settings, "transformer", application_name="sluice rejects") as connection:
            files = rejected_files(connection, source, file)
            if file is not None and not files:
                _check_name(rejected_files(connection, source), source, file)
            load_ids = [each.load_id for each in files]
            if export is not None:
                _export(declared, files, rejected_rows(connection, load_ids), export)
                return
            counts = counts_by_reason(connection, load_ids)
            rows = list(rejected_rows(connection, load_ids, limit))
    if json_output:
        print_json({"source": source, "files": files, "counts": counts, "records": rows})
    elif files:
        _print_all(files, counts, rows)
    else:
        console.print(f"{source}: no rejected files or records.")


def _check_name(files: Sequence[RejectedFile], source: str, name: str) -> None:
    """Say which file was meant, where others have rejects and this one has none."""
    names = [each.file_name for each in files]
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        raise ConfigError(
            f"{source} has no rejected records of a file {printable(name)}.",
            f"Did you mean {', '.join(map(printable, near))}?",
        )


def _print_all(
    files: Sequence[RejectedFile], counts: Sequence[RejectCount], rows: Sequence[RejectedRow]
) -> None:
    table = Table(box=box.SIMPLE)
    for heading in ("file", "outcome", "loaded", "rejected"):
        table.add_column(heading, justify="right" if heading in ("loaded", "rejected") else "left")
    for each in files:
        name = escape(printable(each.file_name))
        table.add_row(name, each.outcome, f"{each.rows_loaded:,}", f"{each.rows_rejected:,}")
    console.print(table)
    for each in files:
        if each.reject_reason:
            console.print(
                f"[red]rejected:[/] {escape(printable(each.file_name))}:"
                f" {escape(each.reject_reason)}"
            )
    table = Table(box=box.SIMPLE)
    for heading in ("code", "column", "records"):
        table.add_column(heading, justify="right" if heading == "records" else "left")
    for count in counts:
        table.add_row(count.code, count.column_name or "", f"{count.records:,}")
    console.print(table)
    for row in rows:
        place = f"record {row.row_number}" + (
            f", line {row.line_number}" if row.line_number else ""
        )
        name = escape(printable(row.file_name))
        console.print(f"[bold]{name}[/], {place}: {row.code}: {escape(row.reason)}")
        cut = " [dim](cut)[/]" if row.raw_is_cut else ""
        console.print(f"    {escape(printable(row.raw_record))}{cut}")
    total = sum(count.records for count in counts)
    if total > len(rows):
        console.print(f"... and {total - len(rows):,} more; --limit shows more, --export all.")


def _export(
    source: Source, files: Sequence[RejectedFile], rows: Iterable[RejectedRow], path: Path
) -> None:
    columns = export_columns(source, (each.file_columns for each in files))
    lines = export_lines(source, columns, rows)
    try:
        if str(path) == "-":
            count = _write(sys.stdout, lines)
        else:
            with path.open("x", encoding="utf-8", newline="") as file:
                count = _write(file, lines)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.", "Choose another path; none is replaced."
        ) from None
    errors_console.print(f"{count:,} records written to {escape(str(path))}.")


def _write(file: TextIO, lines: Iterable[str]) -> int:
    count = -1  # the header is no record
    for line in lines:
        file.write(line)
        count += 1
    return count
