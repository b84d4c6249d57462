"""A part of a file: only the records with a wanted value in a column go on to be loaded.

PostgreSQL compares, by the column's type, so ``2024-2-24`` and ``2024-02-24`` are one date. A
filter is asked before anything else: what it leaves out is neither judged nor rejected. A record of
which it cannot be told, because it cannot be taken apart or its value is none of the type, is
judged like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import psycopg
from psycopg import Connection
from psycopg.sql import SQL

from sluice.errors import ConfigError, SluiceError, printable
from sluice.loading.asking import ask
from sluice.loading.column_values import ColumnValues
from sluice.reading.records import Batch, Reader
from sluice.registry import Source
from sluice.registry.filters import RecordFilter
from sluice.warehouse.scopes import Scope, shown

# Verdicts on values are kept up to here: a column that is filtered by has few values, or else each
# is asked for once.
MOST_VERDICTS = 100_000

_MATCHES = """
    select
        asked.value,
        case when pg_input_is_valid(asked.value, %s)
            then asked.value::{type} = any(%s::{type}[]) else %s end
    from unnest(%s::text[]) as asked (value)
"""


class NoRecordMatchesError(SluiceError):
    """No record of a file is wanted: it stays where it is, for a run that wants some."""

    def __init__(self, file_name: str, scope: Scope) -> None:
        super().__init__(
            f"No record of {printable(file_name)} has {shown(scope)}; it stays in the landing zone,"
            " and the next run without a filter loads it."
        )


def scope_of(connection: Connection, source: Source, record_filter: RecordFilter | None) -> Scope:
    """What a run wants of the source's files.

    Raises:
        ConfigError: the value is none of the column's type.
    """
    if record_filter is None or record_filter.source != source.name:
        return None
    column = record_filter.column
    type_name = source.columns[column].postgres_type
    ((is_valid,),) = ask(
        connection,
        "select pg_input_is_valid(%s, %s)",
        [record_filter.equals],
        lambda values: (*values, type_name),
        lambda _, __: (False,),
    )
    if not is_valid:
        raise ConfigError(
            f"The filter of column {column} has {record_filter.equals!r}, which is no {type_name}.",
            f"Write a value of that type, as registry/sources/{source.name}.yml declares it.",
        )
    # The type is one of the registry's own words.
    value = connection.execute(
        SQL("select (%s::{})::text").format(SQL(type_name)), (record_filter.equals,)
    ).fetchone()
    return (f"{column}={value[0]}",) if value else None


class FilteredReader:
    """A reader of the records that one of a scope's filters lets through.

    The questions go through a connection of their own, as batches are read while others are
    written. Use as a context manager.

    Attributes:
        names: the names of the file's fields.
        notes: what was taken and why.
        kept: how many records the longest pass so far has let through.
        left_out: how many it has left out.
    """

    def __init__(
        self,
        reader: Reader,
        source: Source,
        scope: tuple[str, ...],
        file_name: str,
        connect: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self.names = reader.names
        self.notes = reader.notes
        self.kept = 0
        self.left_out = 0
        self._reader = reader
        self._connect = connect
        wanted: dict[str, list[str]] = defaultdict(list)
        for text in scope:
            column, _, value = text.partition("=")
            wanted[column].append(value)
        self._filters = [
            _Filter(source, column, values, ColumnValues(source, column, reader.names, file_name))
            for column, values in wanted.items()
        ]

    def batches(self) -> Iterator[Batch]:
        """The records that are wanted, and those of which it cannot be told."""
        kept = left_out = 0
        with self._connect() as connection:
            for batch in self._reader.batches():
                indexes = self._kept(connection, batch)
                kept += len(indexes)
                left_out += len(batch.numbers) - len(indexes)
                self.kept, self.left_out = max(self.kept, kept), max(self.left_out, left_out)
                yield _part(batch, indexes)

    def _kept(self, connection: Connection, batch: Batch) -> list[int]:
        verdicts = [each.judge(connection, batch) for each in self._filters]
        return [
            index for index, of_record in enumerate(zip(*verdicts, strict=True)) if any(of_record)
        ]


class _Filter:
    """The wanted values of one column, and what is known of others."""

    def __init__(
        self, source: Source, column: str, wanted: list[str], values: ColumnValues
    ) -> None:
        self._type = source.columns[column].postgres_type
        self._wanted = wanted
        self._values = values
        # A value that is none of the type is rejected, or the column is left empty.
        self._is_kept_unread = not source.keeps_bad_values
        self._verdicts: dict[str, bool] = {}

    def judge(self, connection: Connection, batch: Batch) -> list[bool]:
        """Whether each record is to be kept; one without a value is not."""
        values = self._values.of(batch)
        distinct = {value for value in values if value is not None}
        if len(self._verdicts) + len(distinct) > MOST_VERDICTS:
            self._verdicts.clear()
        unknown = distinct - self._verdicts.keys()
        if unknown:
            self._ask(connection, list(unknown))
        return [value is not None and self._verdicts[value] for value in values]

    def _ask(self, connection: Connection, values: list[str]) -> None:
        # PostgreSQL's text has no NUL: it is a value of no type, whatever the type.
        self._verdicts |= dict.fromkeys(values, self._is_kept_unread)
        values = [value for value in values if "\0" not in value]
        query = SQL(_MATCHES).format(type=SQL(self._type))

        def given(some: Sequence[str]) -> tuple[object, ...]:
            return self._type, self._wanted, self._is_kept_unread, list(some)

        def ended(value: str, _: psycopg.Error) -> tuple[str, bool]:
            return value, self._is_kept_unread

        self._verdicts.update(ask(connection, query, values, given, ended))


def _part(batch: Batch, kept: list[int]) -> Batch:
    """The records of a batch at some indexes; those that could not be taken apart stay with it."""
    if len(kept) == len(batch.numbers):
        return batch
    return Batch(
        [batch.numbers[index] for index in kept],
        [batch.fields[index] for index in kept],
        lambda index: batch.places(kept[index]),
        batch.bad,
    )
