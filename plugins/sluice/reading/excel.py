"""Excel workbooks: xlsx, xls, xlsb and ods, by calamine in a process of its own."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from sluice.errors import DeliveryError
from sluice.reading.excel_cells import Cell, CellColumn, cell_columns, shown
from sluice.reading.excel_program import MEMORY_BYTES
from sluice.reading.names import refuse_no_text
from sluice.reading.records import BadRecord, Batch, Opener, Place
from sluice.registry import Source

BATCH_ROWS = 4096

# A sheet of all rows that Excel has takes a minute; a file that takes this long never ends.
LONGEST_SECONDS = 1800

# What the program needs of the environment: no passwords of the instance.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "SYSTEMROOT")

PLUGINS = Path(__file__).resolve().parents[2]


class ExcelReader:
    """The records of one sheet: the rows below its header row, by the columns named in that.

    How values are written is said in ``excel_cells``. Rows after the last with a value are no
    records; an empty row before it is a bad one, but in a sheet of one column, where it is a
    missing value. A row with a value in a column that the header does not name is ragged. A
    record's line is the number of its row in the sheet; its raw text is its cells as CSV.

    Attributes:
        names: the names in the header row.
        notes: which sheet was taken.
    """

    def __init__(self, opener: Opener, source: Source) -> None:
        """Read the sheet into a temporary file without a name.

        Raises:
            DeliveryError: it is no workbook, is encrypted, too large, or has no such sheet or row.
        """
        layout = source.excel
        self._source = source
        self._header_row = layout.header_row
        # Closed with the reader; it has no name that could be left behind.
        self._sheet = tempfile.TemporaryFile()  # noqa: SIM115
        with opener() as stream:
            is_hidden = _read_sheet(stream, layout.sheet, self._sheet)
        header = next(self._rows(layout.header_row), None)
        if header is None or _is_empty(header):
            raise DeliveryError(
                f"Row {layout.header_row} of the sheet, which should name the columns, is empty.",
                code="no_header",
                remedy="Correct excel.header_row or excel.sheet in the registry.",
            )
        problem = next(filter(None, map(CellColumn().problem, header)), None)
        if problem is not None:
            raise DeliveryError(
                f"The header has {problem[1]} in place of a name.", code="no_header"
            )
        self._columns = [index for index, cell in enumerate(header) if cell is not None]
        self.names = tuple(shown(header[index]) for index in self._columns)
        refuse_no_text(self.names)
        which = repr(layout.sheet) if isinstance(layout.sheet, str) else f"number {layout.sheet}"
        hidden = ", which is hidden in the workbook" if is_hidden else ""
        note = f"Sheet {which}{hidden}; the header is its row {layout.header_row}."
        self.notes: tuple[str, ...] = (note,)

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last."""
        first = 1
        columns = cell_columns(self.names, self._source)
        for rows in self._groups():
            yield self._batch(rows, columns, first)
            first += len(rows)

    def _batch(self, rows: list[list[Cell]], columns: Sequence[CellColumn], first: int) -> Batch:
        def place(number: int) -> Place:
            raw = _as_csv(rows[number - first])
            return Place(number, raw, line=self._header_row + number)

        numbers: list[int] = []
        fields: list[tuple[str | None, ...]] = []
        bad: list[BadRecord] = []
        for number, row in enumerate(rows, start=first):
            values = [row[index] if index < len(row) else None for index in self._columns]
            texts = tuple(
                [
                    cell if cell is None or isinstance(cell, str) else column.text(cell)
                    for column, cell in zip(columns, values, strict=True)
                ]
            )
            verdict = self._verdict(row, values, texts, columns)
            if verdict is None:
                numbers.append(number)
                fields.append(texts)
            else:
                bad.append(BadRecord(place(number), *verdict, texts))
        return Batch(numbers, fields, lambda index: place(numbers[index]), bad)

    def _verdict(
        self,
        row: Sequence[Cell],
        values: Sequence[Cell],
        texts: Sequence[str | None],
        columns: Sequence[CellColumn],
    ) -> tuple[str, str, str | None] | None:
        """The code, the reason and the column of what is wrong with a row; None for nothing."""
        if not row and len(self.names) > 1:
            reason = f"The row is empty; the sheet has {len(self.names)} columns."
            return "ragged_row", reason, None
        named = sum(value is not None for value in values)
        if named != sum(cell is not None for cell in row):
            named_columns = set(self._columns)
            index = next(
                index
                for index, cell in enumerate(row)
                if cell is not None and index not in named_columns
            )
            reason = (
                f"There is a value in column {_letters(index)}, which the header does not name."
            )
            return "ragged_row", reason, None
        for name, value, text, column in zip(self.names, values, texts, columns, strict=True):
            if isinstance(value, str):
                if "\0" in value:
                    return "nul_byte", f"{name} has a NUL character.", name
            elif isinstance(value, list) or text is None:
                problem = column.problem(value)
                if problem is not None:
                    return problem[0], f"{name} is {problem[1]}.", name
        return None

    def _groups(self) -> Iterator[list[list[Cell]]]:
        """The rows after the header, without the empty ones at the end."""
        group: list[list[Cell]] = []
        empty = 0
        for row in self._rows(self._header_row + 1):
            if _is_empty(row):
                empty += 1
                continue
            group += [[] for _ in range(empty)]
            empty = 0
            group.append(row)
            if len(group) >= BATCH_ROWS:
                yield group
                group = []
        if group:
            yield group

    def _rows(self, first: int) -> Iterator[list[Cell]]:
        """The sheet's rows from a number on."""
        decode = msgspec.json.Decoder(list[Cell]).decode
        # Another stream on the same file, so that each pass has a position of its own.
        with open(os.dup(self._sheet.fileno()), "rb") as lines:  # noqa: PTH123
            lines.seek(0)
            for number, line in enumerate(lines):  # line 0 is the program's verdict
                if number >= first:
                    yield decode(line)


def _read_sheet(stream: BinaryIO, sheet: str | int, output: BinaryIO) -> bool:
    """Let the program write the sheet to a file; gives whether it is hidden.

    Raises:
        DeliveryError: it cannot be read.
    """
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = str(PLUGINS)
    wanted = f":{sheet}" if isinstance(sheet, str) else str(sheet)
    with tempfile.TemporaryFile() as workbook:
        shutil.copyfileobj(stream, workbook, 1 << 18)
        workbook.seek(0)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "sluice.reading.excel_program", wanted],
                stdin=workbook,
                stdout=output,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _too_large(f"more than {LONGEST_SECONDS // 60} minutes") from None
    output.seek(0)
    verdict: dict[str, Any] = msgspec.json.decode(output.readline() or b'{"problem": ""}')
    if verdict.get("problem"):
        raise DeliveryError(verdict["problem"], code=verdict["code"], remedy=verdict["remedy"])
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        raise _too_large(f"more than {MEMORY_BYTES >> 30} GB of memory")
    if done.returncode or "is_hidden" not in verdict:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DeliveryError(
            f"The file cannot be read as an Excel workbook: {last[:200]!r}.", code="bad_structure"
        )
    return bool(verdict["is_hidden"])


def _too_large(how_much: str) -> DeliveryError:
    return DeliveryError(
        f"The workbook takes {how_much} to read.",
        code="too_large",
        remedy="Delete the cells far from the data, or deliver the data as CSV or Parquet.",
    )


def _is_empty(row: Sequence[Cell]) -> bool:
    return row.count(None) == len(row)


def _as_csv(row: Sequence[Cell]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(map(shown, row))
    return text.getvalue()


def _letters(index: int) -> str:
    """The name of a column, as Excel shows it."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
