"""What PostgreSQL says of values: why it does not take one, and what would become of a record.

PostgreSQL judges each value by its column's type and each record by the rules, in queries that
read nothing but the values they are given; so the session may be one that can only read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection

from sluice.errors import DeliveryError
from sluice.loading.asking import ask
from sluice.loading.checks import judge_rows
from sluice.loading.preparing import Preparation, Row
from sluice.reading.exact_values import change_of
from sluice.reading.headers import map_columns
from sluice.reading.records import BadRecord, Batch
from sluice.registry import Column, Source

# SQLSTATE -> the code of a rejected record.
CODES = {"22003": "out_of_range", "22008": "out_of_range", "54000": "too_long"}

# What PostgreSQL refuses for some types of numbers, and takes for others, where a rule forbids it.
NOT_FINITE = re.compile(r"\s*[+-]?(?:nan|inf(?:inity)?)\s*", re.IGNORECASE)

# As Arrow writes them: PostgreSQL takes the year for a zone.
BEFORE_YEAR_1 = re.compile(r"\s*-[0-9]+-[0-9]+-[0-9]")

_JUDGE = """
    select position, column_name, verdict.message, verdict.sql_error_code
    from unnest(%s::int[], %s::text[], %s::text[], %s::text[])
        with ordinality as asked (position, column_name, value, type_name, place),
        pg_input_error_info(value, type_name) as verdict
    where verdict.message is not null
    order by place
"""

# Position, column, value and the name of the column's type.
_Asked = tuple[int, str, str, str]


@dataclass(frozen=True)
class Verdict:
    """Why a value is not one of its column.

    Attributes:
        column: the column.
        code: the stable word for the reason.
        reason: the reason in a sentence, with the value.
    """

    column: str
    code: str
    reason: str


def type_verdicts(
    connection: Connection,
    source: Source,
    columns: Sequence[str],
    rows: Mapping[int, Row],
) -> dict[int, list[Verdict]]:
    """PostgreSQL's word on the values that their columns' types do not take.

    And on those that PostgreSQL would take and change (``exact_values``).

    Args:
        connection: any.
        source: whose columns.
        columns: the names of the rows' columns.
        rows: the rows to ask about, by their positions.

    Returns:
        By position, ascending, a verdict for each bad value.
    """
    types = {
        index: (name, source.columns[name].postgres_type)
        for index, name in enumerate(columns)
        if name in source.columns and source.columns[name].data_type != "text"
    }
    asked = [
        (position, name, value, type_name)
        for position, row in sorted(rows.items())
        for index, (name, type_name) in types.items()
        if (value := row[index]) is not None
    ]
    found: dict[int, list[Verdict]] = {}
    for position, column, message, state in ask(connection, _JUDGE, asked, _arrays, _ended):
        verdict = Verdict(column, CODES.get(state, "wrong_type"), f"{column}: {message}.")
        found.setdefault(position, []).append(verdict)
    for position, name, value, _ in asked:
        verdicts = found.get(position, [])
        if name in {each.column for each in verdicts}:
            plainer = _plainer(value, name, source.columns[name])
            if plainer is not None:
                found[position] = [plainer if each.column == name else each for each in verdicts]
            continue
        change = change_of(value, source.columns[name])
        if change is not None:
            verdict = Verdict(name, change.code, f"{name}: {change.reason}")
            found[position] = [*verdicts, verdict]
    return dict(sorted(found.items()))


def _plainer(value: str, name: str, column: Column) -> Verdict | None:
    """The verdict on a refused value where it is known better than PostgreSQL says it."""
    if column.data_type in ("bigint", "decimal", "double") and NOT_FINITE.fullmatch(value):
        return Verdict(name, "not_finite", f"{name}: {value!r} is no finite number.")
    if column.data_type in ("date", "timestamp") and BEFORE_YEAR_1.match(value):
        reason = f"{name}: {value!r} is before the year 1, which is written with BC after it."
        return Verdict(name, "wrong_type", reason)
    return None


def _arrays(asked: Sequence[_Asked]) -> list[list[object]]:
    return [list(values) for values in zip(*asked, strict=True)]


def _ended(asked: _Asked, error: psycopg.Error) -> tuple[int, str, str | None, str | None]:
    return (*asked[:2], error.diag.message_primary, error.sqlstate)


def frozen(record: BadRecord) -> DeliveryError:
    """One bad value refuses the delivery, where the contract freezes types."""
    message = f"Record {record.place.number}: {record.reason}"
    return DeliveryError(
        message,
        where_masked=message,  # its values are masked
        code=record.code,
        record=record.place.number,
        column=record.column,
        remedy="schema_contract freezes data_types: one such value refuses the delivery.",
    )


@dataclass
class Judged:
    """What would become of a batch.

    Attributes:
        numbers: the numbers of the records that would be loaded.
        rows: their values, in the order of ``Judge.columns``.
        bad: the records that would be rejected, those of the batch included; by their numbers.
    """

    numbers: Sequence[int] = ()
    rows: Sequence[Row] = ()
    bad: list[BadRecord] = field(default_factory=list)


class Judge:
    """Judges the records of one file of a source, without loading them.

    Attributes:
        columns: the columns that the file's values would go to.
    """

    def __init__(
        self, connection: Connection, source: Source, names: Sequence[str], file_name: str = ""
    ) -> None:
        """Hold the file's fields against the source's columns.

        Raises:
            DeliveryError: the source does not take a file with these fields.
        """
        mapping = map_columns(names, source)
        self._connection = connection
        self._source = source
        self._preparation = Preparation(source, names, mapping, {}, file_name)
        self.columns = self._preparation.columns

    def judge(self, batch: Batch) -> Judged:
        """What becomes of the records of a batch.

        Raises:
            DeliveryError: a value's type is wrong, and the source refuses the delivery then.
            ConfigError: a rule of the source cannot be applied.
        """
        indexes, rows, bad = self._preparation.rows(batch)
        kept = dict(zip(indexes, rows, strict=True))
        for index, verdicts in self._types(kept).items():
            mended = self._preparation.rescue(kept[index], [each.column for each in verdicts])
            if mended is not None:
                kept[index] = mended
                continue
            first, _ = verdicts[0], kept.pop(index)
            reject = self._preparation.reject
            bad.append(reject(batch, index, first.code, first.column, first.reason))
            if self._source.schema_contract.data_types == "freeze":
                raise frozen(bad[-1])
        positions = list(kept)
        for failure in judge_rows(
            self._connection, self._source, self.columns, list(kept.values())
        ):
            index = positions[failure.number]
            del kept[index]
            bad.append(
                self._preparation.reject(batch, index, failure.code, failure.column, failure.reason)
            )
        return Judged(
            [batch.numbers[index] for index in kept],
            list(kept.values()),
            sorted([*batch.bad, *bad], key=lambda record: record.place.number),
        )

    def _types(self, rows: Mapping[int, Row]) -> dict[int, list[Verdict]]:
        return type_verdicts(self._connection, self._source, self.columns, rows)
