"""Delimited records as Arrow's columns of text, where both are sure to divide them alike."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import csv

from sluice.reading.arrow_text import ArrowRecords
from sluice.reading.fields import ColumnRecords, Fields, WrittenRecords
from sluice.reading.plain_values import NotPlainError
from sluice.registry import CsvDialect

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class PlainReader:
    """Reads whole records of a delimited file into Arrow's columns of text."""

    def __init__(self, dialect: CsvDialect, names: Sequence[str]) -> None:
        """Take what is to be read.

        Args:
            dialect: how the file is written.
            names: what the fields are called.

        """
        escape = dialect.escape
        self._escape = escape.encode() if escape and escape != dialect.quote else None
        self._names = list(names)
        self._quote = dialect.quote
        self._delimiter = dialect.delimiter or ","
        self._texts = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def read(self, block: bytes) -> list[pa.Array]:
        """The texts of each field; those that are missing (empty without quotes) are null.

        Args:
            block: whole records in UTF-8, each of them as RFC 4180 has it (``csv_strict``).

        Raises:
            NotPlainError: a record has more or fewer fields, or is no text; or Arrow would divide
                the block in another way.
        """
        if not _is_plain(block, self._quote):
            raise NotPlainError
        return self.divide(block)

    def divide(self, block: bytes) -> list[pa.Array]:
        """The same for records of which each is known to be on a line of its own, ended by LF."""
        if block.startswith(BYTE_ORDER_MARK):  # it belongs to a value here; Arrow would cut it off
            raise NotPlainError
        # Arrow takes an escape for one also outside of quotes, and before any character.
        if self._escape is not None and self._escape in block:
            raise NotPlainError
        options = csv.ReadOptions(
            use_threads=False, column_names=self._names, block_size=len(block) + 1
        )
        parsing = csv.ParseOptions(
            delimiter=self._delimiter,
            quote_char=self._quote or False,
            newlines_in_values=self._quote is not None and self._quote.encode() in block,
            ignore_empty_lines=False,
        )
        try:
            table = csv.read_csv(pa.py_buffer(block), options, parsing, self._texts)
        except pa.ArrowInvalid:
            raise NotPlainError from None
        return [column.combine_chunks() for column in table.columns]


def texts_of(records: Sequence[Fields], names: Sequence[str]) -> list[pa.Array]:
    """Records as columns of text.

    Args:
        records: one or more.
        names: what their fields are called.

    Raises:
        NotPlainError: they are written in a way that Arrow would divide differently.
    """
    if isinstance(records, ArrowRecords):
        return list(records.arrays)
    if isinstance(records, WrittenRecords):
        reader = PlainReader(records.grammar.dialect, names)
        block = records.text.encode()
        texts = reader.divide(block) if records.are_lines else reader.read(block)
        if len(texts[0]) != len(records):
            raise NotPlainError
        return texts
    if not isinstance(records, ColumnRecords):
        records = ColumnRecords(list(zip(*records, strict=True)))
    return [pa.array(column, pa.string()) for column in records.columns]


def _is_plain(block: bytes, quote: str | None) -> bool:
    """Whether all line ends are of one kind and each ends a record with something in it.

    Arrow takes an empty line for a record without values, and any line end for one. Within quotes
    they may be of another kind, as spreadsheets write them.
    """
    if b"\r" in block and not _has_one_line_end(block):
        if quote is None:
            return False
        mark = quote.encode()
        block = mark.join(block.split(mark)[0::2])  # what stands outside of quotes
        if not _has_one_line_end(block):
            return False
    line_end = b"\r\n" if b"\r" in block else b"\n"
    return not block.startswith(line_end) and b"\n" + line_end not in block


def _has_one_line_end(block: bytes) -> bool:
    returns = block.count(b"\r")
    return not returns or returns == block.count(b"\n") == block.count(b"\r\n")
