"""Publications that wait for a person: what they would change, and what was decided.

A publication that exceeds the limits of its pipeline is made and rolled back: so its difference is
exactly what it would change. It is made again once it is approved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from sluice.errors import ConfigError, TransformError
from sluice.publishing.changes import MartChange
from sluice.registry.schedule import ApproveWhen

Decision = Literal["approved", "refused"]

# Of a row of ops.transformations: dbt could begin, so it has written over the candidate before.
HAS_BUILT = "(status <> 'failed' or marts <> '[]')"

_HELD = """
    select transformation_id, pipeline, marts, reasons, held_at, decision, decided_by, decided_at
    from ops.held_publications
    where transformation_id = %s
"""


@dataclass(frozen=True)
class Difference:
    """What a held publication would change in one mart.

    Attributes:
        mart: its name.
        rows_before: how many rows it has as published; None before its first publication.
        rows_inserted: how many would come.
        rows_updated: how many would change.
        rows_deleted: how many would go.
        schema_changes: what would become of its columns and its key, in words.
    """

    mart: str
    rows_before: int | None
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    schema_changes: Sequence[str] = ()

    @property
    def rows_changed(self) -> int:
        """Inserted, updated and deleted together."""
        return self.rows_inserted + self.rows_updated + self.rows_deleted


@dataclass(frozen=True)
class HeldPublication:
    """A tested candidate that a person has, or had, to approve.

    Attributes:
        transformation_id: the build that made it.
        pipeline: whose.
        marts: what it would change.
        reasons: which limits it exceeds, in words.
        held_at: since when.
        decision: None as long as nobody has decided.
        decided_by: who has.
        decided_at: when.
    """

    transformation_id: int
    pipeline: str
    marts: Sequence[Difference]
    reasons: Sequence[str]
    held_at: datetime
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


def rows_published(connection: Connection, marts: Sequence[str]) -> dict[str, int | None]:
    """How many rows each mart has as published; None where there is no such table."""
    found: dict[str, int | None] = {}
    for mart in marts:
        there = connection.execute("select to_regclass(%s)", (f'gold."{mart}"',)).fetchone()
        found[mart] = None
        if there and there[0]:
            query = SQL("select count(*) from {}").format(Identifier("gold", mart))
            row = connection.execute(query).fetchone()
            found[mart] = row[0] if row else 0
    return found


def differences(
    changes: Sequence[MartChange], before: Mapping[str, int | None]
) -> list[Difference]:
    """What changes, beside what was there."""
    return [
        Difference(
            change.mart,
            before[change.mart],
            change.rows_inserted,
            change.rows_updated,
            change.rows_deleted,
            change.schema_changes,
        )
        for change in changes
    ]


def exceeded(approve_when: ApproveWhen, marts: Sequence[Difference]) -> list[str]:
    """Which limits the differences exceed, in words; none are held against a new mart."""
    reasons = []
    for difference in marts:
        if difference.rows_before is None:
            continue
        for name, limit in approve_when.limits().items():
            rows = getattr(difference, name)
            if limit is not None and rows > _in_rows(limit, difference.rows_before):
                what = name.removeprefix("rows_")
                reasons.append(
                    f"{difference.mart}: {rows:,} of {difference.rows_before:,} rows {what},"
                    f" more than {limit}"
                )
    return reasons


def _in_rows(limit: int | str, rows_before: int) -> float:
    """A limit as a count; a percentage of nothing is not exceeded."""
    if isinstance(limit, int):
        return limit
    return float(limit.rstrip("%")) / 100 * rows_before if rows_before else float("inf")


def hold(
    connection: Connection,
    pipeline: str,
    transformation_id: int,
    marts: Sequence[Difference],
    reasons: Sequence[str],
) -> None:
    """Record that a publication waits; once more where it was recorded before."""
    connection.execute(
        """
        insert into ops.held_publications (transformation_id, pipeline, marts, reasons)
        values (%s, %s, %s, %s)
        on conflict (transformation_id) do update
        set marts = excluded.marts, reasons = excluded.reasons
        """,
        (transformation_id, pipeline, Jsonb([asdict(mart) for mart in marts]), list(reasons)),
    )


def find_held(connection: Connection, transformation_id: int) -> HeldPublication | None:
    """What was recorded of a build; None where its publication was never held."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_HELD, (transformation_id,)).fetchone()
    if row is None:
        return None
    marts = [Difference(**mart) for mart in row.pop("marts")]
    return HeldPublication(marts=marts, **row)


def waiting_publication(connection: Connection, pipeline: str) -> HeldPublication | None:
    """The publication of a pipeline that waits for a decision, if one does."""
    newest = connection.execute(
        "select max(transformation_id) from ops.transformations"  # noqa: S608
        f" where pipeline = %s and {HAS_BUILT}",
        (pipeline,),
    ).fetchone()
    held = find_held(connection, newest[0]) if newest and newest[0] else None
    return held if held and held.decision is None else None


def decide(
    connection: Connection, held: HeldPublication, decision: Decision, decided_by: str
) -> HeldPublication:
    """Record what a person has decided of a publication that waits.

    Raises:
        ConfigError: it does not wait any more.
    """
    row = connection.execute(
        """
        update ops.held_publications
        set decision = %s, decided_by = %s, decided_at = clock_timestamp()
        where transformation_id = %s and decision is null
        returning decided_at
        """,
        (decision, decided_by, held.transformation_id),
    ).fetchone()
    if row is None:
        raise ConfigError(
            f"Somebody else has decided on the publication of pipeline {held.pipeline} meanwhile.",
            "What came of it: ./sluice status",
        )
    return replace(held, decision=decision, decided_by=decided_by, decided_at=row[0])


def refused_error(held: HeldPublication) -> TransformError:
    """The error for a publication that a person does not want."""
    return TransformError(
        f"{held.decided_by} has refused the publication of pipeline {held.pipeline}. Gold is as it"
        " was.",
        "The loads stay pending: withdraw or correct what is wrong, then run the pipeline again.",
    )
