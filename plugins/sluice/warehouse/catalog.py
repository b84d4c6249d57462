"""What the database itself says of a table."""

from __future__ import annotations

from psycopg import Connection


def table_columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Return a table's columns in order, with their types as PostgreSQL writes them.

    Empty where there is no such table.
    """
    rows = connection.execute(
        """
        select attname, format_type(atttypid, atttypmod)
        from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
        order by attnum
        """,
        (f'"{schema}"."{table}"',),
    )
    return dict(rows.fetchall())


def count_columns(connection: Connection, schema: str, table: str) -> int:
    """How many columns of PostgreSQL's 1,600 a table has used: also those that were dropped."""
    row = connection.execute(
        "select coalesce(max(attnum), 0) from pg_attribute where attrelid = to_regclass(%s)",
        (f'"{schema}"."{table}"',),
    ).fetchone()
    return int(row[0]) if row else 0
