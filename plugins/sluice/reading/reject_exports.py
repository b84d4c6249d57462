"""An export of rejected records that comes back: known by its own columns, whatever the source.

Whatever a source's files are like, its export is CSV in UTF-8 with a header: the file's own
columns, then those of ``EXPORT_COLUMNS``. See docs/adr/0021.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sluice.errors import DeliveryError
from sluice.reading.csv_grammar import Grammar
from sluice.reading.headers import fed_columns
from sluice.reading.records import BadRecord, Batch, Reader
from sluice.registry import CsvDialect, Source

# What an export has beside the file's own columns. Of these, two mean something when it comes back.
MENDED, FILE = "_reject_mended", "_reject_file"
EXPORT_COLUMNS = (
    MENDED,
    "_reject_code",
    "_reject_column",
    "_reject_reason",
    FILE,
    "_reject_row_number",
    "_reject_line",
    "_reject_raw_record",
)

# In MENDED: what stands in the fields is not the record as the file had it.
NOT_MENDED = "no"

# Spreadsheets save CSV with the separator of their language.
DELIMITERS = ",;\t"

# What is a formula to a spreadsheet; the last four are wide forms of the first four.
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?", re.IGNORECASE)

# A masked value, as the fields of a rejected record have it: see ``loading.masks``.
MASKED = re.compile(r"\[masked:(?:redact|unknown|hash:[0-9a-f]{64}:[0-9a-f]{32})\]")


def neutral(value: str | None) -> str | None:
    """A value that no spreadsheet runs as a formula: with an apostrophe before it where it would.

    So have values that begin with apostrophes and would be formulas without: ``restored`` takes one
    off exactly where one was put.
    """
    return "'" + value if value and _is_formula(value.lstrip("'")) else value


def restored(value: str | None) -> str | None:
    """The value that ``neutral`` was given."""
    if value and value[0] == "'" and _is_formula(value.lstrip("'")):
        return value[1:]
    return value


def _is_formula(value: str) -> bool:
    return _FORMULA.match(value) is not None and _NUMBER.fullmatch(value) is None


def find_dialect(head: bytes) -> CsvDialect | None:
    """How an export is written, from the first bytes of a file; None where it is none."""
    if FILE.encode() not in head and MENDED.encode() not in head:
        return None
    text = head.decode("utf-8-sig", "replace")
    for delimiter in DELIMITERS:
        grammar = Grammar(CsvDialect(delimiter=delimiter), 1)
        match = grammar.any_record.match(text)
        if match and is_export([name or "" for name in grammar.fields(text[: match.end()], 0)]):
            return grammar.dialect
    return None


def is_export(names: Sequence[str]) -> bool:
    """Whether the names of a file's fields are those of an export."""
    return FILE in names or MENDED in names


class ExportReader:
    """The records of an export, as the files of its source have them.

    A record that nobody has mended, though it has to be, is rejected once more: one of which the
    export does not have all that the file had (``_reject_mended`` says no), one without any value,
    one whose masked value is none that is known here.

    Attributes:
        names: the names of the fields that are the file's own.
        notes: that it is an export, and how it was read.
    """

    def __init__(self, reader: Reader, source: Source) -> None:
        """Tell the file's own columns from the export's.

        Args:
            reader: of the file as it is.
            source: whose records they are.

        Raises:
            DeliveryError: a column that is needed is gone, or the source takes no part of a file.
        """
        for column in (MENDED, FILE):
            if column not in reader.names:
                raise _refusal(
                    f"The file is an export of rejected records without its column {column}.",
                    "Export them again, and leave the columns that begin with _reject_.",
                )
        if source.write_disposition == "replace":
            raise _refusal(
                "The file is an export of rejected records, and would be the whole truth of this"
                " source: write_disposition is replace.",
                "Mend the file that they are from, and deliver it whole.",
            )
        self._reader = reader
        self._width = len(reader.names)
        self._own = [n for n, name in enumerate(reader.names) if name not in EXPORT_COLUMNS]
        self._mended, self._file = reader.names.index(MENDED), reader.names.index(FILE)
        self.names = tuple(restored(reader.names[index]) or "" for index in self._own)
        self.notes = ("An export of rejected records.", *reader.notes)
        columns = fed_columns(self.names, source)
        self._masks = {
            position: source.columns[column].mask for position, column in columns.items()
        }
        self._asked = [
            position
            for position in range(len(self.names))
            if position not in columns or source.columns[columns[position]].from_file_name is None
        ]
        self._file_name: str | None = None
        self._is_own_mask: Callable[[str], bool] = lambda _: True

    def hold_to(self, file_name: str, is_own_mask: Callable[[str], bool]) -> None:
        """Say what the export is delivered as.

        Args:
            file_name: its name; the export of a file's records is never loaded under the file's
                own name, as it would take the place of the records that are loaded.
            is_own_mask: whether a masked value was masked by this installation.
        """
        self._file_name = file_name
        self._is_own_mask = is_own_mask

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last.

        Raises:
            DeliveryError: the rest cannot be read, or is delivered as the file that it is from.
        """
        return map(self._batch, self._reader.batches())

    def _batch(self, batch: Batch) -> Batch:
        kept: list[int] = []
        fields: list[tuple[str | None, ...]] = []
        bad = [self._part(record) for record in batch.bad]
        for index, whole in enumerate(batch.fields):
            own = self._own_fields(whole)
            verdict = self._verdict(whole, own)
            if verdict is None:
                kept.append(index)
                fields.append(own)
            else:
                bad.append(BadRecord(batch.places(index), *verdict, own))
        bad.sort(key=lambda record: record.place.number)
        numbers = [batch.numbers[index] for index in kept]
        return Batch(numbers, fields, lambda index: batch.places(kept[index]), bad)

    def _own_fields(self, whole: Sequence[str | None]) -> tuple[str | None, ...]:
        return tuple(restored(whole[index]) for index in self._own)

    def _part(self, record: BadRecord) -> BadRecord:
        """What could not be read of the export, with the file's own fields only."""
        fields = record.fields
        is_whole = fields is not None and len(fields) == self._width
        column = record.column if record.column in self.names else None
        own = self._own_fields(fields) if fields is not None and is_whole else None
        return replace(record, fields=own, column=column)

    def _verdict(
        self, whole: Sequence[str | None], own: Sequence[str | None]
    ) -> tuple[str, str, str | None] | None:
        """The code, the reason and the column of what is wrong; None for nothing."""
        if self._file_name is not None and restored(whole[self._file]) == self._file_name:
            raise _refusal(
                "The file is the export of rejected records of the file of this very name, and"
                " would take the place of all the records of it that are loaded.",
                "Deliver it under another name, such as the one that the export suggests.",
            )
        if (whole[self._mended] or "").strip().casefold() == NOT_MENDED:
            reason = (
                f"The fields are not those of the record as it was, and {MENDED} says no: correct"
                " them by _reject_raw_record, and write yes there."
            )
            return "not_mended", reason, None
        if not any(own[position] for position in self._asked):
            reason = (
                "No field but those of the export has a value: fill them in by _reject_raw_record."
            )
            return "not_mended", reason, None
        return self._mask_verdict(own)

    def _mask_verdict(self, own: Sequence[str | None]) -> tuple[str, str, str | None] | None:
        for position, value in enumerate(own):
            if value is None or not MASKED.fullmatch(value):
                continue
            mask = self._masks.get(position)
            if mask == "redact" or (
                mask == "hash" and value.startswith("[masked:hash:") and self._is_own_mask(value)
            ):
                continue
            name = self.names[position]
            reason = f"{name} holds a masked value that cannot be kept: fill in the true one."
            return "masked_value", reason, name
        return None


def _refusal(message: str, remedy: str) -> DeliveryError:
    return DeliveryError(message, code="reject_export", remedy=remedy)
