"""Which cells of a sheet are not what calamine gives for them.

Errors such as #N/A, and formulas whose results are not stored, as libraries write them that cannot
calculate (Excel does when it opens the file), are empty to it; a time of day that is less than half
a millisecond before midnight is midnight.

Runs in the process of ``excel_program``, and imports what runs there.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import BinaryIO
from xml.parsers import expat

from sluice.reading.excel_binary import (
    ERROR,
    FORMULA,
    WRAPPED,
    Cell,
    Found,
    is_wrapped,
    of_xls,
    of_xlsb,
    relation_of_xlsb,
)

PIECE_BYTES = 1 << 18

# What a damaged workbook, or one of an odd writer, makes of the code below.
UNEXPECTED = (
    LookupError,
    ValueError,
    NotImplementedError,
    StopIteration,
    struct.error,
    zlib.error,
    expat.ExpatError,
    zipfile.BadZipFile,
    EOFError,
)

# One cell of ods may stand for so many; a column of all rows has fewer.
MOST_REPEATED = 1 << 21

# A tag that is cut between two pieces is no longer than this, and each sign of one than that.
LONGEST_TAG = 1 << 16
LONGEST_SIGN = 256

# An error, or what a formula looks like that no value follows. Patterns that begin with what is
# rare take half the time of one for all: 0.6 s for the 73 MB of 200,000 rows, 0.2 s of them for
# formulas.
XLSX_NO_RESULT = rb"\s*(?:</(?:\w+:)?c>|<(?:\w+:)?v\s*(?:/>|>\s*</))"
XLSX_SIGNS = (
    re.compile(rb"""\st=["']e["']"""),
    re.compile(rb"</(?:\w+:)?f>" + XLSX_NO_RESULT),
    re.compile(rb"/>" + XLSX_NO_RESULT),
    re.compile(rb">\s*(?:0?\.9999999|9\.9999999[0-9]*[eE]-0?1)"),
)
XLSX_ZERO = (
    re.compile(rb"</(?:\w+:)?f>\s*<(?:\w+:)?v>0</"),
    re.compile(rb"/>\s*<(?:\w+:)?v>0</"),
)
ODS_SIGNS = (
    re.compile(rb"""value-type=["']error["']"""),
    re.compile(rb"table-cell(?=\s[^>]*table:formula=)(?![^>]*\soffice:value-type=)"),
)
CELL_NAME = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def other_cells(file: BinaryIO, sheet: int) -> dict[Cell, Found]:
    """The cells of a sheet that hold an error, a formula without its result, or nearly a whole day.

    The formulas of xlsb and xls have a result always; a program that wrote an empty text as that
    of all formulas cannot be told from formulas that are empty.

    Args:
        file: the workbook.
        sheet: the sheet's number, from 0.

    Returns:
        By its place, which of these it is, with the name of the error, the formula from its equals
        sign, or the number: a time of day only where the cell is shown as one.
    """
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return dict(of_xls(file, sheet))
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if "content.xml" in names:
            return _of_xml(archive, "content.xml", ODS_SIGNS, _OdsCells(sheet))
        if "xl/workbook.bin" in names:
            with archive.open("xl/workbook.bin") as stream:
                relation = relation_of_xlsb(stream.read, sheet)
            with archive.open(_part_of(archive, "workbook.bin", relation)) as stream:
                return dict(of_xlsb(stream.read))
        part = _xlsx_part(archive, sheet)
        if part not in names:
            return {}
        # A program that says so has written a result that it did not calculate: 0 as a rule.
        is_stale = _is_to_be_calculated(archive)
        signs = (*XLSX_SIGNS, *XLSX_ZERO) if is_stale else XLSX_SIGNS
        return _of_xml(archive, part, signs, _XlsxCells(is_stale=is_stale))


def _of_xml(
    archive: zipfile.ZipFile,
    part: str,
    signs: Sequence[re.Pattern[bytes]],
    cells: _XlsxCells | _OdsCells,
) -> dict[Cell, Found]:
    if not _has(archive, part, signs):  # which is far quicker than to parse it
        return {}
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = cells.start
    parser.EndElementHandler = cells.end
    parser.CharacterDataHandler = cells.text
    with archive.open(part) as stream:
        for piece in iter(lambda: stream.read(PIECE_BYTES), b""):
            parser.Parse(piece, False)
    parser.Parse(b"", True)
    last = max((row for row, _ in cells.found), default=0)
    if last > MOST_REPEATED:
        raise ValueError(f"there is a cell in row {last + 1}")
    return cells.found


def _has(archive: zipfile.ZipFile, part: str, signs: Sequence[re.Pattern[bytes]]) -> bool:
    tail = b""
    with archive.open(part) as stream:
        for piece in iter(lambda: stream.read(PIECE_BYTES), b""):
            data = tail + piece
            if any(sign.search(data) for sign in signs):
                return True
            start = min(data.rfind(b"<"), len(data) - LONGEST_SIGN)
            tail = data[max(start, len(data) - LONGEST_TAG, 0) :]
    return False


def _local(name: str) -> str:
    """An element's or attribute's name without the prefix of its namespace."""
    return name.rpartition(":")[2]


def _attributes(archive: zipfile.ZipFile, part: str, element: str) -> list[dict[str, str]]:
    """The attributes of each element of a name in a small part of an archive."""
    found: list[dict[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == element:
            found.append({_local(key): value for key, value in attributes.items()})

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(archive.read(part), True)
    return found


def _part_of(archive: zipfile.ZipFile, workbook: str, relation: str) -> str:
    """The part that a relation of the workbook names."""
    relations = _attributes(archive, f"xl/_rels/{workbook}.rels", "Relationship")
    target = next(each["Target"] for each in relations if each["Id"] == relation)
    return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl", target))


def _xlsx_part(archive: zipfile.ZipFile, sheet: int) -> str:
    sheets = _attributes(archive, "xl/workbook.xml", "sheet")
    return _part_of(archive, "workbook.xml", sheets[sheet]["id"])


def _is_to_be_calculated(archive: zipfile.ZipFile) -> bool:
    """Whether the workbook says that its formulas are to be calculated when it is opened."""
    said = _attributes(archive, "xl/workbook.xml", "calcPr")
    return any(each.get("fullCalcOnLoad") in ("1", "true") for each in said)


class _Cells:
    """What following the cells of a sheet finds, and the text of the element that it is in."""

    def __init__(self) -> None:
        self.found: dict[Cell, Found] = {}
        self._value: list[str] | None = None

    def text(self, data: str) -> None:
        if self._value is not None:
            self._value.append(data)


class _XlsxCells(_Cells):
    """Follows the cells of a sheet of xlsx; a cell without a name is the one after the last."""

    def __init__(self, *, is_stale: bool) -> None:
        super().__init__()
        self._row, self._column = -1, -1
        self._type = ""
        self._no_results = ("", "0") if is_stale else ("",)
        self._formula: str | None = None
        self._result: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "row":
            self._row = int(attributes.get("r", self._row + 2)) - 1
            self._column = -1
        elif local == "c":
            match = CELL_NAME.fullmatch(attributes.get("r", ""))
            self._column = _column_number(match[1]) if match else self._column + 1
            self._row = int(match[2]) - 1 if match else self._row
            self._type = attributes.get("t", "")
            self._formula = self._result = None
        elif local in ("f", "v", "is"):
            self._value = []

    def end(self, name: str) -> None:
        local = _local(name)
        if local in ("f", "v", "is"):
            text = "".join(self._value or ())
            self._value = None
            if local == "f":
                self._formula = f"={text}"
            else:
                self._result = text
        elif local == "c":
            self._keep()

    def _keep(self) -> None:
        place = self._row, self._column
        if self._type == "e" and self._result:
            self.found[place] = ERROR, self._result
        elif self._formula is not None and not self._has_result():
            self.found[place] = FORMULA, self._formula
        elif self._type in ("", "n") and self._result and _is_wrapped(self._result):
            self.found[place] = WRAPPED, self._result

    def _has_result(self) -> bool:
        # Excel writes the result of ="" as an empty text, with its type.
        is_text = self._type in ("str", "inlineStr")
        return self._result is not None and (is_text or self._result not in self._no_results)


def _is_wrapped(text: str) -> bool:
    try:
        return is_wrapped(float(text))
    except ValueError:  # calamine says what is wrong with it
        return False


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


class _OdsCells(_Cells):
    """Follows the cells of a sheet of ods, where rows and cells may stand for many."""

    def __init__(self, sheet: int) -> None:
        super().__init__()
        self._left = sheet + 1
        self._row, self._column = 0, 0
        self._rows, self._columns = 1, 1
        self._formula = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "table":
            self._left -= 1
            self._row = 0
        elif local == "table-row":
            self._rows = int(attributes.get("table:number-rows-repeated", 1))
            self._column = 0
        elif local in ("table-cell", "covered-table-cell"):
            self._columns = int(attributes.get("table:number-columns-repeated", 1))
            if self._left == 0:
                self._begin(attributes)

    def _begin(self, attributes: dict[str, str]) -> None:
        self._formula = ""
        if attributes.get("calcext:value-type") == "error":
            self._value = []
        elif "table:formula" in attributes and "office:value-type" not in attributes:
            # The sign follows the language that the formula is in: of:=A1+1
            self._formula = f"={attributes['table:formula'].partition('=')[2]}"
            self._value = []

    def end(self, name: str) -> None:
        local = _local(name)
        if local == "table-row":
            self._row += self._rows
        elif local in ("table-cell", "covered-table-cell"):
            if self._value is not None:
                error = ERROR, "".join(self._value)
                self._keep((FORMULA, self._formula) if self._formula else error)
                self._value = None
            self._column += self._columns

    def _keep(self, found: Found) -> None:
        if self._rows * self._columns > MOST_REPEATED:
            raise ValueError(f"{found[1]} stands in {self._rows * self._columns} cells")
        for row in range(self._row, self._row + self._rows):
            for column in range(self._column, self._column + self._columns):
                self.found[row, column] = found
