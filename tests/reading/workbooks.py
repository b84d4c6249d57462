"""Workbooks in three formats, written as plainly as the formats allow.

``tests/cases/excel/things.xls`` has the same sheet as ``things()``; it was written with xlwt 1.3.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from xml.sax.saxutils import escape, quoteattr

# A text, a number, a day, an error such as ("#N/A",), or a formula without a result: ("=A1",).
Cell = str | float | bool | date | tuple[str] | None
Rows = Sequence[Sequence[Cell]]
Writer = Callable[[Mapping[str, Rows]], bytes]

ERROR_CODES = {"#N/A": 0x2A, "#DIV/0!": 0x07}


def things() -> dict[str, Rows]:
    return {
        "Other": [["x"]],
        "Things": [
            ["id", "name", "day", "amount"],
            [1.0, "name 1", date(2026, 1, 2), 1.5],
            [2.0, "name 2", date(2026, 1, 3), ("#N/A",)],
            [3.0, "name 3", date(2026, 1, 4), 3.5],
        ],
    }


def _zip(parts: Mapping[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _column_name(index: int) -> str:
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(65 + rest) + name
    return name


def _serial(day: date) -> int:
    return (day - date(1899, 12, 30)).days


PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    relations = "".join(
        f'<Relationship Id="{id_}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for id_, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>'


def xlsx(sheets: Mapping[str, Rows]) -> bytes:
    return xlsx_of({name: _xlsx_rows(rows) for name, rows in sheets.items()})


def xlsx_of(sheet_data: Mapping[str, str], *, more: str = "", hidden: str = "") -> bytes:
    """A workbook of sheets whose ``sheetData`` is given; style 1 is a date, 2 date and time.

    ``more`` is what the workbook says beside them; ``hidden`` the name of one that is not shown.
    """
    names = list(sheet_data)
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="s{n}"'
        + (' state="hidden"/>' if name == hidden else "/>")
        for n, name in enumerate(names, 1)
    )
    targets = {f"s{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(names) + 1)}
    formats = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 21, 46))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": _relations({"w": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        f"<sheets>{listed}</sheets>{more}</workbook>",
        "xl/_rels/workbook.xml.rels": _relations(targets | {"st": ("styles", "styles.xml")}),
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs>{formats}</cellXfs></styleSheet>',
    }
    for number, data in enumerate(sheet_data.values(), 1):
        sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>'
        parts[f"xl/worksheets/sheet{number}.xml"] = sheet
    return _zip(parts)


def _xlsx_rows(rows: Rows) -> str:
    data = ""
    for n, row in enumerate(rows, 1):
        cells = [_xlsx_cell(f"{_column_name(c)}{n}", cell) for c, cell in enumerate(row)]
        data += f'<row r="{n}">{"".join(cells)}</row>'
    return data


def _xlsx_cell(name: str, cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return f'<c r="{name}" t="b"><v>{int(cell)}</v></c>'
        case str():
            text = f'<t xml:space="preserve">{escape(cell)}</t>'
            return f'<c r="{name}" t="inlineStr"><is>{text}</is></c>'
        case tuple() if cell[0].startswith("="):
            return f'<c r="{name}"><f>{escape(cell[0][1:])}</f><v></v></c>'
        case tuple():
            return f'<c r="{name}" t="e"><v>{cell[0]}</v></c>'
        case date():
            return f'<c r="{name}" s="1"><v>{_serial(cell)}</v></c>'
    return f'<c r="{name}"><v>{cell!r}</v></c>'


def ods(sheets: Mapping[str, Rows]) -> bytes:
    spaces = {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "calcext": "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0",
    }
    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>{''.join(map(_ods_row, rows))}</table:table>"
        for name, rows in sheets.items()
    )
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return _zip(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:'
            'manifest:1.0"/>',
            "content.xml": f"<office:document-content {declared}><office:body>"
            f"<office:spreadsheet>{tables}</office:spreadsheet></office:body>"
            "</office:document-content>",
        }
    )


def _ods_row(row: Sequence[Cell]) -> str:
    return f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>"


def _ods_cell(cell: Cell) -> str:
    match cell:
        case None:
            return '<table:table-cell table:number-columns-repeated="1"/>'
        case bool():
            kind, text = f'boolean" office:boolean-value="{str(cell).lower()}', str(cell)
        case str():
            kind, text = "string", cell
        case tuple() if cell[0].startswith("="):
            return f"<table:table-cell table:formula={quoteattr('of:' + cell[0])}/>"
        case tuple():
            kind, text = 'string" office:string-value="" calcext:value-type="error', cell[0]
        case date():
            kind, text = f'date" office:date-value="{cell.isoformat()}', str(cell)
        case _:
            kind, text = f'float" office:value="{cell!r}', str(cell)
    shown = f"<text:p>{escape(text)}</text:p>"
    return f'<table:table-cell office:value-type="{kind}">{shown}</table:table-cell>'


def xlsb(sheets: Mapping[str, Rows]) -> bytes:
    """[MS-XLSB]; days are written as numbers of days in the style of a date."""
    listed = b"".join(
        _record(156, struct.pack("<II", 0, n) + _wide(f"s{n}") + _wide(name))
        for n, name in enumerate(sheets, 1)
    )
    targets = {
        f"s{n}": ("worksheet", f"worksheets/sheet{n}.bin") for n in range(1, len(sheets) + 1)
    }
    styles = b"".join(
        _record(47, struct.pack("<HHHHHHHH", 0, number, 0, 0, 0, 0, 0, 0)) for number in (0, 14)
    )
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": _relations({"w": ("officeDocument", "xl/workbook.bin")}),
        "xl/workbook.bin": _record(131)
        + _record(153, bytes(12))
        + _record(143)
        + listed
        + _record(144)
        + _record(132),
        "xl/_rels/workbook.bin.rels": _relations(targets | {"st": ("styles", "styles.bin")}),
        "xl/styles.bin": _record(278)
        + _record(617, struct.pack("<I", 2))
        + styles
        + _record(618)
        + _record(279),
    }
    for number, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{number}.bin"] = _xlsb_sheet(rows)
    return _zip(parts)


def _xlsb_sheet(rows: Rows) -> bytes:
    width = max(map(len, rows), default=1)
    data = (
        _record(129)
        + _record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, width - 1))
        + _record(145)
    )
    for number, row in enumerate(rows):
        data += _record(0, struct.pack("<I", number) + bytes(13))
        data += b"".join(_xlsb_cell(column, cell) for column, cell in enumerate(row))
    return data + _record(146) + _record(130)


def _xlsb_cell(column: int, cell: Cell) -> bytes:
    match cell:
        case None:
            return b""
        case bool():
            return _record(4, struct.pack("<IIB", column, 0, cell))
        case str():
            return _record(6, struct.pack("<II", column, 0) + _wide(cell))
        case tuple():
            return _record(3, struct.pack("<IIB", column, 0, ERROR_CODES[cell[0]]))
        case date():
            return _record(5, struct.pack("<IId", column, 1, _serial(cell)))
    return _record(5, struct.pack("<IId", column, 0, cell))


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _record(kind: int, data: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, length = b"", len(data)
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return head + size + data
