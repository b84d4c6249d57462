"""How commands speak: a console for people, JSON for scripts, errors with their remedy."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sluice.errors import SluiceError
from sluice.warehouse.failures import unexpected

PROGRESS_SECONDS = 5.0

console = Console(highlight=False, soft_wrap=True)
errors_console = Console(stderr=True, highlight=False, soft_wrap=True)

# Of the width of the widest table: Rich cuts what does not fit, and whoever looks for a name in a
# table, such as grep, has to find all of it.
_table_console = Console(highlight=False, soft_wrap=True, width=100_000)
LEAST_FOLDED = 12  # characters of a name on a line, on the narrowest terminal


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    typer.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    folded: str = "",
) -> None:
    """Write a table of which nothing is cut.

    Args:
        headings: of the columns.
        rows: their cells, as plain text.
        numbers: the headings of the columns with numbers.
        folded: the heading of the column that goes on in the next line where a terminal is narrow.
    """
    widths = {
        heading: max(map(cell_len, (heading, *cells)))
        for heading, *cells in zip(headings, *rows, strict=True)
    }
    if folded and console.is_terminal:
        # With the space and the line beside each column.
        others = sum(widths.values()) - widths[folded] + 3 * len(widths) + 1
        room = max(console.width - others, LEAST_FOLDED)
        widths[folded] = min(widths[folded], room)
    table = Table(box=box.SIMPLE)
    for heading, width in widths.items():
        justify: JustifyMethod = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    _table_console.print(table)


def print_error(error: SluiceError) -> None:
    """Write an error and its remedy to standard error."""
    errors_console.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.remedy:
        errors_console.print(f"[bold]do:[/] {escape(error.remedy)}")


@contextmanager
def failures_explained() -> Iterator[None]:
    """Let a command that fails end with exit code 1 and the error's own words."""
    try:
        yield
    except SluiceError as error:
        print_error(error)
        raise typer.Exit(1) from None
    except psycopg.Error as error:
        print_error(unexpected("the command ran", error))
        raise typer.Exit(1) from None


def log_to_console(*, verbose: bool) -> None:
    """Send the engine's log lines to standard error: warnings, or everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("sluice")
    logger.addHandler(handler)
    logger.propagate = False  # dbt gives the root logger a handler of its own
    logger.setLevel(logging.INFO if verbose else logging.CRITICAL)


@contextmanager
def progress(words: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is going on: in place, or a line every few seconds.

    Yields:
        What to call with other words when something else is going on.
    """
    if errors_console.is_terminal:
        with errors_console.status(escape(words)) as status:
            yield lambda new: status.update(escape(new))
        return
    told: list[Any] = ["", float("-inf")]

    def tell(new: str) -> None:
        if new != told[0] and time.monotonic() - told[1] >= PROGRESS_SECONDS:
            told[:] = new, time.monotonic()
            errors_console.print(f"... {escape(new)}")

    tell(words)
    yield tell
