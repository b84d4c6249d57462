"""``sluice rejects``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from psycopg import Connection
from rich.markup import escape

from sluice.cli.output import (
    console,
    errors_console,
    failures_explained,
    print_json,
    print_table,
)
from sluice.errors import ConfigError, printable
from sluice.landing.zone import landing_folder
from sluice.loading.hiding import ShownRecords, shown_entry
from sluice.loading.reject_export import RejectExport
from sluice.loading.reject_names import suggest_name
from sluice.loading.withdrawal import names_like
from sluice.local.postgres import ensure_warehouse
from sluice.registry import Source, load_registry
from sluice.registry.delivery_names import ledger_name
from sluice.settings import Settings, load_settings
from sluice.warehouse.connections import connect
from sluice.warehouse.rejected_rows import (
    RejectCount,
    RejectedFile,
    RejectedRow,
    counts_by_reason,
    is_delivered,
    rejected_files,
    rejected_rows,
)


def rejects(
    source: Annotated[str, typer.Argument(help="The source's name.")],
    file: Annotated[
        str | None, typer.Argument(help="A file's name as delivered; without it, all files.")
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="PATH",
            help="Write the records as CSV, the file's own columns first: a new file, a folder"
            " (then under the name to drop it by), or - for standard output.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many records to show.")] = 20,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show the records that could not be loaded: why, where they stand, and what they are.

    Counts are of each file's newest load, and of a rejected correction that only a replay of the
    rows before it has followed: once a file is mended and delivered again, its old rejects are
    history (they stay in ops.rejected_rows).

    An export is CSV in UTF-8, whatever the source's files are, and is loaded again as such: mend
    it, leave the columns that begin with _reject_ as they are, and drop it into the landing zone
    UNDER A NEW NAME (the command suggests one). Under the name of a file that was delivered it
    would be a correction, which takes the place of all the rows of that file. Where _reject_mended
    says no, the fields are not the whole record: correct them and write yes. Values that a
    spreadsheet would run as a formula have an apostrophe before them, which is taken off again.
    """
    with failures_explained():
        settings = load_settings()
        declared = load_registry(settings.project).source(source)
        ensure_warehouse(settings)
        with connect(settings, "transformer", application_name="sluice rejects") as connection:
            found = rejected_files(connection, source, file)
            files = [RejectedFile(**shown_entry(declared, vars(each))) for each in found]
            if file is not None and not files:
                _check_name(connection, declared, file)
            load_ids = [each.load_id for each in files]
            if export is not None:
                _export(
                    settings, connection, declared, _worth_exporting(source, file, files), export
                )
                return
            counts = counts_by_reason(connection, load_ids)
            shown = ShownRecords(declared, {each.load_id: each.file_columns for each in files})
            rows = list(shown.of(rejected_rows(connection, load_ids, limit)))
    if json_output:
        print_json({"source": source, "files": files, "counts": counts, "records": rows})
    elif files:
        _print_all(files, counts, rows)
    else:
        console.print(f"{source}: no rejected files or records.")


def _check_name(connection: Connection, source: Source, name: str) -> None:
    """Say which file was meant, where there is none of this name."""
    if not any(is_delivered(connection, source.name, each) for each in (name, ledger_name(name))):
        raise ConfigError(
            f"No file {printable(name)} of source {source.name} was ever delivered.",
            names_like(connection, source, name),
        )


def _print_all(
    files: Sequence[RejectedFile], counts: Sequence[RejectCount], rows: Sequence[RejectedRow]
) -> None:
    print_table(
        ("file", "outcome", "loaded", "rejected"),
        [
            (
                printable(each.file_name),
                each.outcome,
                f"{each.rows_loaded:,}",
                f"{each.rows_rejected:,}",
            )
            for each in files
        ],
        numbers=("loaded", "rejected"),
        folded="file",
    )
    for each in files:
        if each.reject_reason:
            console.print(
                f"[red]rejected:[/] {escape(printable(each.file_name))}:"
                f" {escape(each.reject_reason)}"
            )
    if counts:  # none of a file that was refused before its records were read
        print_table(
            ("code", "column", "records"),
            [(count.code, count.column_name or "", f"{count.records:,}") for count in counts],
            numbers=("records",),
            folded="column",
        )
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


def _worth_exporting(
    source: str, file: str | None, files: Sequence[RejectedFile]
) -> Sequence[RejectedFile]:
    """The files whose records are exported: of one that was rejected whole, only if it is named."""
    if file is not None:
        return files
    loaded = [each for each in files if each.outcome != "rejected"]
    if files and not loaded:
        raise ConfigError(
            f"No single records of {source} are rejected, only whole files: mend the files, whose"
            " bytes are in the rejected area.",
            f"A file's first records: ./sluice rejects {source} FILE --export PATH",
        )
    for each in files:
        if each.outcome == "rejected":
            errors_console.print(
                f"{escape(printable(each.file_name))} was rejected whole, and is not in the export:"
                " mend the file itself."
            )
    return loaded


def _export(
    settings: Settings,
    connection: Connection,
    source: Source,
    files: Sequence[RejectedFile],
    wanted: str,
) -> None:
    path = Path(wanted)
    if wanted.endswith("/") and not path.is_dir():
        raise ConfigError(
            f"There is no folder {wanted}.",
            f"Make it (mkdir -p {path}); without the slash at its end it is the file's name.",
        )
    rows = rejected_rows(connection, [each.load_id for each in files])
    first = next(rows, None)
    if first is None:
        errors_console.print(f"{source.name}: there is nothing to export, and nothing is written.")
        return
    export = RejectExport(source, {each.load_id: each.file_columns for each in files})
    loads = [(each.load_id, each.file_name) for each in files]
    is_known = partial(is_delivered, connection, source.name)
    name = (suggest_name(source, loads, is_known) or "") if loads else ""
    lines = export.lines(chain([first], rows))
    target = path / (name or f"{source.name}.csv") if path.is_dir() else path
    try:
        if str(path) == "-":
            count = _write(sys.stdout.buffer, lines)
        else:
            with target.open("xb") as file:
                count = _write(file, lines)
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written: {error.strerror}.",
            "Choose another path; none is replaced.",
        ) from None
    errors_console.print(f"{count:,} records written to {escape(str(target))}.", soft_wrap=True)
    errors_console.print(escape(_what_to_do(settings, source, files, name)), soft_wrap=True)


def _what_to_do(
    settings: Settings, source: Source, files: Sequence[RejectedFile], name: str
) -> str:
    """What becomes of an export, in sentences."""
    if source.write_disposition == "replace" or not name:
        why = (
            "write_disposition: replace, and they would be all that there is"
            if source.write_disposition == "replace"
            else f"file_glob: {source.file_glob}, which takes no new name"
        )
        return (
            f"They cannot be dropped by themselves: {source.name} says {why}."
            " Mend the file, and deliver it whole."
        )
    if any(each.outcome == "rejected" for each in files):
        return (
            "The file was rejected whole, and these are only the first of its records: mend the"
            " file itself, and deliver it whole."
        )
    return (
        f"Mend them, and drop the file into {landing_folder(settings, source)} as"
        f" {printable(name)}. Under the name of a file that was delivered before, it would take"
        " the place of all the rows of that file."
    )


def _write(file: BinaryIO, lines: Iterable[str]) -> int:
    count = -1  # the header is no record
    for line in lines:
        file.write(line.encode())
        count += 1
    return count
