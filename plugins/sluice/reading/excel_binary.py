"""The cells of xlsb and xls that are not what calamine gives for them: see ``excel_errors``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

# The row and the column of a cell, from 0.
Cell = tuple[int, int]

# What is found in a cell: which of these, and a text that shows it.
ERROR, FORMULA, WRAPPED = "error", "formula", "wrapped"
Found = tuple[str, str]

# The last half of a millisecond of a day, in days: calamine rounds it up, and drops the day.
DAY_MILLISECONDS = 86_400_000

# The upper half of any double in that time.
NEARLY_ONE = b"\xff\xff\xef\x3f"

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

# Record types of xlsb: [MS-XLSB] 2.3.
XLSB_ROW, XLSB_CELL_ERROR, XLSB_FORMULA_ERROR, XLSB_SHEET = 0, 3, 11, 156
XLSB_NUMBER, XLSB_FORMULA_NUMBER = 5, 9

# Record types of xls: [MS-XLS] 2.3.
XLS_FORMULA, XLS_EOF, XLS_SHEET, XLS_CELL_ERROR, XLS_BEGIN = 0x06, 0x0A, 0x85, 0x205, 0x809
XLS_NUMBER = 0x203


def is_wrapped(number: float) -> bool:
    """Whether a number of days is so near to one that its time of day is rounded to midnight."""
    return number < 1 and number * DAY_MILLISECONDS >= DAY_MILLISECONDS - 0.5


def relation_of_xlsb(read: Callable[[int], bytes], sheet: int) -> str:
    """The relation that names the part of a sheet, in the stream of a workbook of xlsb."""
    sheets = [data for kind, data in _xlsb_records(read) if kind == XLSB_SHEET]
    # Two numbers, then the relation's name: its length in characters, and UTF-16.
    length = struct.unpack_from("<I", sheets[sheet], 8)[0]
    return sheets[sheet][12 : 12 + 2 * length].decode("utf-16-le")


def of_xlsb(read: Callable[[int], bytes]) -> Iterator[tuple[Cell, Found]]:
    """The cells of a sheet of xlsb that are not what calamine gives."""
    row = 0
    for kind, data in _xlsb_records(read):
        if kind == XLSB_ROW:
            row = struct.unpack_from("<I", data)[0]
        elif kind in (XLSB_CELL_ERROR, XLSB_FORMULA_ERROR):
            yield (row, struct.unpack_from("<I", data)[0]), (ERROR, _error_name(data[8]))
        elif kind in (XLSB_NUMBER, XLSB_FORMULA_NUMBER) and data[12:16] == NEARLY_ONE:
            number = struct.unpack_from("<d", data, 8)[0]
            if is_wrapped(number):
                yield (row, struct.unpack_from("<I", data)[0]), (WRAPPED, repr(number))


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


def of_xls(file: BinaryIO, sheet: int) -> Iterator[tuple[Cell, Found]]:
    """The cells of a sheet of xls that are not what calamine gives."""
    data = _workbook_stream(file)
    starts = [
        struct.unpack_from("<I", record)[0]
        for kind, record in _xls_records(data, 0)
        if kind == XLS_SHEET
    ]
    for kind, record in _xls_records(data, starts[sheet]):
        if kind == XLS_CELL_ERROR and record[7] == 1:
            yield struct.unpack_from("<HH", record), (ERROR, _error_name(record[6]))
        # A formula's result that is no number says so in its last two bytes.
        elif kind == XLS_FORMULA and record[12:14] == b"\xff\xff" and record[6] == 2:
            yield struct.unpack_from("<HH", record), (ERROR, _error_name(record[8]))
        elif kind in (XLS_NUMBER, XLS_FORMULA) and record[10:14] == NEARLY_ONE:
            number = struct.unpack_from("<d", record, 6)[0]
            if is_wrapped(number):
                yield struct.unpack_from("<HH", record), (WRAPPED, repr(number))


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
    # There are no more of them than sectors, whatever a damaged file says.
    while extra < 0xFFFFFFFA and per_sector > 1 and len(places) * sector < len(data):
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
