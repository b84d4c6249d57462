"""Which name in the files a column of bronze came with, where a delivery brought it anew.

Names that differ in signs only may mean different things and be one column: ``Sales ($)`` and
``Sales (%)``. In one file they are refused as soon as they are read. Over time they are told apart
by the column's comment, which holds the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

from sluice.errors import DeliveryError
from sluice.loading.table import bronze_table
from sluice.reading.names import spelling
from sluice.registry import Source

_MARK = "In the files: "

_COMMENTS = """
    select attname, col_description(attrelid, attnum) from pg_attribute
    where attrelid = to_regclass(%s) and attname = any(%s)
"""


def hold_names(connection: Connection, source: Source, names: Mapping[str, str]) -> None:
    """Refuse a name that would share a column with another one; note those that are new.

    A comment that somebody else has written stays, and refuses nothing.

    Args:
        connection: in the load's transaction.
        source: whose table; it has the columns.
        names: the columns that a delivery brings, and their names in the file.

    Raises:
        DeliveryError: a column holds what files call by another name.
    """
    if not names:
        return
    asked = (f'bronze."{source.name}"', list(names))
    for column, comment in connection.execute(_COMMENTS, asked).fetchall():
        name = names[column]
        if comment is None:
            query = SQL("comment on column {}.{} is {}")
            note = Literal(_MARK + name)
            connection.execute(query.format(bronze_table(source), Identifier(column), note))
        elif comment.startswith(_MARK) and spelling(comment[len(_MARK) :]) != spelling(name):
            raise DeliveryError(
                f"The header's {name!r} would be the column {column} of bronze.{source.name}, which"
                f" holds what earlier files call {comment[len(_MARK) :]!r}.",
                code="duplicate_column",
                column=name,
                remedy=f"Declare a column in registry/sources/{source.name}.yml for each, with"
                " `from`.",
                where_masked="A name of the header would be a column that holds another name's"
                " values.",
            )
