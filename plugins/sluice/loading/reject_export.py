"""Rejected records as a CSV file that can be mended and dropped into the landing zone again.

What an export is, and how it is read when it comes back, is said in ``reading.reject_exports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sluice.errors import ConfigError
from sluice.loading.hiding import ShownRecords
from sluice.reading.csv_writing import csv_writer
from sluice.reading.headers import fed_columns, field_names
from sluice.reading.reject_exports import EXPORT_COLUMNS, NOT_MENDED, neutral
from sluice.reading.values import null_words
from sluice.registry import Source
from sluice.registry.file_names import values_in_name
from sluice.warehouse.rejected_rows import RejectedRow

# Without it, a spreadsheet takes the file for one in the encoding of its language.
BYTE_ORDER_MARK = "\ufeff"

# Of such a record, the fields are not what the file had, or it would be judged otherwise in a file
# of its own: it is never loaded as it is exported.
_NOT_AS_IT_WAS = frozenset(
    {
        "ragged_row",
        "repeated_header",
        "bad_quotes",
        "bad_encoding",
        "nul_byte",
        "bad_structure",
        "too_long",
        "not_unique",
        "not_mended",
    }
)


class RejectExport:
    """The export of the rejected records of some loads of a source.

    Attributes:
        columns: the names of its columns that are the files' own.
    """

    def __init__(self, source: Source, headers: Mapping[int, Sequence[str] | None]) -> None:
        """Take what the files' fields are called.

        Args:
            source: whose loads.
            headers: for each load, the names of its file's fields; None where they are not known.

        Raises:
            ConfigError: the files differ in their columns.
            DeliveryError: two of their columns are one, by the registry as it is now.
        """
        known = {tuple(header) for header in headers.values() if header}
        if len(known) > 1:
            raise ConfigError(
                "The files do not have the same columns, so one export cannot hold them.",
                f"Export one: ./sluice rejects {source.name} FILE --export PATH",
            )
        names = next(iter(known), field_names(source))
        self._source = source
        self._headers = headers
        self._shown = ShownRecords(source, headers)
        self._width = len(names)
        fed = fed_columns(names, source)
        # What a file's name has said, another file's name does not say.
        absent = [
            name
            for name, column in source.columns.items()
            if column.from_file_name is not None and name not in fed.values()
        ]
        added = [source.columns[name].from_ or name for name in absent]
        self.columns = (*names, *added)
        self._fed = fed | dict(enumerate(absent, start=self._width))
        self._words = null_words(source)

    def lines(self, rows: Iterable[RejectedRow]) -> Iterator[str]:
        """The lines of the export, its header first."""
        line = csv_writer()
        yield BYTE_ORDER_MARK + line([*map(neutral, self.columns), *EXPORT_COLUMNS])
        for row in self._shown.of(rows):
            fields, is_as_it_was = self._fields(row)
            about = [
                None if is_as_it_was else NOT_MENDED,
                row.code,
                row.column_name,
                row.reason,
                row.file_name,
                str(row.row_number),
                None if row.line_number is None else str(row.line_number),
                row.raw_record,
            ]
            yield line([*map(neutral, [*fields, *about])])

    def _fields(self, row: RejectedRow) -> tuple[list[str | None], bool]:
        """The fields of a record, and whether they are all that the file had.

        Where nothing is known of them, there is nothing that could be loaded by mistake.
        """
        given = values_in_name(self._source, row.file_name)
        header = self._headers.get(row.load_id)
        if row.fields is None or not header:
            fields: list[str | None] = [None] * self._width
            is_as_it_was = True
        else:
            fields = [*row.fields, *[None] * self._width][: self._width]
            is_as_it_was = len(row.fields) == self._width and not self._lacks(row, fields)
        fields += [None] * (len(self.columns) - self._width)
        for position, column in self._fed.items():
            value, words = fields[position], self._words.get(column, ())
            if value is None or value in words:
                fields[position] = given.get(column) or value
        return fields, is_as_it_was

    def _lacks(self, row: RejectedRow, fields: Sequence[str | None]) -> bool:
        """Whether the fields lack what the record was rejected for."""
        if row.code in _NOT_AS_IT_WAS:
            return True
        # The text that is shown of NaN within an object is no JSON, and may be one to another type.
        if self._source.format == "parquet" and row.code == "not_finite":
            return True
        if row.column_name is None:
            return False
        position = self._position(row.column_name)
        if position is None or (fields[position] is None and row.code != "missing_value"):
            return True
        # Every text is one to PostgreSQL: it was no text in the file, such as an error in a cell.
        column = self._source.columns.get(self._fed.get(position, ""))
        return row.code == "wrong_type" and column is not None and column.data_type == "text"

    def _position(self, name: str) -> int | None:
        """The place of a column by its name in bronze or in the file."""
        for position, column in self._fed.items():
            if column == name and position < self._width:
                return position
        own = self.columns[: self._width]
        return own.index(name) if name in own else None
