"""What becomes of broken delimited files: loaded right, rejected with a reason, or loaded wrong.

Reads every file of a folder as ``sluice inspect`` does and holds the records that come out against
the file's clean target. A record that comes out and is not in the target is the worst outcome and
counted first: padding, cutting and guessing make such records. A record that is in the target and
does not come out must have been rejected, with a reason.

    .venv/bin/python benchmarks/robustness.py --make /tmp/broken     # a folder of such files
    .venv/bin/python benchmarks/robustness.py /tmp/broken --dialect given
    .venv/bin/python benchmarks/robustness.py /tmp/broken --dialect auto
    .venv/bin/python benchmarks/robustness.py /tmp/broken --reader duckdb     # a yardstick

    .venv/bin/python benchmarks/robustness.py Pollock/polluted_files --dialect given

The last is the public corpus as its repository has it (HPI-Information-Systems/Pollock). Its
targets keep what Sluice refuses to guess, such as a record with a delimiter too many or a quote
that is never closed: one ``missing`` and one ``rejected`` for each is what is aimed at.

The folder has ``csv/`` (or ``dirty/``) with the files, ``clean/`` with a target of the same name
each (RFC 4180, with a header), and ``parameters/NAME_parameters.json`` with the dialect, which
``--dialect given`` needs: the layout of the public corpus Pollock. ``--make`` writes files with its
kinds of damage and some more. Exits with 1 where a record came out wrong.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from broken_files import make_corpus
from pydantic import ValidationError

from sluice.errors import DeliveryError
from sluice.landing.content import DeliveryContent
from sluice.landing.zone import local_delivery
from sluice.reading.inspection import open_file
from sluice.registry import CsvDialect

ENCODINGS = {
    "ascii": "utf-8",
    "utf_8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf_16": "utf-16",
    "utf_16_le": "utf-16",
    "utf_16_be": "utf-16",
    "latin1": "latin-1",
    "iso-8859-1": "latin-1",
    "latin_1": "latin-1",
    "cp1252": "windows-1252",
}


class NotDeclarableError(Exception):
    """The registry has no words for how this file is written."""


@dataclass
class Outcome:
    """What became of one file.

    Attributes:
        name: the file's.
        wrong: how many records came out that are not in the clean target.
        right: how many came out that are.
        missing: how many of the target's did not come out.
        rejected: how many were rejected, by their codes.
        refused: why the file as a whole was not read.
        names_differ: whether the fields have other names than in the target.
    """

    name: str
    wrong: int = 0
    right: int = 0
    missing: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    refused: str = ""
    names_differ: bool = False
    _emitted: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def take(self, records: Iterable[Sequence[str | None]]) -> None:
        """Note records that came out."""
        self._emitted.update(tuple(value or "" for value in record) for record in records)

    def hold_against(self, target: Counter[tuple[str, ...]]) -> None:
        """Count what came out by whether it is in the clean target."""
        self.wrong = (self._emitted - target).total()
        self.right = (self._emitted & target).total()
        self.missing = (target - self._emitted).total()
        self._emitted.clear()

    @property
    def word(self) -> str:
        """The outcome in a word."""
        if self.wrong:
            return "WRONG"
        if self.refused:
            return "refused"
        if self.missing:
            return "partly"
        return "equal"


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="the folder of files")
    parser.add_argument("--dialect", choices=("given", "auto"), default="auto")
    parser.add_argument("--reader", choices=tuple(READERS), default="sluice")
    parser.add_argument("--make", type=Path, metavar="DIR", help="write such a folder")
    parser.add_argument("--rows", type=int, default=83, help="records of each file made")
    parser.add_argument("--summary", action="store_true", help="leave out the line for each file")
    arguments = parser.parse_args()
    if arguments.make:
        count = make_corpus(arguments.make, arguments.rows)
        print(f"{count} files written to {arguments.make}")
        return 0
    if arguments.folder is None:
        parser.error("name a folder, or make one with --make")
    read, mode = READERS[arguments.reader], arguments.dialect
    outcomes = [outcome_of(path, mode, read) for path in files_of(arguments.folder)]
    if not arguments.summary:
        print_files(outcomes)
    print_kinds(outcomes)
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def files_of(folder: Path) -> Iterator[Path]:
    """The files that have a clean target."""
    dirty = next((folder / name for name in ("csv", "dirty") if (folder / name).is_dir()), None)
    if dirty is None:
        sys.exit(f"{folder} has neither csv/ nor dirty/")
    for path in sorted(dirty.iterdir()):
        if (folder / "clean" / path.name).is_file():
            yield path
        else:
            print(f"{path.name}: has no clean target; left out", file=sys.stderr)


def outcome_of(path: Path, mode: str, read: ReadFile) -> Outcome:
    """Read one file, and hold it against its target."""
    folder = path.parent.parent
    parameters = _parameters(folder / "parameters" / f"{path.name}_parameters.json")
    target_names, target = _clean(folder / "clean" / path.name, parameters)
    outcome = Outcome(path.name)
    try:
        names = read(path, parameters if mode == "given" else None, outcome)
        outcome.names_differ = bool(target_names) and names != target_names
    except DeliveryError as error:
        outcome.refused = f"{error.code}: {error.message}"
    except NotDeclarableError as error:
        outcome.refused = f"cannot be declared: {error}"
    except (csv.Error, UnicodeError, duckdb.Error) as error:
        outcome.refused = str(error).partition("\n")[0]
    outcome.hold_against(target)
    return outcome


def _parameters(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _clean(
    path: Path, parameters: dict[str, Any] | None
) -> tuple[tuple[str, ...], Counter[tuple[str, ...]]]:
    """The names and the records of a clean target."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file, strict=True)]
    names = tuple((parameters or {}).get("column_names") or ())
    has_header = not parameters or int(parameters.get("header_lines", 1)) > 0 or rows[:1] == [names]
    if rows and has_header:
        return rows[0], Counter(rows[1:])
    return (), Counter(rows)


def read_with_sluice(
    path: Path,
    parameters: dict[str, Any] | None,
    outcome: Outcome,
) -> tuple[str, ...]:
    """Read a file into counts; returns the names of its fields."""
    dialect, encoding, given = _declared(parameters)
    with DeliveryContent(local_delivery(path)) as content:
        opened = open_file(
            content, path.name, format_="csv", dialect=dialect, encoding=encoding, names=given
        )
        for batch in opened.reader.batches():
            outcome.take(batch.fields)
            outcome.rejected.update(bad.code for bad in batch.bad)
    return opened.names


def read_with_duckdb(
    path: Path,
    parameters: dict[str, Any] | None,
    outcome: Outcome,
) -> tuple[str, ...]:
    """Read a file with DuckDB, which passes over the records that it takes for broken."""
    options: dict[str, Any] = {"all_varchar": True, "ignore_errors": True}
    if parameters is not None:
        dialect, encoding, names = _declared(parameters)
        assert dialect is not None
        options |= {
            "delimiter": dialect.delimiter,
            "quotechar": dialect.quote or "",
            "escapechar": dialect.escape or dialect.quote or "",
            "skiprows": dialect.skip_lines,
            "header": dialect.header,
            "encoding": {"windows-1252": "cp1252"}.get(encoding or "", encoding),
            "auto_detect": False,
            "columns": dict.fromkeys(names or (), "varchar"),
        }
    relation = duckdb.read_csv(str(path), **options)
    outcome.take(relation.fetchall())
    return tuple(relation.columns)


def read_with_python(
    path: Path,
    parameters: dict[str, Any] | None,
    outcome: Outcome,
) -> tuple[str, ...]:
    """Read a file with Python's csv module and, for ``auto``, its Sniffer."""
    text = path.read_bytes().decode("utf-8-sig")
    dialect, _, names = _declared(parameters)
    lines = io.StringIO(text, newline="")
    if dialect is None:
        rows = list(csv.reader(lines, csv.Sniffer().sniff(text)))
    else:
        for _ in range(dialect.skip_lines):
            lines.readline()
        quoting = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
        rows = list(
            csv.reader(
                lines,
                delimiter=dialect.delimiter or ",",
                quotechar=dialect.quote,
                escapechar=dialect.escape,
                doublequote=dialect.escape is None,
                quoting=quoting,
            )
        )
    if names is None:
        names = tuple(rows.pop(0)) if rows else ()
    outcome.take(row for row in rows if row)
    return names


ReadFile = Callable[[Path, dict[str, Any] | None, Outcome], tuple[str, ...]]

READERS: dict[str, ReadFile] = {
    "sluice": read_with_sluice,
    "duckdb": read_with_duckdb,
    "python": read_with_python,
}


def _declared(
    parameters: dict[str, Any] | None,
) -> tuple[CsvDialect | None, str | None, tuple[str, ...] | None]:
    """The dialect, encoding and names that a parameter file gives; all None for ``auto``."""
    if parameters is None:
        return None, None, None
    names = tuple(parameters.get("column_names") or ()) or None
    header_lines = int(parameters.get("header_lines", 1))  # some are written as text
    preamble_lines = int(parameters.get("preamble_lines", 0))
    delimiter = parameters.get("delimiter") or ","  # an empty file has none
    quote = parameters.get("quotechar") or None
    escape = parameters.get("escapechar") or None
    try:
        dialect = CsvDialect(
            delimiter=delimiter[:1] if delimiter[1:].isspace() else delimiter,
            space_after_delimiter=delimiter[1:].isspace(),
            quote=quote,
            escape=None if escape == quote else escape,
            skip_lines=preamble_lines + (header_lines if names else 0),
            header=names is None and header_lines > 0,
            comment=parameters.get("comment"),
            trailing_delimiter=parameters.get("trailing_delimiter", False),
        )
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        raise NotDeclarableError(f"{problem['loc'][0]} {problem['msg']}") from None
    word = str(parameters.get("encoding", "utf-8")).lower()
    return dialect, ENCODINGS.get(word, word), names


def print_files(outcomes: Iterable[Outcome]) -> None:
    """A line for each file, the worst first."""
    order = ("WRONG", "refused", "partly", "equal")
    for outcome in sorted(outcomes, key=lambda each: (order.index(each.word), each.name)):
        codes = ", ".join(f"{count} {code}" for code, count in outcome.rejected.most_common())
        parts = [
            f"{outcome.wrong} wrong" if outcome.wrong else "",
            f"{outcome.right} right",
            f"{outcome.missing} missing" if outcome.missing else "",
            f"rejected: {codes}" if codes else "",
            outcome.refused,
            "other names" if outcome.names_differ else "",
        ]
        print(f"{outcome.word:8} {outcome.name}: {'; '.join(part for part in parts if part)}")


def print_kinds(outcomes: list[Outcome]) -> None:
    """Sums by kind of damage, which is a file's name without its numbers, and in all."""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[re.sub(r"(?<![x0-9A-F])\d+", "N", Path(outcome.name).stem)].append(outcome)
    width = max((len(kind) for kind in kinds), default=0)
    print(f"\n{'kind':{width}}  files  equal refused  wrong   right missing rejected other names")
    for kind, members in sorted(kinds.items()):
        _print_sums(kind.ljust(width), members)
    _print_sums("in all".ljust(width), outcomes)
    rejected: Counter[str] = sum((outcome.rejected for outcome in outcomes), Counter())
    for code, count in rejected.most_common():
        print(f"  {code}: {count}")


def _print_sums(label: str, outcomes: list[Outcome]) -> None:
    equal = sum(outcome.word == "equal" for outcome in outcomes)
    refused = sum(bool(outcome.refused) for outcome in outcomes)
    print(
        f"{label} {len(outcomes):6} {equal:6} {refused:7}"
        f" {sum(outcome.wrong for outcome in outcomes):6}"
        f" {sum(outcome.right for outcome in outcomes):7}"
        f" {sum(outcome.missing for outcome in outcomes):7}"
        f" {sum(outcome.rejected.total() for outcome in outcomes):8}"
        f" {sum(outcome.names_differ for outcome in outcomes):11}"
    )


if __name__ == "__main__":
    sys.exit(main())
