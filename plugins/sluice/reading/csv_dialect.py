"""What ``dialect: auto`` and ``encoding: auto`` take a delimited file for, and why.

The start is RFC 4180: commas, quotation marks, a header. Delimiter, quote and number of fields are
what most records of the file's beginning have, so that a broken record never changes them; it is
rejected by itself when the file is read. Nothing is decided record by record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluice.errors import DeliveryError
from sluice.reading.csv_structure import Structure, find_structure, in_one_way
from sluice.reading.csv_table import find_table
from sluice.reading.encodings import EncodingFound, declared_encoding, find_encoding
from sluice.registry import CsvDialect, Source
from sluice.registry.encodings import codec_of

# How much of a file is looked at: some thousand records, which take 0.15 to 0.2 s.
DETECTION_BYTES = 1 << 18

LINE_ENDS = ("\r\n", "\r")

# What Excel reads as the declaration of the delimiter, and writes no record of. Programs that fill
# records up end it with delimiters.
EXCEL_DECLARATION = re.compile(r'"?sep=(?P<sign>[^\n"])"?(?P=sign)*(?:\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Detected:
    """How a delimited file is written.

    Attributes:
        dialect: its dialect. Without ``header`` the first record after ``skip_lines`` is data.
        encoding: its encoding, by a name that Python knows; UTF-16 with its byte order.
        names: the names of its fields, where they do not stand in one record that begins after
            ``skip_lines``: a header of several rows, joined, or made up for a file without one.
            None where the reader finds them itself, or the registry has them.
        mark_bytes: how many bytes at the start are a byte order mark.
        notes: what was taken and why, in sentences.
    """

    dialect: CsvDialect
    encoding: str
    names: tuple[str, ...] | None
    mark_bytes: int
    notes: tuple[str, ...]


def detect(
    head: bytes,
    source: Source | None,
    *,
    is_whole_file: bool,
    dialect: CsvDialect | None = None,
    encoding: str | None = None,
    delimiter: str = ",",
) -> Detected:
    """How a file is written, from its first bytes.

    What the source declares is taken as it is; what it leaves to ``auto`` is looked for.

    Args:
        head: the first bytes, ``DETECTION_BYTES`` of them or the whole file.
        source: whose file it is; None where nothing is declared.
        is_whole_file: whether the head is all of it.
        dialect: where there is no source: the dialect, if it is known.
        encoding: where there is no source: the encoding, if it is known.
        delimiter: where there is no source: the delimiter that the format is named after.

    Raises:
        DeliveryError: the file is not in an encoding that can be read, or not in the declared one;
            or it is not clear how it is written, and the dialect has to be declared.
    """
    if source is not None:
        delimiter = source.csv_dialect.delimiter or delimiter
        dialect = source.csv_dialect if isinstance(source.dialect, CsvDialect) else None
        encoding = None if source.encoding == "auto" else source.encoding
    found = (
        find_encoding(head, is_whole_file=is_whole_file)
        if encoding is None
        else declared_encoding(head, encoding)
    )
    if dialect is not None:
        return Detected(dialect, found.encoding, None, found.mark_bytes, (found.note,))
    return _look(_sample(head, found, is_whole_file=is_whole_file), found, source, delimiter)


def _look(text: str, encoding: EncodingFound, source: Source | None, delimiter: str) -> Detected:
    expected = len(source.columns) if source is not None else None
    excel = EXCEL_DECLARATION.match(text)
    if excel is not None:
        # An empty line instead, so that all lines keep their numbers.
        structure = _as_excel_reads(f"\n{text[excel.end() :]}", excel["sign"], expected)
    else:
        structure = find_structure(text, delimiter, expected)
    table = find_table(structure, source)
    dialect = CsvDialect(
        delimiter=structure.delimiter,
        quote=structure.quote,
        escape=structure.escape,
        comment=table.comment,
        skip_lines=max(table.skip_lines, int(excel is not None)),
        header=table.header,
        trailing_delimiter=table.trailing_delimiter,
        space_after_delimiter=structure.is_spaced,
    )
    said = [f"The first line declares the delimiter: {excel[0].strip()}."] if excel else []
    notes = (encoding.note, *said, *_structure_notes(structure), *table.notes)
    return Detected(dialect, encoding.encoding, table.names, encoding.mark_bytes, notes)


def _as_excel_reads(text: str, delimiter: str, expected: int | None) -> Structure:
    """The sample divided by the delimiter that its first line declares.

    Raises:
        DeliveryError: it is no delimiter that can be read, or not that of the records.
    """
    remedy = "Correct the line, or declare the dialect with skip_lines: 1."
    try:
        CsvDialect(delimiter=delimiter)
    except ValueError:
        raise DeliveryError(
            f"The first line declares the delimiter {delimiter!r}, which cannot be one.",
            code="bad_structure",
            remedy=remedy,
        ) from None
    structure = in_one_way(text, delimiter, expected)
    other = find_structure(text, delimiter, expected)
    if structure.width == 1 and other.width > 1:
        raise DeliveryError(
            f"The first line declares the delimiter {delimiter!r}, but the records are divided by"
            f" {other.delimiter!r}.",
            code="bad_structure",
            remedy=remedy,
        )
    return structure


def _sample(head: bytes, encoding: EncodingFound, *, is_whole_file: bool) -> str:
    """The head as text with line feeds, up to its last whole line."""
    text = head[encoding.mark_bytes :].decode(codec_of(encoding.encoding), errors="replace")
    for line_end in LINE_ENDS:
        text = text.replace(line_end, "\n")
    return text if is_whole_file or "\n" not in text else text[: text.rindex("\n") + 1]


def _structure_notes(structure: Structure) -> list[str]:
    if not structure.count:
        return ["There is nothing to see a dialect by; RFC 4180 is taken."]
    if structure.width == 1:
        notes = ["A single field in a record: no delimiter divides most of them alike."]
    else:
        regular = f"{len(structure.regular)} of the {structure.count} records looked at"
        notes = [f"Delimiter {structure.delimiter!r}: {regular} have {structure.width} fields."]
    if structure.is_spaced:
        notes.append("Spaces after a delimiter belong to it: most quotes stand after one.")
    if structure.quote is None:
        notes.append("No quote: quotation marks stand within values only.")
    elif structure.quote != '"':
        notes.append(f"Quote {structure.quote!r}: it stands around fields.")
    if structure.escape is not None:
        notes.append(f"Escape {structure.escape!r}: quotes within quoted fields follow it.")
    return notes
