"""Whatever is in a record, COPY reads it back as it was, in each of the ways it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL

from sluice.loading.copy_data import copy_data, text_array
from sluice.reading.arrow_text import TEXT, ArrowRecords
from sluice.reading.csv_grammar import Grammar
from sluice.reading.fields import ColumnRecords, Fields, WrittenRecords
from sluice.registry import CsvDialect
from tests.properties import tried
from tests.reading.csv_files import written_value

VALUES = st.none() | st.text(st.sampled_from("ab1,;'\"\\N\t\n\r.é\U0001f600 "), max_size=4)
TABLES = st.lists(st.tuples(VALUES, VALUES), max_size=6)


def as_rows(table: Sequence[Fields]) -> Sequence[Fields]:
    return list(table)


def as_columns(table: Sequence[Fields]) -> Sequence[Fields]:
    return ColumnRecords([[row[index] for row in table] for index in range(2)])


def as_arrow(table: Sequence[Fields]) -> Sequence[Fields]:
    return ArrowRecords([pa.array([row[index] for row in table], TEXT) for index in range(2)])


def written_records(written: Sequence[str], grammar: Grammar, *, are_lines: bool) -> WrittenRecords:
    ends = np.cumsum([len(record) + 1 for record in written], dtype=np.int64)
    begins = np.append(0, ends)[:-1]
    text = "".join(f"{record}\n" for record in written)
    return WrittenRecords(text, begins, ends - 1, grammar, are_lines=are_lines)


def as_written(**keys: Any) -> Callable[[Sequence[Fields]], Sequence[Fields]]:
    dialect = CsvDialect(**{"delimiter": ",", **keys})

    def written(table: Sequence[Fields]) -> Sequence[Fields]:
        delimiter = dialect.delimiter or ","
        records = [
            delimiter.join(written_value(value, dialect, is_quoted=False) for value in row)
            for row in table
        ]
        are_lines = not any("\n" in record or "\r" in record for record in records)
        return written_records(records, Grammar(dialect, 2), are_lines=are_lines)

    return written


@pytest.fixture
def connection(loader: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    loader.execute("create temporary table read_back (number bigint, a text, b text)")
    return loader


@pytest.mark.parametrize(
    "given_as",
    [
        pytest.param(as_rows, id="rows"),
        pytest.param(as_columns, id="columns"),
        pytest.param(as_arrow, id="arrow"),
        pytest.param(as_written(), id="csv"),
        pytest.param(as_written(delimiter=";", quote="'"), id="another dialect"),
        pytest.param(as_written(escape="\\"), id="an escape"),
        pytest.param(as_written(delimiter="1"), id="a digit divides"),
    ],
)
@given(table=TABLES)
def test_what_goes_in_comes_out(
    connection: psycopg.Connection[Any],
    given_as: Callable[[Sequence[Fields]], Sequence[Fields]],
    table: list[Fields],
) -> None:
    records = given_as(table)
    assert [tuple(record) for record in records] == table
    data = copy_data(range(7, 7 + len(table)), records)
    connection.execute("truncate read_back")
    statement = SQL("copy read_back from stdin with ({})").format(data.options)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(data.lines)
    rows = connection.execute("select number, a, b from read_back order by number").fetchall()
    assert rows == [(number, *row) for number, row in enumerate(table, start=7)]


def test_plain_records_stay_as_they_are_written() -> None:
    records = written_records(
        ['x,"y, ""z"""', ","], Grammar(CsvDialect(delimiter=","), 2), are_lines=True
    )
    assert copy_data([1, 2], records).lines == b'1,x,"y, ""z"""\n2,,\n'


@tried(50)
@given(values=st.lists(st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_an_array_is_read_as_it_was(loader: psycopg.Connection, values: list[str | None]) -> None:
    query = "select %s::text[]"
    assert loader.execute(query, (text_array(values),)).fetchone() == (values,)
