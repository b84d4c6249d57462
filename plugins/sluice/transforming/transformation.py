"""One transformation: the pending loads frozen, dbt's build, every result in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from sluice.errors import ConfigError, SluiceError, TransformError
from sluice.registry import Pipeline
from sluice.settings import Settings
from sluice.transforming import dbt
from sluice.transforming.results import keep_failing_rows
from sluice.warehouse.connections import advisory_key, connect
from sluice.warehouse.failures import retriable_failures

logger = logging.getLogger(__name__)


def pending_loads(connection: Connection, pipeline: Pipeline) -> list[int]:
    """The loads of the pipeline's sources that its published gold does not contain yet.

    A withdrawal is one as well: gold contains it when the file's rows have left.
    """
    rows = connection.execute(
        """
        select load_id from ops.loads
        where source = any(%s) and outcome in ('loaded', 'withdrawn')
            and not exists (
                select from ops.published_loads
                where published_loads.pipeline = %s and published_loads.load_id = loads.load_id
            )
        order by load_id
        """,
        (list(pipeline.sources), pipeline.name),
    )
    return [load_id for (load_id,) in rows]


def pending_publications(connection: Connection, pipeline: Pipeline) -> list[int]:
    """The publications of the pipelines that it reads which its published gold does not contain.

    Gold contains those from before its build began: a build keeps the marts that it reads from
    being published until it has ended.
    """
    rows = connection.execute(
        """
        select publication_id from ops.publications
        where pipeline = any(%s) and published_at > coalesce(
            (
                select transformations.started_at
                from ops.publications as own
                inner join ops.transformations using (transformation_id)
                where own.pipeline = %s
                order by own.publication_id desc
                limit 1
            ),
            '-infinity'
        )
        order by publication_id
        """,
        (list(pipeline.reads), pipeline.name),
    )
    return [publication_id for (publication_id,) in rows]


def transform(
    settings: Settings, pipeline: Pipeline, run_id: str, *, full_refresh: bool = False
) -> int:
    """Build and test the pipeline's candidate in ``gold_audit``.

    No two builds that write the same model run at once, and none runs while it is published. The
    marts of other pipelines that it reads are not published meanwhile: all that it builds is made
    from one state of them.

    Args:
        settings: the instance.
        pipeline: what to build.
        run_id: whose run it is; kept for those who look.
        full_refresh: whether incremental models are built anew.

    Returns:
        The id of the transformation, which ``publish`` takes.

    Raises:
        TransformError: a model failed, or a test of severity ``error``; gold is as it was.
        ConfigError: the dbt project cannot be parsed, or does not fit; that is recorded as well.
        RetriableError: the warehouse went away, or another build holds a model for too long.
    """
    try:
        with dbt.parsed(settings, pipeline.name) as project:
            transformation_id, results = _build(settings, pipeline, project, run_id, full_refresh)
    except ConfigError as error:  # whatever goes wrong later is recorded by the build itself
        _record_unbuilt(settings, pipeline, run_id, error.message)
        raise
    for result in results:
        logger.info("%s: %s in %.2f s", result.unique_id, result.status, result.execution_seconds)
        if result.status == "warn":
            logger.warning("%s: %s", result.unique_id, result.message)
    if failures := [result for result in results if result.is_failure]:
        raise TransformError(
            failure_message(pipeline.name, failures),
            f"Gold is as it was. dbt's log: {dbt.log_folder(settings, pipeline.name) / 'dbt.log'}",
        )
    return transformation_id


def _build(
    settings: Settings, pipeline: Pipeline, project: dbt.Project, run_id: str, full_refresh: bool
) -> tuple[int, list[dbt.NodeResult]]:
    """Build under the models' locks, and record what came of it."""
    marts = project.marts()
    project.check_files_of()
    locks = dict.fromkeys(project.marts_read(pipeline.reads), "pg_advisory_lock_shared")
    locks |= dict.fromkeys(project.models_built(), "pg_advisory_lock")
    application = f"sluice transform {pipeline.name}"
    busy = f"Another run is building models of pipeline {pipeline.name}."
    with (
        retriable_failures(f"{pipeline.name} was transformed", lock=busy),
        connect(
            settings, "transformer", application_name=application, autocommit=True
        ) as connection,
    ):
        for model, lock in sorted(locks.items()):  # every run takes its locks in this order
            take = SQL("select {}(%s)").format(Identifier(lock))
            connection.execute(take, (advisory_key("model", model),))
        _refuse_taken_models(connection, project)
        transformation_id = _begin(connection, pipeline, run_id, marts)
        try:
            results = dbt.build(settings, project, full_refresh=full_refresh)
        except SluiceError as error:
            _end(connection, transformation_id, "failed", error.message, [])
            raise
        failures = [result for result in results if result.is_failure]
        error_message = failure_message(pipeline.name, failures) if failures else None
        status = "failed" if failures else "passed"
        _end(connection, transformation_id, status, error_message, results)
        keep_failing_rows(connection, transformation_id, results)
    return transformation_id, results


def _record_unbuilt(settings: Settings, pipeline: Pipeline, run_id: str, message: str) -> None:
    """Record that dbt could not begin, for those who did not see the run's own message.

    Without marts, which tells it from a build that has written over a candidate.
    """
    application = f"sluice transform {pipeline.name}"
    try:
        with connect(settings, "transformer", application_name=application) as connection:
            transformation_id = _begin(connection, pipeline, run_id, [])
            _end(connection, transformation_id, "failed", message, [])
    except (SluiceError, psycopg.Error) as error:  # what is wrong is said by who asked for the run
        logger.warning("%s: its failure could not be recorded: %s", pipeline.name, error)


def _refuse_taken_models(connection: Connection, project: dbt.Project) -> None:
    """Of two models of one name, each left out for the other, only one may write the table."""
    names = project.left_out.intersection(project.models_built())
    if not names:
        return
    row = connection.execute(
        """
        select name, built.pipeline
        from unnest(%s::text[]) as given (name)
        cross join lateral (
            select pipeline
            from ops.node_results
            inner join ops.transformations using (transformation_id)
            where split_part(unique_id, '.', 3) = name
                and resource_type = 'model' and node_results.status = 'success'
            order by transformation_id desc limit 1
        ) as built
        where built.pipeline <> %s
        order by name limit 1
        """,
        (sorted(names), project.pipeline),
    ).fetchone()
    if row:
        raise ConfigError(
            f"Pipeline {project.pipeline} has a model {row[0]}, and so has {row[1]}, which has"
            " built it: both would write one table.",
            f"Give the model another name: {project.pipeline}'s, as {row[1]} goes on with its own.",
        )


def failure_message(pipeline: str, failures: Sequence[dbt.NodeResult]) -> str:
    """What failed in a build, a line for each node."""
    lines = []
    for result in failures:
        kind, _, name = result.unique_id.partition(".")
        message = " ".join((result.message or result.status).split())
        lines.append(f"{kind} {name.partition('.')[2]}: {message}")
    return f"Pipeline {pipeline} was not published:\n  " + "\n  ".join(lines)


def _begin(
    connection: Connection, pipeline: Pipeline, run_id: str, marts: Sequence[dbt.Mart]
) -> int:
    row = connection.execute(
        """
        insert into ops.transformations (pipeline, run_id, loads, marts)
        values (%s, %s, %s, %s)
        returning transformation_id
        """,
        (
            pipeline.name,
            run_id,
            pending_loads(connection, pipeline),
            Jsonb([asdict(mart) for mart in marts]),
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def _end(
    connection: Connection,
    transformation_id: int,
    status: str,
    message: str | None,
    results: Sequence[dbt.NodeResult],
) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.node_results (
                transformation_id, unique_id, resource_type, status, failures, rows_affected,
                message, execution_seconds
            ) values (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    transformation_id,
                    result.unique_id,
                    result.resource_type,
                    result.status,
                    result.failures,
                    result.rows_affected,
                    result.message,
                    result.execution_seconds,
                )
                for result in results
            ],
        )
        cursor.execute(
            """
            update ops.transformations
            set status = %s, message = %s, ended_at = clock_timestamp()
            where transformation_id = %s
            """,
            (status, message, transformation_id),
        )
