"""What is shown of refused deliveries and records, where their source has masked columns.

A file without its header shows its first record where names should be; a masked value can stand
anywhere. So a reason may only say what it is known to say: any other is told by its code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sluice.errors import DeliveryError
from sluice.loading.masks import HIDDEN_RECORD, MARKED_REDACTED, MARKED_UNKNOWN, hidden_reason
from sluice.loading.rejects import TooManyRejectsError
from sluice.reading.headers import fed_columns
from sluice.reading.records import REJECT_CODES
from sluice.reading.reject_exports import MASKED
from sluice.reading.values import null_words
from sluice.registry import Source
from sluice.registry.masking import has_masks
from sluice.warehouse.rejected_rows import RejectedRow, Unmended, UnmendedFile

# Reasons of these codes say nothing of what is in a file, where they have no words of their own.
_SAYS_NOTHING = frozenset(
    {
        "bad_compression",
        "bad_encoding",
        "changed_file",
        "duplicate_file",
        "empty_archive",
        "known_in_part",
        "no_header",
        "refused_member",
        "reject_export",
        "too_large",
    }
)


def shown_reason(error: DeliveryError, source: Source) -> DeliveryError:
    """The error as it may be written into the ledger and the log."""
    # The records of a sample are masked, and so is what is said of the first of them.
    if not has_masks(source) or isinstance(error, TooManyRejectsError):
        return error
    message, remedy = error.where_masked, error.remedy
    if message is None and error.code in _SAYS_NOTHING:
        message = error.message
    if message is None:
        meaning = REJECT_CODES.get(error.code)
        message = f"The delivery is refused ({meaning or error.code}); what it has is not shown."
        remedy = (
            f"Columns of it are masked; `./sluice inspect FILE --source {source.name}` shows more"
            " to whoever has the file."
        )
    return DeliveryError(
        message,
        code=error.code,
        record=error.record,
        column=error.column if error.column in source.columns else None,
        remedy=remedy,
    )


def shown_entry(source: Source, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the ledger, with the reason as it may be shown by the registry as it is now.

    Args:
        source: whose delivery it is.
        entry: with reject_reason, reject_code, reject_record and reject_column among its values.
    """
    reason, code, record = (entry[f"reject_{name}"] for name in ("reason", "code", "record"))
    known = source.columns.get(entry["reject_column"] or "")
    if not reason or not code or record is None or known is None or known.mask is None:
        return dict(entry)
    if reason.endswith(tuple(map(hidden_reason, REJECT_CODES))):  # as it was masked then, too
        return dict(entry)
    return {**entry, "reject_reason": f"Record {record}: {hidden_reason(code)}"}


def entry_of_broken(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the ledger of a source whose own entry in the registry is broken.

    Which columns are masked cannot be told, so a reason is told by its code.
    """
    code = entry["reject_code"]
    reason = entry["reject_reason"] and (
        f"The delivery was refused ({REJECT_CODES.get(code) or code}); why in its own words is"
        " shown when the source's registry entry is mended."
    )
    return {**entry, "reject_reason": reason, "reject_column": None}


def shown_unmended(source: Source, unmended: Unmended) -> Unmended:
    """Files that were rejected and not mended, with the reasons as they may be shown."""
    shown = tuple(UnmendedFile(**shown_entry(source, vars(file))) for file in unmended.newest)
    return replace(unmended, newest=shown)


class ShownRecords:
    """Rejected records as they may be shown, by the registry as it is now.

    What was rejected before a column was masked is in the ledger as it was delivered.
    """

    def __init__(self, source: Source, headers: Mapping[int, Sequence[str] | None]) -> None:
        """Take what the files' fields are called.

        Args:
            source: whose records.
            headers: for each load, the names of its file's fields; None where they are not known.
        """
        self._source = source
        self._has_masks = has_masks(source)
        self._words = null_words(source)
        self._headers = headers
        self._masked = {
            load_id: self._masked_fields(header) for load_id, header in headers.items() if header
        }

    def of(self, rows: Iterable[RejectedRow]) -> Iterator[RejectedRow]:
        """Each record without the values of columns that are masked now."""
        for row in rows:
            yield self._shown(row) if self._has_masks else row

    def _masked_fields(self, header: Sequence[str]) -> dict[int, str] | None:
        """The masked columns by the fields that feed them; None where that cannot be told."""
        try:
            fed = fed_columns(header, self._source)
        except DeliveryError:  # by the registry as it is now, two fields are one column
            return None
        return {place: name for place, name in fed.items() if self._source.columns[name].mask}

    def _shown(self, row: RejectedRow) -> RejectedRow:
        header, masked = self._headers.get(row.load_id), self._masked.get(row.load_id)
        if row.fields is None or not header or masked is None or len(row.fields) != len(header):
            return self._hidden(row)
        fields = [
            self._never_raw(masked.get(place), value) for place, value in enumerate(row.fields)
        ]
        if fields == row.fields:
            return row
        raw = json.dumps(dict(zip(header, fields, strict=True)), ensure_ascii=False)
        reason = hidden_reason(row.code)
        return replace(row, fields=fields, raw_record=raw, raw_is_cut=False, reason=reason)

    def _hidden(self, row: RejectedRow) -> RejectedRow:
        """A record of which nobody knows where its values are."""
        return replace(
            row,
            # A key of JSON is what the file says, too.
            column_name=row.column_name if row.column_name in self._source.columns else None,
            reason=hidden_reason(row.code),
            raw_record=HIDDEN_RECORD,
            raw_is_cut=False,
            fields=None,
        )

    def _never_raw(self, column: str | None, value: str | None) -> str | None:
        """The value of a field, marked where its column is masked now and was not then."""
        if column is None or value is None or MASKED.fullmatch(value):
            return value
        if value in self._words.get(column, ()):
            return value
        is_redacted = self._source.columns[column].mask == "redact"
        return MARKED_REDACTED if is_redacted else MARKED_UNKNOWN
