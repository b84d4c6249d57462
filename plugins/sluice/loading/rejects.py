"""The records of a load that could not be loaded: counted, kept, and held to the source's limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from psycopg import Connection

from sluice.errors import DeliveryError, printable
from sluice.loading.copy_data import text_array
from sluice.reading.records import RAW_CHARACTERS, BadRecord
from sluice.registry import Source

# Of a delivery that is rejected whole, so many records are kept to show what is wrong with it.
SAMPLE = 1000
# Rejects wait for each other up to here, so that they are written together.
PENDING = 1000

# The code of a delivery of which more records are rejected than the source allows.
TOO_MANY = "too_many_rejects"

_COPY = """
    copy ops.rejected_rows (
        load_id, source, file_name, row_number, line_number, byte_offset, code, column_name,
        reason, raw_record, raw_is_cut, fields
    ) from stdin
"""


class TooManyRejectsError(DeliveryError):
    """More records cannot be loaded than the source allows: the whole delivery is rejected.

    Attributes:
        sample: the first of them.
        count: how many there were when that was seen.
    """

    def __init__(self, message: str, *, code: str, first: BadRecord, rejects: Rejects) -> None:
        super().__init__(
            message,
            code=code,
            record=first.place.number,
            column=first.column,
        )
        self.sample = rejects.sample
        self.count = rejects.count


class Rejects:
    """The rejected records of one load.

    They are written to ``ops.rejected_rows`` in the load's own transaction as they come, so that
    memory stays flat however many there are.

    Attributes:
        count: how many there are.
        by_code: how many of each reason.
        sample: the first ``SAMPLE``.
    """

    def __init__(
        self, connection: Connection, source: Source, load_id: int, file_name: str
    ) -> None:
        self.count = 0
        self.by_code: Counter[str] = Counter()
        self.sample: list[BadRecord] = []
        self._connection = connection
        self._source = source
        self._load_id = load_id
        self._file_name = file_name
        self._pending: list[BadRecord] = []
        limit = source.max_row_errors
        self._most = limit if isinstance(limit, int) else None
        if source.on_row_error == "fail":
            self._most = 0

    def add(self, records: Iterable[BadRecord]) -> None:
        """Count records; written no later than in ``finish``.

        Raises:
            TooManyRejectsError: there are more than the source allows as a count.
        """
        for record in records:
            self.count += 1
            self.by_code[record.code] += 1
            if len(self.sample) < SAMPLE:
                self.sample.append(record)
            if self._most is not None and self.count > self._most:
                raise self._too_many(
                    f"More than {self._most:,} records cannot be loaded, with max_row_errors"
                    f" {self._most:,}"
                )
            self._pending.append(record)
        if len(self._pending) >= PENDING:
            self._write()

    def finish(self, rows_loaded: int) -> None:
        """Write what is left, at the end of the delivery.

        Raises:
            TooManyRejectsError: there are more than the source allows as a percentage, or no
                record at all could be loaded: then it is not a delivery of this source.
        """
        records = rows_loaded + self.count
        limit = self._source.max_row_errors
        most = Decimal(limit.removesuffix("%")) if isinstance(limit, str) else Decimal(100)
        if self.count and not rows_loaded:
            shared = next(iter(self.by_code)) if len(self.by_code) == 1 else TOO_MANY
            raise self._too_many(f"None of the {records:,} records can be loaded", shared)
        if Decimal(self.count) * 100 > most * records:
            raise self._too_many(
                f"{self.count:,} of {records:,} records cannot be loaded, with max_row_errors"
                f" {limit}"
            )
        self._write()

    def _write(self) -> None:
        write_rejects(
            self._connection, self._source.name, self._load_id, self._file_name, self._pending
        )
        self._pending = []

    def _too_many(self, what: str, code: str = TOO_MANY) -> TooManyRejectsError:
        first = min(self.sample, key=lambda record: record.place.number)
        where = f"record {first.place.number}"
        where += f" (line {first.place.line})" if first.place.line else ""
        reason = f"{where}: {printable(first.reason)}"
        if self._source.on_row_error == "fail":
            message = f"R{reason[1:]}"
            return TooManyRejectsError(message, code=first.code, first=first, rejects=self)
        codes = ", ".join(f"{count:,} {code}" for code, count in self.by_code.most_common())
        message = f"{what} ({codes}). The first is {reason}"
        return TooManyRejectsError(message, code=code, first=first, rejects=self)


def write_rejects(
    connection: Connection,
    source: str,
    load_id: int,
    file_name: str,
    records: Iterable[BadRecord],
) -> None:
    """Write rejected records to ``ops.rejected_rows``."""
    waiting = list(records)
    if not waiting:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for record in waiting:
            place = record.place
            raw = place.raw.replace("\0", "\\x00")
            fields = record.fields
            if fields is not None and len(raw) > RAW_CHARACTERS:
                fields = None
            copy.write_row(
                (
                    load_id,
                    source,
                    file_name,
                    place.number,
                    place.line,
                    place.offset,
                    record.code,
                    record.column,
                    printable(record.reason),
                    raw[:RAW_CHARACTERS],
                    len(raw) > RAW_CHARACTERS,
                    fields and text_array(fields).replace("\0", "\\\\x00"),
                )
            )
