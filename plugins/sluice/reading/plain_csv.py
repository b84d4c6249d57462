"""Delimited records whose values are written so plainly that no two programs read them differently.

Arrow takes such records apart several times as fast as PostgreSQL does, but the two agree about
plain values only: Arrow takes hexadecimal numbers for negative ones and lets long decimals
overflow, for instance. So it is given nothing but the forms below, which are a part of what
PostgreSQL takes; whatever else a file has is PostgreSQL's own to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import csv

from sluice.registry import Column, CsvDialect, DataType

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Fewer digits than any of the types can hold, and no exponent: nothing overflows, nothing is lost.
WHOLE_NUMBER = r"^-?\d{1,18}$"
NUMBER = r"^-?\d{1,18}(?:\.\d{1,18})?$"
MOST_DIGITS = 18

# The lengths of dates with times to the minute, to the second, and to parts of a second. One digit
# pair of time is not among them: Arrow takes it for the hour, PostgreSQL for a mistake.
MOMENT_LENGTHS = frozenset({10, 16, 19, *range(21, 27)})
FIRST_DAY = "0001-01-01"  # Arrow has a year 0


class NotPlainError(Exception):
    """Something is written in another way than the plain one."""


class PlainReader:
    """Reads whole records of a delimited file into Arrow's columns."""

    def __init__(self, dialect: CsvDialect, columns: Mapping[str, Column]) -> None:
        """Take what is to be read.

        Args:
            dialect: how the file is written.
            columns: the file's columns, in the file's order.

        Raises:
            NotPlainError: a type or the dialect has no plain form.
        """
        is_plain = dialect.escape in (None, dialect.quote) and len(columns) > 1
        if not is_plain or any(column.data_type not in _READERS for column in columns.values()):
            raise NotPlainError
        self._dialect = dialect
        self._columns = columns
        self._texts = csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def read(self, block: bytes) -> dict[str, pa.Array]:
        """The values of each column.

        Args:
            block: whole records in UTF-8, each of them as RFC 4180 has it (``csv_strict``).

        Raises:
            NotPlainError: a value is written in another way, or is none of its type; a record has
                more or fewer fields than the file has columns.
        """
        if not _is_plain(block):
            raise NotPlainError
        quote = self._dialect.quote or '"'
        try:
            table = csv.read_csv(
                pa.py_buffer(block),
                csv.ReadOptions(
                    use_threads=False, column_names=list(self._columns), block_size=len(block) + 1
                ),
                csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=quote,
                    newlines_in_values=quote.encode() in block,
                    ignore_empty_lines=False,
                ),
                self._texts,
            )
            return {
                name: typed(table.column(name).combine_chunks(), column)
                for name, column in self._columns.items()
            }
        except pa.ArrowInvalid:
            raise NotPlainError from None


def _is_plain(block: bytes) -> bool:
    """Whether all line ends are of one kind and each ends a record with something in it.

    Arrow takes an empty line for a record without values, and any line end for one. A byte order
    mark belongs to a value here; Arrow would cut it off.
    """
    returns = block.count(b"\r")
    if returns and not returns == block.count(b"\n") == block.count(b"\r\n"):
        return False
    line_end = b"\r\n" if returns else b"\n"
    return not (block.startswith((line_end, BYTE_ORDER_MARK)) or b"\n" + line_end in block)


def typed(texts: pa.Array, column: Column) -> pa.Array:
    """Texts as values of a column's type, where all of them are plain.

    Raises:
        NotPlainError: one is not.
    """
    read = _READERS.get(column.data_type)
    if read is None:
        raise NotPlainError
    try:
        return read(texts, column)
    except pa.ArrowInvalid:
        raise NotPlainError from None


def _require(is_plain: pa.Array) -> None:
    """Each is true, or null."""
    if pc.any(pc.invert(is_plain)).as_py():
        raise NotPlainError


def _text(texts: pa.Array, _column: Column) -> pa.Array:
    return texts


def _bigint(texts: pa.Array, _column: Column) -> pa.Array:
    _require(pc.match_substring_regex(texts, WHOLE_NUMBER))
    return pc.cast(texts, pa.int64())


def _double(texts: pa.Array, _column: Column) -> pa.Array:
    _require(pc.match_substring_regex(texts, NUMBER))
    return pc.cast(texts, pa.float64())


def _decimal(texts: pa.Array, column: Column) -> pa.Array:
    # Without a precision, PostgreSQL keeps the digits as written; Arrow has one scale for all.
    if column.precision is None or column.precision > MOST_DIGITS:
        raise NotPlainError
    _require(pc.match_substring_regex(texts, NUMBER))
    return pc.cast(texts, pa.decimal128(column.precision, column.scale or 0))


def _bool(texts: pa.Array, _column: Column) -> pa.Array:
    return pc.cast(texts, pa.bool_())


def _date(texts: pa.Array, _column: Column) -> pa.Array:
    return _from_first_day(pc.cast(texts, pa.date32()))


def _timestamp(texts: pa.Array, column: Column) -> pa.Array:
    """Times without a zone, which mean UTC; or, where the column is of moments, all with a Z."""
    if column.timezone and len(texts) and pc.all(pc.ends_with(texts, "Z")).as_py():
        texts = pc.utf8_slice_codeunits(texts, 0, -1)
    lengths = pc.unique(pc.binary_length(texts)).drop_null()
    if not MOMENT_LENGTHS.issuperset(lengths.to_pylist()):
        raise NotPlainError
    return _from_first_day(pc.cast(texts, pa.timestamp("us")))


def _from_first_day(values: pa.Array) -> pa.Array:
    first = pc.cast(pa.scalar(FIRST_DAY), values.type)
    if pc.less(pc.min(values), first).as_py():
        raise NotPlainError
    return values


_READERS: dict[DataType, Callable[[pa.Array, Column], pa.Array]] = {
    "text": _text,
    "bigint": _bigint,
    "double": _double,
    "decimal": _decimal,
    "bool": _bool,
    "date": _date,
    "timestamp": _timestamp,
}
