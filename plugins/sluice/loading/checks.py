"""What the registry demands of values: one SQL statement over the rows just loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier, Literal

from sluice.errors import ConfigError
from sluice.loading.copy_data import text_array
from sluice.loading.table import bronze_table
from sluice.registry import Column, DataType, Source
from sluice.registry.patterns import whole_pattern

# PostgreSQL reads the words NaN and infinity, and every sum with one of them is one of them.
IS_NAN: LiteralString = "{value} = 'NaN'"
NOT_FINITE: dict[DataType, LiteralString] = {
    "decimal": "{value} in ('NaN', 'Infinity', '-Infinity')",
    "double": "{value} in ('NaN', 'Infinity', '-Infinity')",
    "date": "not isfinite({value})",
    "timestamp": "not isfinite({value})",
}
SHOWN_CHARACTERS = 200  # of a value in a reason


@dataclass(frozen=True)
class Check:
    """One rule of one column.

    Attributes:
        code: the stable word for a failure.
        column: the column's name.
        failure: an SQL condition that is true for a row that fails; null for a missing value.
        rule: the rule in words.
    """

    code: str
    column: str
    failure: Composable
    rule: str


@dataclass(frozen=True)
class Failure:
    """A loaded row that breaks a rule.

    Attributes:
        number: the record's number in its file.
        code: the rule's stable word.
        column: the column.
        reason: the reason in a sentence, with the value.
    """

    number: int
    code: str
    column: str
    reason: str


def checks_of(source: Source) -> list[Check]:
    """Every rule of the source's columns that concerns a value by itself."""
    return [check for name, column in source.columns.items() for check in _of(name, column)]


def _of(name: str, column: Column) -> Iterator[Check]:
    value = Identifier(name)
    if not column.nullable:
        yield Check("missing_value", name, SQL("{} is null").format(value), "must not be missing")
    has_bounds = column.minimum is not None and column.maximum is not None
    if column.data_type in NOT_FINITE and not has_bounds:  # bounds on both sides rule it out
        # A numeric with a precision has NaN, and no infinity.
        text = IS_NAN if column.precision is not None else NOT_FINITE[column.data_type]
        failure = SQL(text).format(value=value)
        yield Check("not_finite", name, failure, "must be a finite value")
    if column.accepted_values:
        words = ", ".join(column.accepted_values)
        failure = SQL("{} <> all ({})").format(value, Literal(list(column.accepted_values)))
        yield Check("not_accepted", name, failure, f"must be one of {words}")
    # The type is one of the registry's own words.
    cast = SQL("::" + column.postgres_type)
    if column.minimum is not None:
        failure = SQL("{} < {}{}").format(value, Literal(str(column.minimum)), cast)
        yield Check("below_minimum", name, failure, f"must be at least {column.minimum}")
    if column.maximum is not None:
        failure = SQL("{} > {}{}").format(value, Literal(str(column.maximum)), cast)
        yield Check("above_maximum", name, failure, f"must be at most {column.maximum}")
    if column.pattern is not None:
        failure = SQL("{} !~ {}").format(value, Literal(whole_pattern(column.pattern)))
        yield Check("pattern_mismatch", name, failure, f"must match {column.pattern}")


@contextmanager
def rules_explained(source: Source) -> Iterator[None]:
    """Turn PostgreSQL's refusal of a rule itself into what is to be corrected."""
    try:
        yield
    except psycopg.DataError as error:
        raise ConfigError(
            f"A rule of source {source.name} cannot be applied: {error.diag.message_primary}.",
            f"Correct minimum, maximum or pattern in registry/sources/{source.name}.yml.",
        ) from None


def broken_condition(source: Source) -> Composable | None:
    """The SQL condition that is true for a row that breaks a rule; None where there is no rule.

    It holds no ``not`` over an operator: in COPY's WHERE, PostgreSQL 18 turns that into an operator
    whose function it then does not find.
    """
    failures = [check.failure for check in checks_of(source)]
    return SQL(" or ").join(failures) if failures else None


def _swept_condition(source: Source) -> Composable | None:
    """The same for a query, where it costs less.

    A required column's rules are asked as "is it right", which no missing value is, so that
    being there is not asked by itself: 0.35 s instead of 0.49 s for 3 M rows.
    """
    checks = checks_of(source)
    conditions: list[Composable] = []
    for name, column in source.columns.items():
        own = [check.failure for check in checks if check.column == name]
        if column.nullable or len(own) < 2:
            conditions += own
        else:
            conditions.append(SQL("(not ({})) is not true").format(SQL(" or ").join(own[1:])))
    return SQL(" or ").join(conditions) if conditions else None


def try_rules(connection: Connection, source: Source) -> None:
    """Apply the rules to a row of nothing.

    Raises:
        ConfigError: one is not a rule that PostgreSQL can apply.
    """
    condition = broken_condition(source)
    if condition is None:
        return
    values = [
        SQL("{}::{} as {}").format(
            Literal("" if column.data_type == "text" else None),
            SQL(column.postgres_type),
            Identifier(name),
        )
        for name, column in source.columns.items()
    ]
    query = SQL("select {} from (select {}) as row").format(condition, SQL(", ").join(values))
    with rules_explained(source):
        connection.execute(query)


def judge_rows(
    connection: Connection,
    source: Source,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
) -> list[Failure]:
    """The first rule that each of some rows breaks.

    Args:
        connection: any.
        source: whose rules.
        columns: the names of the rows' columns.
        rows: values as text, each of them one that its column's type takes.

    Returns:
        A failure for each row that breaks a rule, its number the row's position, ascending.
    """
    checks = checks_of(source)
    if not checks or not rows:
        return []
    # No rule looks into JSON, and what COPY has taken may be too deep for another statement.
    types = {
        name: "text" if column.data_type == "json" else column.postgres_type
        for name, column in source.columns.items()
    }
    typed = [
        SQL("({}::text[])[position]::{} as {}").format(
            Literal(text_array([row[index] for row in rows])),
            SQL(types[name]),
            Identifier(name),
        )
        for index, name in enumerate(columns)
        if name in source.columns
    ]
    missing = [
        SQL("null::{} as {}").format(SQL(type_name), Identifier(name))
        for name, type_name in types.items()
        if name not in columns
    ]
    query = SQL(
        """
        select position - 1, rule.code, rule.column_name, rule.words, rule.value
        from (
            select position, {} from generate_series(1, {}) as position
        ) as asked
        cross join lateral ({}) as rule order by position
        """
    ).format(SQL(", ").join([*typed, *missing]), Literal(len(rows)), _first_broken(checks))
    with rules_explained(source):
        return [_failure(*row) for row in connection.execute(query)]


def find_failures(
    connection: Connection, source: Source, load_id: int, *, only_unique: bool = False
) -> int:
    """Collect the rows of a load that break a rule; ``take_failures`` gives and removes them.

    Args:
        connection: in the load's transaction.
        source: whose rules.
        load_id: the load.
        only_unique: whether each value by itself is known to be right.

    Returns:
        How many there are.

    Raises:
        ConfigError: a rule itself is not one PostgreSQL can apply.
    """
    condition = None if only_unique else _swept_condition(source)
    unique = [name for name, column in source.columns.items() if column.unique]
    with rules_explained(source):
        broken = condition is not None and _count(connection, source, load_id, condition) > 0
        twice = [name for name in unique if _has_duplicates(connection, source, load_id, name)]
        if not broken and not twice:
            return 0
        connection.execute(
            "create temporary table failing (number bigint primary key, code text,"
            " column_name text, rule text, value text) on commit drop"
        )
        count = _collect_broken(connection, source, load_id) if broken else 0
        for name in unique:  # a record that a rule rejects is nobody's first
            count += _collect_duplicates(connection, source, load_id, name)
    return count


def take_failures(connection: Connection, source: Source, load_id: int) -> Iterator[Failure]:
    """The rows that ``find_failures`` collected, by number, then out of bronze.

    Streamed: however many there are, few are in memory.
    """
    with connection.cursor(name="failing") as cursor:
        cursor.itersize = 1000
        cursor.execute("select number, code, column_name, rule, value from failing order by number")
        for row in cursor:
            yield _failure(*row)
    connection.execute(
        SQL(
            "delete from {} as loaded using failing"
            " where _load_id = %s and _source_row_number = number"
        ).format(bronze_table(source)),
        (load_id,),
    )
    connection.execute("drop table failing")


def _failure(number: int, code: str, column: str, rule: str, value: str | None) -> Failure:
    shown = "is missing" if value is None else f"is {_shown(value)}"
    return Failure(number, code, column, f"{column} {shown} but {rule}.")


def _shown(value: str) -> str:
    cut = value[:SHOWN_CHARACTERS]
    return repr(cut) + (" (cut)" if len(value) > SHOWN_CHARACTERS else "")


def _count(connection: Connection, source: Source, load_id: int, condition: Composable) -> int:
    """The common case in one pass.

    Counting, unlike exists, is shared out to parallel workers: 3 M rows in 0.35 s instead of 0.6 s.
    """
    query = SQL("select count(*) from {} where _load_id = %s and ({})").format(
        bronze_table(source), condition
    )
    # What was just written is in the system's cache: to read it ahead costs a tenth more.
    connection.execute("set local effective_io_concurrency = 0")
    row = connection.execute(query, (load_id,)).fetchone()
    return row[0] if row else 0


def _first_broken(checks: Sequence[Check]) -> Composable:
    """The query for the first of some rules that a row breaks."""
    rules = [
        SQL("({}, {}, {}, {}, {}, {}::text)").format(
            Literal(place),
            check.failure,
            Literal(check.code),
            Literal(check.column),
            Literal(check.rule),
            Identifier(check.column),
        )
        for place, check in enumerate(checks)
    ]
    return SQL(
        "select * from (values {}) as rules (place, fails, code, column_name, words, value)"
        " where fails order by place limit 1"
    ).format(SQL(", ").join(rules))


def _collect_broken(connection: Connection, source: Source, load_id: int) -> int:
    """Each row with the first rule that it breaks."""
    query = SQL(
        """
        insert into failing
        select _source_row_number, rule.code, rule.column_name, rule.words, rule.value
        from {} cross join lateral ({}) as rule
        where _load_id = %s
        """
    ).format(bronze_table(source), _first_broken(checks_of(source)))
    return connection.execute(query, (load_id,)).rowcount


def _has_duplicates(connection: Connection, source: Source, load_id: int, column: str) -> bool:
    query = SQL(
        "select exists (select from {table} where _load_id = %s and {column} is not null"
        " group by {column} having count(*) > 1)"
    ).format(table=bronze_table(source), column=Identifier(column))
    row = connection.execute(query, (load_id,)).fetchone()
    return bool(row and row[0])


def _collect_duplicates(connection: Connection, source: Source, load_id: int, column: str) -> int:
    """Every row whose value stood in an earlier one that stays."""
    query = SQL(
        """
        insert into failing
        select number, 'not_unique', {name}, 'must not stand twice in a file', value
        from (
            select _source_row_number as number, {column}::text as value, row_number() over (
                partition by {column} order by _source_row_number
            ) as place
            from {table} as loaded
            where _load_id = %s and {column} is not null and not exists (
                select from failing where failing.number = loaded._source_row_number
            )
        ) as numbered
        where place > 1
        """
    ).format(table=bronze_table(source), column=Identifier(column), name=Literal(column))
    return connection.execute(query, (load_id,)).rowcount
