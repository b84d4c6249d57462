"""From the fields of a record as the file has them to a row as bronze takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sluice.loading.masks import HIDDEN_RECORD, Mask, hidden_reason
from sluice.loading.table import RESCUED
from sluice.loading.variants import variant_name
from sluice.reading import headers
from sluice.reading.fields import ColumnRecords
from sluice.reading.records import BadRecord, Batch, Place
from sluice.reading.typed_values import TypedValue
from sluice.reading.values import converters, null_words, writers
from sluice.registry import Source
from sluice.registry.file_names import values_in_name

Row = Sequence[str | None]


@dataclass(frozen=True)
class Unfit(Exception):  # noqa: N818  (a verdict, not a failure of the program)
    """A value of a record is not one that its column takes."""

    code: str
    column: str
    reason: str


class Preparation:
    """How the records of one file become rows: places, null words, conversions, masks, rescue.

    Attributes:
        columns: the columns of bronze that the rows fill, in the rows' order.
        from_file_name: those that the file's name has given a value to so far.
    """

    def __init__(
        self,
        source: Source,
        names: Sequence[str],
        mapping: headers.Mapping,
        masks: Mapping[str, Mask],
        file_name: str,
    ) -> None:
        contract = source.schema_contract
        self._names = names
        self._forbidden = mapping.forbidden
        self._rescued = mapping.rescued
        self._masks = masks
        # A column that must have a value cannot be left without it.
        self._may_be_left_empty = {
            name
            for name, column in source.columns.items()
            if source.keeps_bad_values and column.nullable
        }
        self._kept_as = variant_name if contract.data_types == "evolve" else str
        self._rescues = source.rescues
        given = values_in_name(source, file_name)
        absent = [name for name in given if name not in mapping.columns]
        self._appended = [given[name] for name in absent]
        self.from_file_name = set(absent)
        in_file = [*zip(mapping.positions, mapping.columns, strict=True), *mapping.new]
        if len(in_file) == len(names):  # in the file's order, its records can stay as they are
            in_file.sort()
        self._filled = (*(name for _, name in in_file), *absent)
        self.columns = (*self._filled, RESCUED) if self._rescues else self._filled
        positions = [position for position, _ in in_file]
        self._position = dict(zip(self._filled, positions, strict=False))
        # What a reader calls a column is its name in the file.
        written = {name: names[at] for name, at in self._position.items()}
        self._masked_names = {*masks, *(written[name] for name in masks if name in written)}
        self._known_names = {*source.columns, *(names[at] for at in mapping.positions)}
        self._picked = None if positions == list(range(len(names))) else positions
        words, converting = null_words(source), converters(source)
        self._null_words = words
        self._writers = {
            self._position[name]: (words.get(name, frozenset()), write)
            for name, write in writers(source).items()
            if name in self._position
        }
        self._steps = [
            (index, name, words.get(name, frozenset()), converting.get(name), masks.get(name))
            for index, name in enumerate(self._filled)
            if words.get(name) or name in converting or name in masks
        ]
        self._given = [
            (index, given[name])
            for index, name in enumerate(self._filled)
            if name in given and name not in absent
        ]
        self._as_it_is = not (self._steps or self._rescues or self._forbidden or given)

    def rows(self, batch: Batch) -> tuple[Sequence[int], Sequence[Row], list[BadRecord]]:
        """The rows of a batch.

        Returns:
            For each row the index of its record in the batch; the rows; the records that are
            none, because a value cannot be converted or stands in a column that may have none.
        """
        if self._as_it_is:
            return range(len(batch.fields)), self._columns_of(batch.fields), []
        indexes: list[int] = []
        ready: list[Row] = []
        bad: list[BadRecord] = []
        for index, fields in enumerate(batch.fields):
            try:
                ready.append(self._row(fields))
            except Unfit as unfit:
                bad.append(self.reject(batch, index, unfit.code, unfit.column, unfit.reason))
            else:
                indexes.append(index)
        return indexes, ready, bad

    def _columns_of(self, records: Sequence[Row]) -> Sequence[Row]:
        """Records without the fields that no column takes, in the columns' order."""
        picked = self._picked
        if picked is None:
            return records
        if isinstance(records, ColumnRecords):
            return records.pick(picked)
        return [self._pick(fields) for fields in records]

    def _pick(self, fields: Row) -> list[str | None]:
        if self._picked is None:
            return list(fields)
        return [fields[position] for position in self._picked]

    def _row(self, fields: Row) -> Row:
        for index, name in self._forbidden:
            if fields[index] is not None:
                raise Unfit(
                    "unknown_value", name, f"{name} is no column of the registry, and has a value."
                )
        row = self._pick(fields) + self._appended
        rescued = {
            name: fields[index] for index, name in self._rescued if fields[index] is not None
        }
        self._convert(row, rescued)
        for index, value in self._given:
            if row[index] is None:
                row[index] = value
                self.from_file_name.add(self._filled[index])
        if self._rescues:
            row.append(json.dumps(rescued, ensure_ascii=False) if rescued else None)
        return row

    def _convert(self, row: list[str | None], rescued: dict[str, str | None]) -> None:
        """Null words, conversions and masks, in place; what cannot be converted may be rescued."""
        for index, name, words, convert, mask in self._steps:
            value = row[index]
            if value is None:
                continue
            if value in words:
                row[index] = None
                continue
            if convert is not None:
                try:
                    value = convert(value)
                except ValueError as error:
                    if name not in self._may_be_left_empty:
                        raise Unfit("wrong_type", name, f"{name}: {error}") from None
                    rescued[self._kept_as(name)], value = value, None
            row[index] = mask(value) if mask is not None and value is not None else value

    def rescue(self, row: Row, columns: Sequence[str]) -> Row | None:
        """The row with the values of some columns kept aside; None where it has to be rejected."""
        if not self._may_be_left_empty.issuperset(columns):
            return None
        mended = list(row)
        rescued = json.loads(mended[-1]) if mended[-1] else {}
        for column in columns:
            index = self._filled.index(column)
            rescued[self._kept_as(column)], mended[index] = mended[index], None
        mended[-1] = json.dumps(rescued, ensure_ascii=False)
        return mended

    def reject(
        self, batch: Batch, index: int, code: str, column: str | None, reason: str
    ) -> BadRecord:
        """A record of a batch as a rejected one."""
        record = BadRecord(batch.places(index), code, reason, column, tuple(batch.fields[index]))
        return self.kept(record)

    def kept(self, record: BadRecord) -> BadRecord:
        """A rejected record as it is kept: all values as texts, without those of masked columns."""
        return self._masked(self._as_texts(record)) if self._masks else self._as_texts(record)

    def _as_texts(self, record: BadRecord) -> BadRecord:
        """The record as it has to come back from an export, where nothing has a type of its own."""
        fields = record.fields
        if not self._writers or fields is None or len(fields) != len(self._names):
            return record
        texts = list(fields)
        for position, (words, write) in self._writers.items():
            value = texts[position]
            if isinstance(value, TypedValue) and value not in words:
                texts[position] = write(value)
        return replace(record, fields=tuple(texts))

    def _masked(self, record: BadRecord) -> BadRecord:
        """The record without the values of masked columns."""
        place, fields = record.place, record.fields
        meaning = hidden_reason(record.code)
        if fields is None or len(fields) != len(self._names):
            # A key of JSON is what the file says, too.
            column = record.column if record.column in self._known_names else None
            return replace(
                record,
                place=_with_raw(place, HIDDEN_RECORD),
                reason=meaning,
                column=column,
                fields=None,
            )
        shown, marked = list(fields), list(fields)
        for name, mask in self._masks.items():
            position = self._position.get(name)
            value = shown[position] if position is not None else None
            if position is None or value is None or value in self._null_words.get(name, ()):
                continue
            shown[position], marked[position] = mask(value), mask.marked(value)
        raw = json.dumps(dict(zip(self._names, shown, strict=True)), ensure_ascii=False)
        reason = meaning if record.column in self._masked_names else record.reason
        return replace(record, place=_with_raw(place, raw), reason=reason, fields=tuple(marked))


def _with_raw(place: Place, raw: str) -> Place:
    return replace(place, raw=raw)
