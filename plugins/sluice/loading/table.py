"""The bronze table of a source: made, and widened, as the registry says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from sluice.errors import ConfigError, DeliveryError
from sluice.loading.partitions import divide_table, make_default, partition_clause
from sluice.registry import Source
from sluice.registry.formats import MOST_COLUMNS
from sluice.warehouse.catalog import count_columns, table_columns

# COPY fills 3 M row numbers in 12 % of its time with a large cache, in 30 % without one.
ROW_NUMBER_CACHE = 10_000

# A record's number in its file, from 1.
ROW_NUMBER = "_source_row_number"

# Holds what a delivery has beyond the registry, where the contract says discard_value.
RESCUED = "_rescued_data"


def bronze_table(source: Source) -> Identifier:
    """The qualified name of the source's table."""
    return Identifier("bronze", source.name)


def ensure_table(connection: Connection, source: Source) -> list[str]:
    """Create the source's table, or add what the registry has gained: columns, partitions.

    Columns that the registry has lost stay and are empty in new rows.

    Returns:
        The columns added to a table that was there.

    Raises:
        ConfigError: a column has another type than the registry says, or the table has no room for
            more columns, or cannot be divided as the registry says.
    """
    existing = table_columns(connection, "bronze", source.name)
    if not existing:
        _create(connection, source)
        return []
    added = [name for name in source.columns if name not in existing]
    if source.rescues and RESCUED not in existing:
        added.append(RESCUED)
    lacking = _lacking_room(connection, source, added)
    if lacking:
        raise ConfigError(
            lacking,
            f"Take columns out of registry/sources/{source.name}.yml, or let one of data_type json"
            " take several.",
        )
    for name, column in source.columns.items():
        if name in added:
            _add(connection, source, name, column.postgres_type)
        elif existing[name] != column.postgres_type:
            change = (
                f"alter table bronze.{source.name} alter column {name} type {column.postgres_type}"
                f" using {name}::{column.postgres_type};"
            )
            raise ConfigError(
                f"bronze.{source.name}.{name} is {existing[name]}; registry/sources/"
                f"{source.name}.yml says {column.postgres_type}.",
                f'Change one of them: ./sluice psql --role loader -c "{change}"',
            )
    if RESCUED in added:
        _add(connection, source, RESCUED, "jsonb")
    if divide_table(connection, source, ROW_NUMBER_CACHE):
        _index_loads(connection, source)
    return added


def add_columns(connection: Connection, source: Source, names: Iterable[str]) -> list[str]:
    """Give the table the columns that a delivery brings anew, as text.

    Returns:
        Those that were not there.

    Raises:
        DeliveryError: a column of the name has another type, or the table has no room for more.
    """
    wanted = list(names)
    existing = table_columns(connection, "bronze", source.name) if wanted else {}
    for name in wanted:
        if existing.get(name, "text") != "text":
            raise DeliveryError(
                f"The new column {name} is {existing[name]} in bronze.{source.name} already.",
                code="unknown_column",
                column=name,
                remedy=f"Declare it in registry/sources/{source.name}.yml.",
            )
    added = [name for name in wanted if name not in existing]
    lacking = _lacking_room(connection, source, added)
    if lacking:
        raise DeliveryError(
            lacking,
            code="too_many_columns",
            where_masked=lacking,
            remedy="If names of columns are data, such as dates or ids, deliver a record for each,"
            " or, of JSON, let one column of data_type json take the object that holds them.",
        )
    for name in added:
        _add(connection, source, name, "text")
    return added


def _lacking_room(connection: Connection, source: Source, added: Sequence[str]) -> str | None:
    """What to say where a table cannot have so many columns more; None where it can."""
    used = count_columns(connection, "bronze", source.name) if added else 0
    if used + len(added) <= MOST_COLUMNS:
        return None
    return (
        f"{len(added):,} columns would be added to bronze.{source.name}, which has used {used:,} of"
        f" the {MOST_COLUMNS:,} that PostgreSQL gives a table, those that were dropped included."
    )


def _add(connection: Connection, source: Source, name: str, postgres_type: str) -> None:
    connection.execute(
        SQL("alter table {} add column {}").format(
            bronze_table(source), _definition(name, postgres_type)
        )
    )


def has_table(connection: Connection, source: Source) -> bool:
    """Whether the source's table has been made."""
    return bool(table_columns(connection, "bronze", source.name))


def _definition(name: str, postgres_type: str) -> Composed:
    # The type is one of the registry's own words, never text from a file.
    return SQL("{} {}").format(Identifier(name), SQL(postgres_type))


def _create(connection: Connection, source: Source) -> None:
    # The load comes first: PostgreSQL walks over all columns before the one that it looks for, in
    # the index's upkeep and in each query for a load's rows.
    columns = [_definition(name, column.postgres_type) for name, column in source.columns.items()]
    if source.rescues:
        columns.append(_definition(RESCUED, "jsonb"))
    connection.execute(
        SQL(
            """
            create table {} (
                _load_id bigint not null default ops.current_load_id(),
                _source_row_number bigint not null generated by default as identity (cache {}),
                {}
            ) {}
            """
        ).format(
            bronze_table(source),
            SQL(str(ROW_NUMBER_CACHE)),
            SQL(", ").join(columns),
            partition_clause(source),
        )
    )
    make_default(connection, source)
    _index_loads(connection, source)


def _index_loads(connection: Connection, source: Source) -> None:
    # A block range index finds a load's rows in a table of any size for 8 % of COPY's time; a
    # B-tree costs 40 % (3 M rows, PostgreSQL 18).
    connection.execute(
        SQL("create index on {} using brin (_load_id) with (autosummarize = on)").format(
            bronze_table(source)
        )
    )


def set_next_row_number(connection: Connection, source: Source, number: int) -> None:
    """Let the next record have this number; only the holder of the source's lock may call this."""
    connection.execute(
        "select setval(pg_get_serial_sequence(%s, %s), %s, false)",
        (f'bronze."{source.name}"', ROW_NUMBER, number),
    )


def delete_loads(connection: Connection, source: Source, load_ids: Sequence[int]) -> int:
    """Take the rows of loads out; returns how many there were."""
    if not load_ids:
        return 0
    query = SQL("delete from {} where _load_id = any(%s)").format(bronze_table(source))
    return connection.execute(query, (list(load_ids),)).rowcount
