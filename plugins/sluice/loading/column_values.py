"""The values of one column, out of records that are not prepared yet, as its source writes them."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.reading.headers import map_columns
from sluice.reading.records import Batch
from sluice.reading.values import converters, null_words
from sluice.registry import Source
from sluice.registry.file_names import values_in_name


class ColumnValues:
    """What the records of one file have in a column: null words, conversions, the file's name.

    Args:
        source: whose column.
        column: its name in bronze.
        names: the names of the file's fields.
        file_name: the file's name, which may say what records do not.

    Raises:
        DeliveryError: the source does not take a file with these fields.
    """

    def __init__(self, source: Source, column: str, names: Sequence[str], file_name: str) -> None:
        mapping = map_columns(names, source)
        positions = dict(zip(mapping.columns, mapping.positions, strict=True))
        self._position = positions.get(column)
        self._words = null_words(source).get(column, frozenset())
        self._convert = converters(source).get(column)
        self._given = values_in_name(source, file_name).get(column)

    def of(self, batch: Batch) -> list[str | None]:
        """A value for each record; one that cannot be converted comes as it stands."""
        position = self._position
        if position is None:
            return [self._given] * len(batch.numbers)
        return [self._value(fields[position]) for fields in batch.fields]

    def _value(self, value: str | None) -> str | None:
        if value is None or value in self._words:
            return self._given
        if self._convert is None:
            return value
        try:
            return self._convert(value)
        except ValueError:
            return value
