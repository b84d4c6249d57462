"""Writes a sheet of the workbook on its standard input, a JSON array a row, to its output.

A process of its own, started by ``excel``: calamine holds a sheet in memory as a whole, with a
place for each cell between its corners, and a crafted file of a few kB can ask for so much that the
process is ended. Here that ends this process, at ``MEMORY_BYTES``, and the memory is given back.

The first line is an object: empty, or with ``problem`` in a sentence, ``code`` and ``remedy``. In a
row, texts, numbers and booleans are such in JSON as well, and null is an empty cell. Anything else
is an array of what it is and a text: a ``moment`` (a date, a time, or both), a ``number`` that JSON
does not have, or what is found by ``excel_errors``.
"""

from __future__ import annotations

import datetime
import math
import resource
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from itertools import zip_longest
from typing import Any, BinaryIO

import msgspec
import python_calamine

from sluice.reading.excel_binary import WRAPPED, Found
from sluice.reading.excel_errors import UNEXPECTED, other_cells

# 16 million cells, as many as a sheet of all rows and 16 columns has, take 1.5 GB.
MEMORY_BYTES = 4 << 30

# What the parts of a workbook may unpack to: ten times what Excel itself writes for such a sheet.
UNPACKED_BYTES = 4 << 30

# In place of a cell: what it is, beside what ``excel_errors`` finds.
MOMENT, NUMBER = "moment", "number"
MIDNIGHT = MOMENT, "00:00:00"

# Whatever it is encrypted with, an encrypted workbook is a compound file with this in it.
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

PASSWORD = "Save it without a password."  # noqa: S105


class UnreadableError(Exception):
    """The workbook cannot be read.

    Attributes:
        code: the stable word.
        remedy: what its sender can do.
    """

    def __init__(self, problem: str, code: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.code = code
        self.remedy = remedy


def main(sheet: str) -> int:
    """Write the sheet; the exit code is 0 also where it cannot be read and the output says so.

    Args:
        sheet: a number from 1, or a name after a colon.
    """
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):  # some systems have no such limit
            resource.setrlimit(limit, (most, most))
    encode = msgspec.json.encode
    output = sys.stdout.buffer
    file = BytesIO(sys.stdin.buffer.read())
    try:
        rows, is_hidden = read_sheet(file, sheet[1:] if sheet.startswith(":") else int(sheet))
    except UnreadableError as error:
        output.write(encode({"problem": str(error), "code": error.code, "remedy": error.remedy}))
        return 0
    output.write(encode({"is_hidden": is_hidden}) + b"\n")
    for row in rows:
        output.write(encode(row) + b"\n")
    return 0


def read_sheet(file: BinaryIO, sheet: str | int) -> tuple[Iterator[list[Any]], bool]:
    """The rows of a sheet from its first, their cells from column A; and whether it is hidden.

    Raises:
        UnreadableError: there is no such sheet, or the workbook cannot be read.
    """
    _refuse_unfit(file)
    file.seek(0)
    try:
        workbook = python_calamine.load_workbook(file)
        number = _find(workbook.sheet_names, sheet)
        found = workbook.get_sheet_by_index(number)
        visible = workbook.sheets_metadata[number].visible
    except python_calamine.PasswordError:
        raise UnreadableError("The workbook is encrypted.", "bad_structure", PASSWORD) from None
    except (python_calamine.CalamineError, OSError) as error:
        problem = f"The file cannot be read as an Excel workbook: {error}."
        raise UnreadableError(problem, "bad_structure") from None
    try:
        others = other_cells(file, number)
    except UNEXPECTED as error:
        problem = f"The workbook's parts are not as Excel writes them: {error!r}."
        raise UnreadableError(problem, "bad_structure", "Open it in Excel and save it.") from None
    return _rows(found, others), visible != python_calamine.SheetVisibleEnum.Visible


def _find(names: list[str], sheet: str | int) -> int:
    if isinstance(sheet, int) and sheet <= len(names):
        return sheet - 1
    if sheet in names:
        return names.index(str(sheet))
    which = f"no sheet {sheet!r}" if isinstance(sheet, str) else f"no sheet number {sheet}"
    raise UnreadableError(
        f"The workbook has {which}; it has {', '.join(map(repr, names))}.",
        "bad_structure",
        "Correct excel.sheet in the registry, or deliver the sheet.",
    )


def _refuse_unfit(file: BinaryIO) -> None:
    """What would otherwise be refused with less to say, or too late."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"\xd0\xcf\x11\xe0") and ENCRYPTED in file.read():
        raise UnreadableError("The workbook is encrypted.", "bad_structure", PASSWORD)
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > UNPACKED_BYTES:
        problem = f"The workbook unpacks to {size:,} bytes; at most {UNPACKED_BYTES:,} are read."
        raise UnreadableError(problem, "too_large", "Deliver the data as CSV or Parquet.")


def _rows(
    sheet: python_calamine.CalamineSheet, others: dict[tuple[int, int], Found]
) -> Iterator[list[Any]]:
    by_row: dict[int, dict[int, Found]] = {}
    for (row, column), found in others.items():
        by_row.setdefault(row, {})[column] = found
    # What calamine takes for empty may stand below its last row.
    beyond = max(by_row, default=-1) + 1
    rows = zip_longest(sheet.iter_rows(), range(beyond), fillvalue=())
    for number, (cells, _) in enumerate(rows):
        values: list[Any] = [value_of(cell) for cell in cells]
        for column, found in by_row.get(number, {}).items():
            # The same number in a cell that is not shown as a time is a number like any other.
            if found[0] == WRAPPED and values[column : column + 1] != [MIDNIGHT]:
                continue
            values += [None] * (column + 1 - len(values))
            values[column] = found
        yield values


def value_of(cell: Any) -> Any:
    """A cell as the reader takes it; None where it is empty."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, float | int):
        return cell if math.isfinite(cell) else (NUMBER, repr(cell))
    if isinstance(cell, datetime.datetime):
        return MOMENT, cell.isoformat(sep=" ")
    if isinstance(cell, datetime.timedelta):
        seconds, micros = divmod(cell // datetime.timedelta(microseconds=1), 1_000_000)
        text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return MOMENT, f"{text}.{micros:06}" if micros else text
    if isinstance(cell, datetime.date | datetime.time):
        return MOMENT, cell.isoformat()
    return str(cell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
