"""What tests found: those that warn, and the rows that a test found wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import Connection
from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Literal

from sluice.transforming.dbt import NodeResult

logger = logging.getLogger(__name__)

# Enough to see what is wrong; their number is in ops.node_results.
ROWS_KEPT = 100
# A longer row is kept as its length.
_LONGEST_ROW_BYTES = 100_000
# A look at what a test found is no reason to keep a build waiting.
_LONGEST_QUERY = "30s"

_KEEP = """
insert into ops.failing_rows (transformation_id, unique_id, row_number, failing_row)
select
    {transformation_id}, {unique_id}, row_number() over (),
    case
        when octet_length(failing_row::text) <= {longest} then failing_row
        else jsonb_build_object('bytes', octet_length(failing_row::text))
    end
from (select to_jsonb(failing) as failing_row from (
"""
_KEEP_END = """
) as failing limit {rows}) as failing_rows
"""


@dataclass(frozen=True)
class TestWarning:
    """A test of severity ``warn`` that found something; gold was published all the same.

    Attributes:
        unique_id: dbt's name of the test.
        failures: how many rows, or whatever else it counts, it found.
        message: dbt's words.
        rows_kept: how many of the rows are in ``ops.failing_rows``.
    """

    __test__ = False  # not one of pytest's

    unique_id: str
    failures: int | None
    message: str | None
    rows_kept: int

    @property
    def name(self) -> str:
        """The test's own name, without dbt's hash."""
        return self.unique_id.split(".")[2]


def warned_tests(connection: Connection, transformation_id: int) -> list[TestWarning]:
    """The tests that warned in a build, by name.

    Args:
        connection: of a role that reads schema ops.
        transformation_id: the build.
    """
    with connection.cursor(row_factory=class_row(TestWarning)) as cursor:
        return cursor.execute(
            """
            select unique_id, failures, message, (
                select count(*) from ops.failing_rows
                where failing_rows.transformation_id = node_results.transformation_id
                    and failing_rows.unique_id = node_results.unique_id
            ) as rows_kept
            from ops.node_results
            where transformation_id = %s and status = 'warn'
            order by unique_id
            """,
            (transformation_id,),
        ).fetchall()


def keep_failing_rows(
    connection: Connection, transformation_id: int, results: Sequence[NodeResult]
) -> None:
    """Keep the first rows of each test that warned or failed; those of earlier builds go.

    Those that a build of another pipeline found stay: a test of shared models is in several.

    Args:
        connection: the transformer's, in autocommit, while nobody else builds the models.
        transformation_id: the build, whose results are recorded.
        results: what dbt said.
    """
    for result in results:
        if result.resource_type == "test" and result.status in ("warn", "fail"):
            try:
                with connection.transaction():
                    _keep(connection, transformation_id, result)
            except psycopg.Error as error:  # the result itself is recorded already
                logger.warning("%s: its rows could not be kept: %s", result.unique_id, error)


def _keep(connection: Connection, transformation_id: int, result: NodeResult) -> None:
    connection.execute(
        """
        delete from ops.failing_rows
        using ops.transformations
        where failing_rows.unique_id = %s
            and transformations.transformation_id = failing_rows.transformation_id
            and transformations.pipeline = (
                select pipeline from ops.transformations where transformation_id = %s
            )
        """,
        (result.unique_id, transformation_id),
    )
    if not result.compiled_code:
        return
    connection.execute(SQL("set local statement_timeout = {}").format(Literal(_LONGEST_QUERY)))
    # The test's own query, as dbt has just run it: of the project, and written as it stands.
    query = SQL(cast("Any", result.compiled_code.rstrip().removesuffix(";")))
    begin = SQL(_KEEP).format(
        transformation_id=Literal(transformation_id),
        unique_id=Literal(result.unique_id),
        longest=Literal(_LONGEST_ROW_BYTES),
    )
    connection.execute(Composed([begin, query, SQL(_KEEP_END).format(rows=Literal(ROWS_KEPT))]))
