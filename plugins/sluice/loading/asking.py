"""Questions to PostgreSQL about many values at once, of which one may end the statement.

Most values that a type does not take are told in the answer. JSON that is nested too deep for the
server's stack ends the whole statement, so the value is found by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.sql import Composable

from sluice.warehouse.failures import REFUSALS

Value = TypeVar("Value")


def ask(
    connection: Connection,
    query: str | Composable,
    values: Sequence[Value],
    parameters: Callable[[Sequence[Value]], Sequence[object]],
    refused: Callable[[Value, psycopg.Error], tuple[Any, ...]],
) -> list[tuple[Any, ...]]:
    """The answers about some values, in their order.

    Args:
        connection: any; a transaction that is open stays sound.
        query: the question.
        values: what is asked about.
        parameters: the query's parameters for some of the values.
        refused: the answer about a value that ends the statement.
    """
    if not values:
        return []
    try:
        with connection.transaction():
            return connection.execute(query, parameters(values)).fetchall()  # type: ignore[arg-type]
    except REFUSALS as error:
        if len(values) == 1:
            return [refused(values[0], error)]
    middle = len(values) // 2
    parts = (values[:middle], values[middle:])
    return [row for part in parts for row in ask(connection, query, part, parameters, refused)]
