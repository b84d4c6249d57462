"""The tolerant path: a reader takes the records apart, PostgreSQL judges every value.

Of each batch, the records of plain values that follow the rules go into binary COPY
(docs/adr/0019). All others are one COPY that passes over what a column's type does not take or a
rule forbids, and says so in a notice; only the records that these name are then asked about one by
one. The next batch is read meanwhile.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from sluice.errors import InternalError
from sluice.landing.streams import ahead, quick_switches
from sluice.loading.checks import broken_condition, judge_rows, try_rules
from sluice.loading.copy_data import CopyData, copy_data
from sluice.loading.exactness import Exactness
from sluice.loading.preparing import Preparation, Row
from sluice.loading.rejects import Rejects
from sluice.loading.table import bronze_table
from sluice.loading.verdicts import CODES, Verdict, frozen, type_verdicts
from sluice.reading.records import BadRecord, Batch, Reader
from sluice.registry import Source
from sluice.warehouse.failures import REFUSALS

if TYPE_CHECKING:
    from sluice.loading.plain_copy import PlainSieve

# Of the notices of ops.note_broken_rule.
BROKEN_RULE = "01S01"

# Each is a megabyte of the file, some ten times that as Python's objects.
BATCHES_AHEAD = 2


class TolerantLoad:
    """Brings the records of one reader into bronze, in the load's transaction."""

    def __init__(
        self,
        connection: Connection,
        source: Source,
        reader: Reader,
        preparation: Preparation,
        rejects: Rejects,
    ) -> None:
        self._connection = connection
        self._source = source
        self._reader = reader
        self._preparation = preparation
        self._rejects = rejects
        self._exactness = Exactness(source, preparation.columns)
        names = map(Identifier, ("_source_row_number", *preparation.columns))
        broken = broken_condition(source)
        kept = SQL("where ({}) is not true or ops.note_broken_rule(_source_row_number)")
        self._target = SQL("copy {} ({}) from stdin").format(
            bronze_table(source), SQL(", ").join(names)
        )
        self._kept = SQL("") if broken is None else kept.format(broken)

    def run(self) -> Iterator[int]:
        """Load every batch.

        Yields:
            After each batch, how many rows there are.

        Raises:
            DeliveryError: the file cannot be read on, or more records are rejected than may be.
            ConfigError: a rule is not one that PostgreSQL can apply.
        """
        # Notices say which records were passed over; the setting ends with the transaction.
        self._connection.execute("set local client_min_messages = notice")
        try_rules(self._connection, self._source)
        loaded = 0
        with quick_switches(), closing(ahead(self._prepared(), BATCHES_AHEAD)) as batches:
            for ready in batches:
                count, refused = self._load_ready(ready)
                loaded += count
                if ready.bad or refused:
                    both = sorted([*ready.bad, *refused], key=lambda record: record.place.number)
                    self._rejects.add(both)
                yield loaded

    def _prepared(self) -> Iterator[_Ready]:
        """Each batch, ready to be sent."""
        sieve = _sieve(self._source, self._preparation.columns)
        for batch in self._reader.batches():
            indexes, rows, unfit = self._preparation.rows(batch)
            bad = [self._preparation.kept(record) for record in batch.bad] + unfit
            everything = partial(_Rows.of, batch, indexes, rows)
            if sieve is None or not rows:
                yield _Ready(bad, b"", everything(), everything)
                continue
            sifted = sieve.sift(_numbers(batch, indexes), rows)
            others = [indexes[each] for each in sifted.others]
            some = _Rows.of(batch, others, [rows[each] for each in sifted.others])
            yield _Ready(bad, sifted.data, some, everything)
            if len(others) * 2 > len(rows):  # it costs more than it saves
                sieve = None

    def _load_ready(self, ready: _Ready) -> tuple[int, list[BadRecord]]:
        """Copy a batch; returns how many rows came in, and the records that did not."""
        if not ready.plain:
            return self._load(ready.others)
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                with cursor.copy(SQL("{} with (format binary)").format(self._target)) as copy:
                    copy.write(ready.plain)
                plain = cursor.rowcount
        except REFUSALS:  # a text that PostgreSQL does not take: which one, the others' way tells
            return self._load(ready.everything())
        count, refused = self._load(ready.others)
        return plain + count, refused

    def _load(self, some: _Rows) -> tuple[int, list[BadRecord]]:
        """Copy rows; returns how many came in, and the records that did not."""
        if not some.rows:
            return 0, []
        changed = self._exactness.changed(some.rows)
        return self._load_others(some, changed) if changed else self._load_exact(some)

    def _load_others(self, some: _Rows, changed: Sequence[int]) -> tuple[int, list[BadRecord]]:
        """Load the rows but for those of which PostgreSQL would change a value."""
        found = self._verdicts(some, changed)
        sound = [position for position in range(len(some.rows)) if position not in found]
        count, bad = self._load_exact(some.pick(sound)) if sound else (0, [])
        more, refused = self._settle(some, found)
        return count + more, [*bad, *refused]

    def _load_exact(self, some: _Rows) -> tuple[int, list[BadRecord]]:
        """Load rows whose values PostgreSQL keeps as they are, or refuses."""
        try:
            with self._connection.transaction():
                count, passed_over, broken = self._copy(some)
        except REFUSALS as error:
            return self._divide(some, error)
        missing = len(some.rows) - count
        if not missing:
            return count, []
        refused = self._broken(some, sorted(broken))
        untyped = missing - len(refused)
        if not untyped:
            return count, refused
        if len(passed_over) != untyped:  # the notices are not to be understood: ask all
            passed_over = set(range(len(some.rows)))
        more, untaken = self._judge(some, sorted(passed_over), untyped)
        return count + more, [*refused, *untaken]

    def _broken(self, some: _Rows, positions: Sequence[int]) -> list[BadRecord]:
        """The records that break a rule."""
        if not positions:
            return []
        rows = [some.rows[position] for position in positions]
        columns = self._preparation.columns
        failures = judge_rows(self._connection, self._source, columns, rows)
        if len(failures) != len(positions):
            raise InternalError(
                f"{len(positions)} records break a rule, and {len(failures)} of them are known."
            )
        return [
            self._reject(
                some, positions[failure.number], failure.code, failure.column, failure.reason
            )
            for failure in failures
        ]

    def _reject(
        self, some: _Rows, position: int, code: str, column: str | None, reason: str
    ) -> BadRecord:
        index = some.indexes[position]
        return self._preparation.reject(some.batch, index, code, column, reason)

    def _divide(self, some: _Rows, error: psycopg.Error) -> tuple[int, list[BadRecord]]:
        """A record that ends the whole COPY is found by halves."""
        if len(some.rows) == 1:
            code = CODES.get(error.sqlstate or "", "wrong_type")
            message = f"PostgreSQL refuses the record: {error.diag.message_primary}."
            return 0, [self._reject(some, 0, code, None, message)]
        middle = len(some.rows) // 2
        first, first_refused = self._load_exact(some.pick(range(middle)))
        second, second_refused = self._load_exact(some.pick(range(middle, len(some.rows))))
        return first + second, first_refused + second_refused

    def _copy(self, some: _Rows) -> tuple[int, set[int], set[int]]:
        """One COPY.

        Returns:
            How many rows came in; the positions of the rows with a value of no type; of those
            that break a rule.
        """
        statement = SQL(
            "{} with (on_error ignore, log_verbosity verbose, encoding 'UTF8', {}) {}"
        ).format(self._target, some.data.options, self._kept)
        passed_over: list[int] = []
        broken: set[int] = set()

        def note(diagnostic: psycopg.errors.Diagnostic) -> None:
            number = re.search(r"\d+", diagnostic.message_primary or "")
            if diagnostic.sqlstate == BROKEN_RULE and number:
                broken.add(bisect_left(some.numbers, int(number[0])))
            else:
                passed_over.append(int(number[0]) - 1 if number else -1)

        self._connection.add_notice_handler(note)
        try:
            with self._connection.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    copy.write(some.data.lines)
                # The last notice is the sum of the others.
                return cursor.rowcount, set(passed_over[:-1]), broken
        finally:
            self._connection.remove_notice_handler(note)

    def _judge(
        self, some: _Rows, positions: Sequence[int], missing: int
    ) -> tuple[int, list[BadRecord]]:
        """Find out why rows were passed over, and settle them."""
        found = self._verdicts(some, positions)
        if len(found) != missing:
            raise InternalError(
                f"COPY passed over {missing} records, and {len(found)} have a value to blame."
            )
        return self._settle(some, found)

    def _verdicts(self, some: _Rows, positions: Sequence[int]) -> dict[int, list[Verdict]]:
        columns, rows = self._preparation.columns, {n: some.rows[n] for n in positions}
        return type_verdicts(self._connection, self._source, columns, rows)

    def _settle(
        self, some: _Rows, found: Mapping[int, Sequence[Verdict]]
    ) -> tuple[int, list[BadRecord]]:
        """Refuse rows; or load them without their bad values, where the contract says so."""
        refused: list[BadRecord] = []
        kept: list[tuple[int, Row]] = []
        for position, verdicts in found.items():
            row, index = some.rows[position], some.indexes[position]
            mended = self._preparation.rescue(row, [verdict.column for verdict in verdicts])
            if mended is not None:
                kept.append((index, mended))
                continue
            first = verdicts[0]
            refused.append(self._reject(some, position, first.code, first.column, first.reason))
        if refused and self._source.schema_contract.data_types == "freeze":
            raise frozen(refused[0])
        if not kept:
            return 0, refused
        indexes, mended_rows = zip(*kept, strict=True)
        count, more = self._load(_Rows.of(some.batch, indexes, mended_rows))
        return count, refused + more


def _sieve(source: Source, columns: Sequence[str]) -> PlainSieve | None:
    """What takes the plain records out; None where there can be none."""
    # Imported where it is needed: Arrow alone takes 0.1 s and 40 MB.
    from sluice.loading.plain_copy import PlainSieve
    from sluice.reading.plain_values import NotPlainError

    try:
        return PlainSieve(source, columns)
    except NotPlainError:
        return None


def _numbers(batch: Batch, indexes: Sequence[int]) -> Sequence[int]:
    """The numbers of a batch's records at some indexes, ascending."""
    if len(indexes) == len(batch.numbers):
        return batch.numbers
    return [batch.numbers[index] for index in indexes]


@dataclass(frozen=True)
class _Rows:
    """Rows of one batch.

    Attributes:
        batch: which.
        indexes: for each row, the index of its record in the batch.
        rows: the values.
        numbers: the records' numbers.
        data: all of it as COPY reads it.
    """

    batch: Batch
    indexes: Sequence[int]
    rows: Sequence[Row]
    numbers: Sequence[int]
    data: CopyData

    @classmethod
    def of(cls, batch: Batch, indexes: Sequence[int], rows: Sequence[Row]) -> _Rows:
        numbers = _numbers(batch, indexes)
        return cls(batch, indexes, rows, numbers, copy_data(numbers, rows))

    def pick(self, positions: Sequence[int]) -> _Rows:
        """The rows at some positions, ascending."""
        indexes = [self.indexes[position] for position in positions]
        return _Rows.of(self.batch, indexes, [self.rows[position] for position in positions])


@dataclass(frozen=True)
class _Ready:
    """A batch that is ready to be sent.

    Attributes:
        bad: its records that are none.
        plain: the rows that nothing has to be asked about, as binary COPY takes them.
        others: all others, which PostgreSQL judges.
        everything: gives all rows for PostgreSQL to judge.
    """

    bad: list[BadRecord]
    plain: bytes
    others: _Rows
    everything: Callable[[], _Rows]
