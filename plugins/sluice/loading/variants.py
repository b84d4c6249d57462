"""Columns for values that their own column's type does not take (``data_types: evolve``).

Until the file is read, such values are kept in ``_rescued_data``; then each gets a column of text.
"""

from __future__ import annotations

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

from sluice.loading.table import add_columns, bronze_table
from sluice.registry import VARIANT_SUFFIX, Source

_FOUND = """
    select name, count(*) from {table}, jsonb_object_keys(_rescued_data) as name
    where _load_id = %s and name = any(%s) group by name order by name
"""
_MOVE = """
    update {table} set {values}, _rescued_data = nullif(_rescued_data - %s::text[], '{{}}')
    where _load_id = %s and _rescued_data ?| %s
"""


def variant_name(column: str) -> str:
    """The column that keeps what a column's type does not take."""
    return f"{column}{VARIANT_SUFFIX}"


def move_variants(connection: Connection, source: Source, load_id: int) -> list[str]:
    """Give the bad values of a load the columns that they belong into.

    Args:
        connection: in the load's transaction.
        source: whose table.
        load_id: the load.

    Returns:
        A sentence for each column that holds such values.

    Raises:
        DeliveryError: bronze has a column of such a name with another type.
    """
    columns = {
        variant_name(name): (name, column.postgres_type) for name, column in source.columns.items()
    }
    table = bronze_table(source)
    query = SQL(_FOUND).format(table=table)
    found: dict[str, int] = dict(connection.execute(query, (load_id, [*columns])).fetchall())
    if not found:
        return []
    added = add_columns(connection, source, found)
    values = SQL(", ").join(
        [SQL("{} = _rescued_data ->> {}").format(Identifier(name), Literal(name)) for name in found]
    )
    names = list(found)
    connection.execute(SQL(_MOVE).format(table=table, values=values), (names, load_id, names))
    return [
        f"{count:,} values of {columns[name][0]} are kept as text in bronze.{source.name}.{name}"
        f"{', which has been added' * (name in added)}: they are no {columns[name][1]}."
        for name, count in found.items()
    ]
