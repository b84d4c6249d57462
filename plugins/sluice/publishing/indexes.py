"""The indexes of a published table: those that its candidate has, by the model's ``indexes``."""

from __future__ import annotations

from psycopg import Connection
from psycopg.sql import SQL, Identifier

# Of a mart's candidate, the indexes of columns that no index of the published table has; the key
# is one of those already. One of an expression, or of a part of the rows, is not dbt's.
_MISSING = """
select method, columns
from (
    select
        indrelid, amname::text as method,
        (
            select array_agg(attname::text order by attnum)
            from pg_attribute where attrelid = indexrelid
        ) as columns
    from pg_index
    join pg_class on pg_class.oid = indexrelid
    join pg_am on pg_am.oid = relam
    where indpred is null and indexprs is null
) as found
where indrelid = any(array[to_regclass(%(candidate)s), to_regclass(%(published)s)])
group by method, columns
having not bool_or(indrelid = to_regclass(%(published)s))
order by columns
"""


def copy_indexes(connection: Connection, mart: str) -> None:
    """Make the indexes that the candidate has and the published table lacks; none is dropped.

    Readers are not kept waiting: making an index keeps out those who write, and nobody else does.
    """
    names = {"candidate": f'gold_audit."{mart}"', "published": f'gold."{mart}"'}
    for method, columns in connection.execute(_MISSING, names).fetchall():
        connection.execute(
            SQL("create index on {} using {} ({})").format(
                Identifier("gold", mart),
                Identifier(method),
                SQL(", ").join(map(Identifier, columns)),
            )
        )
