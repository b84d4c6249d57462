"""``sluice inspect``."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import psycopg
import typer
from pydantic import ValidationError
from rich import box
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from sluice.cli.output import console, errors_console, print_error, print_json, progress
from sluice.errors import DeliveryError, SluiceError, printable
from sluice.landing.compression import Limits
from sluice.landing.content import DeliveryContent
from sluice.loading.verdicts import Judge, Judged
from sluice.local.postgres import ensure_warehouse
from sluice.reading.csv_writing import csv_writer
from sluice.reading.inspection import OpenedFile, find_file, open_file
from sluice.reading.records import REJECT_CODES, BadRecord, Batch
from sluice.registry import CsvDialect, Source, load_registry
from sluice.registry.encodings import Encoding
from sluice.registry.formats import Format
from sluice.settings import Settings, load_settings
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import unexpected

REJECTED, MISUSED = 1, 2  # exit codes

# Words for characters that are hard to type in a shell.
CHARACTERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "space": " ", "none": None}
PAIR = re.compile(r"([a-z_]+)=(.*?)(?=,[a-z_]+=|$)")

SHOWN_CHARACTERS = 200
CELL_CHARACTERS = 40


@dataclass
class Findings:
    """What was seen of a file.

    Attributes:
        columns: the names of the columns.
        accepted: how many records would be loaded.
        rejected: how many would not, by code.
        first_records: the first of the ones.
        first_rejects: the first of the others.
        refused: why the file as a whole would be rejected.
    """

    columns: tuple[str, ...] = ()
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first_records: list[tuple[int, Sequence[str | None]]] = field(default_factory=list)
    first_rejects: list[BadRecord] = field(default_factory=list)
    refused: DeliveryError | None = None

    @property
    def is_clean(self) -> bool:
        """Whether everything would be loaded."""
        return not self.rejected and self.refused is None


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            help="A file, compressed or not, or a member of an archive: a.zip!member.csv."
        ),
    ],
    dialect: Annotated[
        str | None,
        typer.Option(
            metavar="auto|KEY=VALUE,...",
            help="Of delimited files: delimiter, quote, escape, comment, skip_lines, header,"
            " trailing_delimiter, space_after_delimiter; such as delimiter=semicolon,header=false."
            " Default: auto.",
        ),
    ] = None,
    encoding: Annotated[Encoding | None, typer.Option(help="Default: auto.")] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Seen by the content where not given.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Read it as this source declares, and let PostgreSQL judge its types and rules."
        ),
    ] = None,
    as_: Annotated[
        Literal["csv"] | None,
        typer.Option(
            "--as",
            help="Write the accepted records to standard output as RFC 4180, lines ended by LF;"
            " what else there is to say goes to standard error.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many records and rejects to show.")] = 10,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show what would be loaded from a file: how it is written, its records, its rejects.

    Nothing is loaded. PostgreSQL is asked only with --source; `unique` and `max_row_errors` are
    left to a load. The exit code is 0 where every record is accepted, 1 where something is
    rejected, 2 where the command cannot do what was asked.
    """
    if as_ and json_output:
        raise typer.BadParameter("--as and --json both write to standard output")
    given = _parsed_dialect(dialect)
    with _exit_codes():
        settings = load_settings()
        declared = _declared(settings, source, given, dialect, encoding, format_)
        limits = Limits.of(settings)
        with DeliveryContent(find_file(file, declared, limits), limits) as content:
            write = _csv_writer() if as_ else None
            findings, opened = Findings(), None
            try:
                opened = open_file(
                    content,
                    Path(file).name,
                    source=declared,
                    format_=format_,
                    dialect=given,
                    encoding=encoding,
                )
                _read(opened, declared, settings, findings, limit, write)
            except DeliveryError as error:
                findings.refused = error
    if json_output:
        print_json(_document(file, opened, findings))
    else:
        _show(file, opened, findings, is_export=write is not None)
    if not findings.is_clean:
        raise typer.Exit(REJECTED)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Let 1 mean that something of the file is rejected, and 2 everything else."""
    try:
        yield
    except DeliveryError as error:
        print_error(error)
        raise typer.Exit(REJECTED) from None
    except SluiceError as error:
        print_error(error)
        raise typer.Exit(MISUSED) from None
    except psycopg.Error as error:
        print_error(unexpected("the file was judged", error))
        raise typer.Exit(MISUSED) from None
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(REJECTED) from None
    except OSError as error:
        errors_console.print(f"[bold red]error:[/] {escape(printable(str(error)))}")
        raise typer.Exit(MISUSED) from None


def _parsed_dialect(text: str | None) -> CsvDialect | None:
    """The dialect that an option spells out; None for ``auto``."""
    if text in (None, "auto"):
        return None
    pairs = PAIR.findall(text or "")
    if not pairs or ",".join(f"{key}={value}" for key, value in pairs) != text:
        raise typer.BadParameter("--dialect is auto, or KEY=VALUE pairs with commas between them")
    try:
        return CsvDialect.model_validate(
            {key: CHARACTERS.get(value, value) for key, value in pairs}
        )
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc'])) or 'dialect'}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise typer.BadParameter(f"--dialect: {'; '.join(problems)}") from None


def _declared(
    settings: Settings,
    name: str | None,
    dialect: CsvDialect | None,
    dialect_text: str | None,
    encoding: Encoding | None,
    format_: Format | None,
) -> Source | None:
    """The source's declaration, with what the options say instead."""
    if name is None:
        return None
    if format_ is not None:
        raise typer.BadParameter("--source says the format: leave --format out")
    source = load_registry(settings.project).source(name)
    changes: dict[str, object] = {}
    if dialect_text is not None:
        changes["dialect"] = dialect or "auto"
    if encoding is not None:
        changes["encoding"] = encoding
    return source.model_copy(update=changes)


def _read(
    opened: OpenedFile,
    source: Source | None,
    settings: Settings,
    findings: Findings,
    limit: int,
    write: Callable[[Sequence[Sequence[str | None]]], None] | None,
) -> None:
    """Read the whole file into the findings, and write what is accepted."""
    with _judgement(opened, source, settings) as (columns, judge), progress("reading") as tell:
        findings.columns = columns
        if write:
            write([columns])
        for batch in opened.reader.batches():
            judged = judge(batch)
            findings.accepted += len(judged.rows)
            findings.rejected.update(bad.code for bad in judged.bad)
            wanted = limit - len(findings.first_records)
            findings.first_records += list(zip(judged.numbers, judged.rows, strict=True))[:wanted]
            findings.first_rejects += judged.bad[: limit - len(findings.first_rejects)]
            if write:
                write(judged.rows)
            tell(f"{findings.accepted:,} records read, {findings.rejected.total():,} rejected")


@contextmanager
def _judgement(
    opened: OpenedFile, source: Source | None, settings: Settings
) -> Iterator[tuple[tuple[str, ...], Callable[[Batch], Judged]]]:
    """The columns of what comes out, and what judges a batch."""
    if source is None:
        skipped = opened.skipped_names
        yield opened.names, lambda batch: _unjudged(batch, skipped)
        return
    ensure_warehouse(settings)
    with connect(settings, "reader", application_name="sluice inspect", autocommit=True) as session:
        session.execute("set default_transaction_read_only = on")
        judge = Judge(session, source, opened.names)
        yield judge.columns, judge.judge


def _unjudged(batch: Batch, skipped: int) -> Judged:
    rows = [list(record[skipped:]) for record in batch.fields]
    return Judged(list(batch.numbers), rows, list(batch.bad))


def _csv_writer() -> Callable[[Sequence[Sequence[str | None]]], None]:
    """Writes records to standard output as CSV: missing values bare, empty ones within quotes."""
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    line = csv_writer()

    def write(rows: Sequence[Sequence[str | None]]) -> None:
        sys.stdout.write("".join(map(line, rows)))

    return write


def _show(file: str, opened: OpenedFile | None, findings: Findings, *, is_export: bool) -> None:
    """What a person sees; beside an export, on standard error and without the records."""
    out = errors_console if is_export else console
    if opened is not None:
        packed = f", {opened.compression}" if opened.compression else ""
        out.print(f"[bold]{escape(printable(file))}[/]: {opened.format}{packed}")
        for note in opened.reader.notes:
            out.print(f"  {escape(printable(note))}")
    if findings.refused is not None:
        print_error(findings.refused)
        return
    if not is_export and findings.first_records:
        _show_records(findings)
    elif not is_export:
        out.print(f"columns: {escape(printable(', '.join(findings.columns)))}")
    total = findings.rejected.total()
    out.print(f"records: {findings.accepted:,} accepted, {total:,} rejected")
    for code, count in findings.rejected.most_common():
        out.print(f"  {count:,} {code}: {REJECT_CODES.get(code, '')}")
    for bad in findings.first_rejects:
        line = f", line {bad.place.line}" if bad.place.line is not None else ""
        out.print(f"[yellow]record {bad.place.number}{line}:[/] {escape(printable(bad.reason))}")
        out.print(f"  {escape(_cut(bad.place.raw, SHOWN_CHARACTERS))}")


def _show_records(findings: Findings) -> None:
    """The first records as a table; where that is too wide, field by field."""
    heads = ["#", *(_cut(name, CELL_CHARACTERS) for name in findings.columns)]
    rows = [
        [str(number), *("-" if value is None else _cut(value, CELL_CHARACTERS) for value in record)]
        for number, record in findings.first_records
    ]
    widths = (max(map(cell_len, column)) + 3 for column in zip(heads, *rows, strict=True))
    if sum(widths) <= console.width:
        table = Table(box=box.SIMPLE_HEAD)
        for head in heads:
            table.add_column(escape(head))
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        return
    for row in rows:
        console.print(f"[bold]record {row[0]}[/]")
        for head, cell in zip(heads[1:], row[1:], strict=True):
            console.print(f"  {escape(head)}: {escape(cell)}")


def _cut(text: str, size: int) -> str:
    shown = printable(text[: size + 1])
    return shown if len(text) <= size else shown[:size] + "…"


def _document(file: str, opened: OpenedFile | None, findings: Findings) -> dict[str, Any]:
    detected = opened.detected if opened else None
    refused = findings.refused
    return {
        "file": file,
        "format": opened.format if opened else None,
        "compression": opened.compression if opened else None,
        "encoding": detected.encoding if detected else None,
        "dialect": detected.dialect.model_dump() if detected else None,
        "notes": opened.reader.notes if opened else (),
        "columns": findings.columns,
        "accepted": findings.accepted,
        "rejected": dict(findings.rejected),
        "first_records": [
            {"number": number, "values": values} for number, values in findings.first_records
        ],
        "first_rejects": [
            {
                **asdict(bad.place),
                "code": bad.code,
                "column": bad.column,
                "reason": bad.reason,
            }
            for bad in findings.first_rejects
        ],
        "refused": refused
        and {"code": refused.code, "message": refused.message, "remedy": refused.remedy},
    }
