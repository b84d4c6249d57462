"""One attempt to load one delivery: one transaction, by the fast path or the tolerant one."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

from psycopg import Connection

from sluice.errors import DeliveryError, InternalError
from sluice.landing.content import DeliveryContent
from sluice.landing.zone import Delivery
from sluice.loading import storing
from sluice.loading.brought_names import hold_names
from sluice.loading.checks import find_failures, take_failures
from sluice.loading.copying import copy_csv, is_for_copy
from sluice.loading.filters import FilteredReader, NoRecordMatchesError
from sluice.loading.hiding import shown_reason
from sluice.loading.masks import is_own_mask, masks_of
from sluice.loading.preparing import Preparation
from sluice.loading.progress import Meter, Tell
from sluice.loading.refusals import refusals_explained
from sluice.loading.rejects import Rejects, TooManyRejectsError, write_rejects
from sluice.loading.table import add_columns, delete_loads
from sluice.loading.tolerant import TolerantLoad
from sluice.loading.variants import move_variants
from sluice.reading import ExportReader, needs_seeking, open_reader
from sluice.reading.headers import HEAD_BYTES, Mapping, field_names, map_columns, read_header
from sluice.reading.records import Batch, Reader
from sluice.reading.reject_exports import find_dialect
from sluice.registry import Source
from sluice.registry.file_names import words_of_name
from sluice.settings import Settings
from sluice.warehouse import ledger
from sluice.warehouse.connections import connect
from sluice.warehouse.scopes import Scope

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Brought:
    """What a path brought into bronze.

    Attributes:
        rows: how many rows are there.
        rejects: the records that are not.
        notes: what the reader took and why, and which columns were added.
        names: the names of the file's fields.
        left_out: how many records are not wanted.
        from_file_name: the columns that the file's name gave a value to.
    """

    rows: int
    rejects: Rejects
    notes: list[str]
    names: list[str]
    left_out: int = 0
    from_file_name: Collection[str] = ()


class NotFoundAgainError(InternalError):
    """A second pass over a file does not have a record of the first."""


class _Records:
    """A second pass over a file, for the records of ascending numbers."""

    def __init__(self, reader: Reader) -> None:
        self._batches = reader.batches()
        self._batch: Batch | None = None

    def find(self, number: int) -> tuple[Batch, int]:
        """The batch that has the record, and the record's index in it."""
        while not (self._batch and self._batch.numbers and self._batch.numbers[-1] >= number):
            self._batch = next(self._batches, None)
            if self._batch is None:
                raise NotFoundAgainError(f"Record {number} is not found again.")
        index = bisect_left(self._batch.numbers, number)
        if self._batch.numbers[index] != number:
            raise NotFoundAgainError(f"Record {number} is not found again.")
        return self._batch, index


class Attempt:
    """One delivery's way into the ledger.

    Args:
        connection: the loader's, in autocommit; its session holds the source's lock.
        settings: the instance.
        source: whose delivery.
        delivery: the file.
        tell: called with how far the load is; without it, long loads write log lines.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        source: Source,
        delivery: Delivery,
        tell: Tell | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._source = source
        self._delivery = delivery
        self._meter = Meter(delivery.file_name, delivery.content_bytes, tell)
        self._started_at = datetime.now(UTC)
        self._wanted: Scope = None
        self._names: list[str] | None = None

    def load(self, content: DeliveryContent, known: ledger.Known) -> ledger.Entry:
        """The load's one transaction.

        Raises:
            DeliveryError: the delivery is to be rejected; everything has been rolled back.
            StillChangingError: the file changed while it was read; likewise.
            NoRecordMatchesError: nothing of it is wanted; likewise.
        """
        self._wanted = known.filters
        with refusals_explained(), self._connection.transaction():
            load_id, day = ledger.begin_load(self._connection)
            replaced = delete_loads(self._connection, self._source, known.takes_out)
            brought = self._bring(content, load_id)
            sha256 = content.verify()
            name = self._delivery.file_name
            entry = self._entry(
                load_id,
                day,
                "loaded",
                sha256,
                known,
                rows_loaded=brought.rows,
                rows_replaced=replaced,
                rows_rejected=brought.rejects.count,
                rows_left_out=brought.left_out,
                notes=brought.notes,
                file_columns=brought.names,
                from_file_name=words_of_name(self._source, name, brought.from_file_name) or None,
            )
            ledger.record(self._connection, entry, known)
        return entry

    def end(
        self,
        outcome: ledger.Outcome,
        sha256: str,
        known: ledger.Known,
        error: DeliveryError | None = None,
    ) -> ledger.Entry:
        """Record a delivery that brings no rows; of one with too many rejects, the first ones."""
        reason = ledger.reject_fields(shown_reason(error, self._source)) if error else {}
        sample = error.sample if isinstance(error, TooManyRejectsError) else []
        with self._connection.transaction():
            load_id, day = ledger.begin_load(self._connection)
            names = self._names if sample else None
            counts = {"rows_rejected": len(sample), "file_columns": names}
            entry = self._entry(load_id, day, outcome, sha256, known, **counts, **reason)
            ledger.record(self._connection, entry)
            name = self._delivery.file_name
            write_rejects(self._connection, self._source.name, load_id, name, sample)
        return entry

    def _bring(self, content: DeliveryContent, load_id: int) -> Brought:
        """The delivery's records into bronze, by the fast path where it can be taken."""
        if self._wanted is None and is_for_copy(self._source):
            try:
                with self._connection.transaction():
                    return self._copy(content, load_id)
            except TooManyRejectsError:
                raise
            except (DeliveryError, NotFoundAgainError) as refused:
                # The tolerant path finds out which records it is.
                logger.info("%s: read record by record: %s", self._source.name, refused.message)
        reader = self._reader(content)
        mapping = map_columns(reader.names, self._source)
        notes = [*reader.notes, *self._add_columns(mapping, reader.names)]
        self._names = list(reader.names)
        preparation = self._preparation(reader, mapping)
        rejects = self._rejects(load_id)
        load = TolerantLoad(self._connection, self._source, reader, preparation, rejects)
        rows = 0
        for rows in load.run():
            self._meter.rows, self._meter.rejects = rows, rejects.count
            self._meter.at(content.position)
        # Every other rule was held while it was copied.
        if find_failures(self._connection, self._source, load_id, only_unique=True):
            rows -= self._take_failures(reader, preparation, rejects, load_id)
        if self._source.schema_contract.data_types == "evolve":
            notes += move_variants(self._connection, self._source, load_id)
        left_out = reader.left_out if isinstance(reader, FilteredReader) else 0
        if isinstance(reader, FilteredReader) and left_out and not reader.kept:
            raise NoRecordMatchesError(self._delivery.file_name, self._wanted)
        rejects.finish(rows and rows + left_out)
        return Brought(rows, rejects, notes, self._names, left_out, preparation.from_file_name)

    def _copy(self, content: DeliveryContent, load_id: int) -> Brought:
        """The fast path, in a savepoint: the file's own bytes into a strict COPY."""
        head = content.head(HEAD_BYTES)
        if find_dialect(head) is not None:
            raise DeliveryError("It is an export of rejected records.", code="reject_export")
        header = read_header(
            head,
            self._source.csv_dialect,
            self._source.encoding,
            is_whole_file=len(head) < HEAD_BYTES,
        )
        names = header.names or field_names(self._source)
        self._names = list(names)
        mapping = map_columns(names, self._source)
        if mapping.rescued or mapping.forbidden:
            raise DeliveryError("Some fields have no column of their own.", code="unknown_column")
        notes = self._add_columns(mapping, names)
        columns = dict(zip(mapping.positions, mapping.columns, strict=True)) | dict(mapping.new)
        copied = copy_csv(
            self._connection,
            self._source,
            [columns[index] for index in sorted(columns)],
            header,
            self._watched(content),
        )
        rows = copied.rows
        rejects = self._rejects(load_id)
        if find_failures(self._connection, self._source, load_id, only_unique=copied.follows_rules):
            reader = self._reader(content)
            preparation = self._preparation(reader, map_columns(reader.names, self._source))
            rows -= self._take_failures(reader, preparation, rejects, load_id)
        rejects.finish(rows)
        return Brought(rows, rejects, notes, self._names)

    def _watched(self, content: DeliveryContent) -> Iterator[bytes]:
        for chunk in content.chunks():
            self._meter.rows += chunk.count(b"\n")
            self._meter.at(content.position)
            yield chunk

    def _reader(self, content: DeliveryContent) -> Reader:
        opener = partial(content.opener, seekable=needs_seeking(self._source))
        reader = open_reader(opener, self._source)
        if isinstance(reader, ExportReader):
            reader.hold_to(self._delivery.file_name, partial(is_own_mask, self._settings))
        if self._wanted is None:
            return reader
        return FilteredReader(
            reader, self._source, self._wanted, self._delivery.file_name, self._other_session
        )

    def _other_session(self) -> Connection:
        name = f"sluice filter {self._source.name}"
        return connect(self._settings, "loader", application_name=name, autocommit=True)

    def _preparation(self, reader: Reader, mapping: Mapping) -> Preparation:
        masks = masks_of(self._settings, self._source)
        return Preparation(self._source, reader.names, mapping, masks, self._delivery.file_name)

    def _rejects(self, load_id: int) -> Rejects:
        return Rejects(self._connection, self._source, load_id, self._delivery.file_name)

    def _add_columns(self, mapping: Mapping, names: Sequence[str]) -> list[str]:
        brought = {column: names[index] for index, column in mapping.new}
        added = add_columns(self._connection, self._source, brought)
        hold_names(self._connection, self._source, brought)
        return [f"bronze.{self._source.name} has gained the column {name}." for name in added]

    def _take_failures(
        self, reader: Reader, preparation: Preparation, rejects: Rejects, load_id: int
    ) -> int:
        """Move rows that break a rule to the rejects, with their records from a second pass."""
        taken = 0
        records = _Records(reader)
        for failure in take_failures(self._connection, self._source, load_id):
            batch, index = records.find(failure.number)
            rejects.add(
                [preparation.reject(batch, index, failure.code, failure.column, failure.reason)]
            )
            taken += 1
        return taken

    def _entry(
        self,
        load_id: int,
        day: date,
        outcome: ledger.Outcome,
        sha256: str,
        known: ledger.Known,
        **more: object,
    ) -> ledger.Entry:
        stored_path = storing.stored_path(
            self._source, self._delivery.file_name, load_id, day, sha256, outcome
        )
        fields: dict[str, object] = {
            "load_id": load_id,
            "source": self._source.name,
            "file_name": self._delivery.file_name,
            "content_sha256": sha256,
            "content_bytes": self._delivery.content_bytes,
            "outcome": outcome,
            "delivery_kind": known.kind,
            "started_at": self._started_at,
            "replaces_load_id": known.replaces_load_id if outcome == "loaded" else None,
            "duplicate_of_load_id": known.duplicate_of_load_id,
            "filters": None if known.filters is None else list(known.filters),
            "stored_path": stored_path,
            **more,
        }
        return ledger.Entry(**fields)  # type: ignore[arg-type]
