"""Which cells of a sheet have no value, but are not empty: calamine gives them as empty ones.

They are errors such as #N/A, and formulas whose results are not stored, as libraries write them
that cannot calculate; Excel does when it opens the file.

Runs in the process of ``excel_program`` and imports nothing of Sluice.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO
from xml.parsers import expat

# The row and the column of a cell, from 0.
Cell = tuple[int, int]

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

# The codes of both binary formats.
ERROR_NAMES = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}

# An error, or what a formula looks like that no value follows. Patterns that begin with what is
# rare take half the time of one for all: 0.6 s for the 73 MB of 200,000 rows, 0.2 s of them for
# formulas.
XLSX_NO_RESULT = rb"\s*(?:</(?:\w+:)?c>|<(?:\w+:)?v\s*(?:/>|>\s*</))"
XLSX_SIGNS = (
    re.compile(rb"""\st=["']e["']"""),
    re.compile(rb"</(?:\w+:)?f>" + XLSX_NO_RESULT),
    re.compile(rb"/>" + XLSX_NO_RESULT),
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

# Record types of xlsb: [MS-XLSB] 2.3.
XLSB_ROW, XLSB_CELL_ERROR, XLSB_FORMULA_ERROR, XLSB_SHEET = 0, 3, 11, 156

# Record types of xls: [MS-XLS] 2.3.
XLS_FORMULA, XLS_EOF, XLS_SHEET, XLS_CELL_ERROR, XLS_BEGIN = 0x06, 0x0A, 0x85, 0x205, 0x809


def cells_without_value(file: BinaryIO, sheet: int) -> dict[Cell, str]:
    """The cells of a sheet that hold an error, or a formula without its result.

    The formulas of xlsb and xls have a result always; a program that wrote an empty text as that
    of all formulas cannot be told from formulas that are empty.

    Args:
        file: the workbook.
        sheet: the sheet's number, from 0.

    Returns:
        By its place, the name of the error, or the formula from its equals sign.
    """
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return dict(_of_xls(_workbook_stream(file), sheet))
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if "content.xml" in names:
            return _of_xml(archive, "content.xml", ODS_SIGNS, _OdsCells(sheet))
        if "xl/workbook.bin" in names:
            return dict(_of_xlsb(archive, sheet))
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
) -> dict[Cell, str]:
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
        self.found: dict[Cell, str] = {}
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
            self.found[place] = self._result
        elif self._formula is not None and not self._has_result():
            self.found[place] = self._formula

    def _has_result(self) -> bool:
        # Excel writes the result of ="" as an empty text, with its type.
        is_text = self._type in ("str", "inlineStr")
        return self._result is not None and (is_text or self._result not in self._no_results)


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
                self._keep(self._formula or "".join(self._value))
                self._value = None
            self._column += self._columns

    def _keep(self, name: str) -> None:
        if self._rows * self._columns > MOST_REPEATED:
            raise ValueError(f"{name} stands in {self._rows * self._columns} cells")
        for row in range(self._row, self._row + self._rows):
            for column in range(self._column, self._column + self._columns):
                self.found[row, column] = name


def _of_xlsb(archive: zipfile.ZipFile, sheet: int) -> Iterator[tuple[Cell, str]]:
    with archive.open("xl/workbook.bin") as stream:
        sheets = [data for kind, data in _xlsb_records(stream.read) if kind == XLSB_SHEET]
    # Two numbers, then the relation's name: its length in characters, and UTF-16.
    length = struct.unpack_from("<I", sheets[sheet], 8)[0]
    relation = sheets[sheet][12 : 12 + 2 * length].decode("utf-16-le")
    row = 0
    with archive.open(_part_of(archive, "workbook.bin", relation)) as stream:
        for kind, data in _xlsb_records(stream.read):
            if kind == XLSB_ROW:
                row = struct.unpack_from("<I", data)[0]
            elif kind in (XLSB_CELL_ERROR, XLSB_FORMULA_ERROR):
                yield (row, struct.unpack_from("<I", data)[0]), _error_name(data[8])


def _xlsb_records(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """The type and the data of each record; both numbers are in groups of seven bits."""
    while first := read(1):
        kind = first[0] if first[0] < 0x80 else first[0] & 0x7F | read(1)[0] << 7
        size = 0
        for shift in range(0, 28, 7):
            byte = read(1)[0]
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        yield kind, read(size)


def _error_name(code: int) -> str:
    return ERROR_NAMES.get(code, f"error {code}")


def _of_xls(data: bytes, sheet: int) -> Iterator[tuple[Cell, str]]:
    starts = [
        struct.unpack_from("<I", record)[0]
        for kind, record in _xls_records(data, 0)
        if kind == XLS_SHEET
    ]
    for kind, record in _xls_records(data, starts[sheet]):
        if kind == XLS_CELL_ERROR and record[7] == 1:
            yield struct.unpack_from("<HH", record), _error_name(record[6])
        # A formula's result that is no number says so in its last two bytes.
        elif kind == XLS_FORMULA and record[12:14] == b"\xff\xff" and record[6] == 2:
            yield struct.unpack_from("<HH", record), _error_name(record[8])


def _xls_records(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The type and the data of each record of a part of the stream; parts can hold parts."""
    depth = 0
    while start + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, start)
        depth += (kind == XLS_BEGIN) - (kind == XLS_EOF)
        if depth == 1:
            yield kind, data[start + 4 : start + 4 + size]
        if depth <= 0:
            return
        start += 4 + size


def _workbook_stream(file: BinaryIO) -> bytes:
    """The stream of the workbook in a compound file: [MS-CFB]."""
    file.seek(0)
    data = file.read()
    sector = 1 << struct.unpack_from("<H", data, 30)[0]

    def chain(table: list[int], first: int) -> Iterator[int]:
        for _ in table:  # no longer than the table, whatever a damaged file says
            if first >= len(table):
                return
            yield first
            first = table[first]

    def read(numbers: Iterator[int]) -> bytes:
        return b"".join(data[(n + 1) * sector : (n + 2) * sector] for n in numbers)

    def words(block: bytes) -> list[int]:
        return list(struct.unpack(f"<{len(block) // 4}I", block[: len(block) // 4 * 4]))

    places = words(data[76:512])
    extra, per_sector = struct.unpack_from("<I", data, 68)[0], sector // 4
    while extra < 0xFFFFFFFA and len(places) < len(data):
        block = words(read(iter([extra])))
        places += block[: per_sector - 1]
        extra = block[per_sector - 1]
    table = words(read(iter([n for n in places if n < 0xFFFFFFFA])))
    directory = read(chain(table, struct.unpack_from("<I", data, 48)[0]))
    entries = [directory[at : at + 128] for at in range(0, len(directory), 128)]
    for entry in entries:
        name = entry[: max(0, struct.unpack_from("<H", entry, 64)[0] - 2)].decode("utf-16-le")
        if name in ("Workbook", "Book"):
            first, size = struct.unpack_from("<II", entry, 116)
            if size < struct.unpack_from("<I", data, 56)[0]:
                raise ValueError("the stream of the workbook is among the small ones")
            return read(chain(table, first))[:size]
    raise ValueError("there is no stream of a workbook")
