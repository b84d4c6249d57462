"""The attribution system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.attribution import write_delivery
from sluice.loading.withdrawal import withdraw
from sluice.pipeline import RunReport, run_pipeline
from sluice.registry import load_registry
from sluice.settings import Settings
from sluice.transforming.dbt import dbt_environment
from tests.systems.attribution.attribution_oracle import Rows, expected_marts

PIPELINE = "attribution"
# Where a mart holds what the oracle cannot know, the load, its file's name takes the place.
MART_QUERIES: Mapping[str, LiteralString] = {
    "dim_channel": "select channel_id, channel, priority, window_hours from gold.dim_channel",
    "dim_user": "select * from gold.dim_user",
    "fct_sessions": """
        select
            session_id, user_id, channel_id, fct_sessions.started_at, started_date, medium,
            is_paid, loads.file_name
        from gold.fct_sessions
        inner join ops.loads on fct_sessions._load_id = loads.load_id
    """,
    "fct_registrations": "select * from gold.fct_registrations",
    "channel_attribution": "select * from gold.channel_attribution",
}
# What a build changes in place, without what is beside the tables to know how.
INCREMENTAL = (
    ("silver", "stg_sessions"),
    ("silver", "stg_conversions"),
    ("silver", "int_repeated_sessions"),
    ("silver", "int_repeated_registrations"),
    ("gold_audit", "dim_user"),
    ("gold_audit", "fct_sessions"),
    ("gold_audit", "fct_registrations"),
)


class Attribution:
    """One instance with the project's own registry and models.

    Attributes:
        files: by path below the landing zone, the files whose content is in bronze, kept for the
            oracle.
    """

    def __init__(self, settings: Settings, kept: Path) -> None:
        self.settings = settings
        self.files: dict[str, Path] = {}
        self._kept = kept

    def drop(self, path: str, rows: Iterable[str]) -> None:
        """Deliver rows under a path: for the first time, or as a correction."""
        self.files[path] = self._kept / path
        write_delivery(self.files[path], rows)
        self.deliver_again(path, path)

    def deliver_again(self, path: str, new_path: str) -> None:
        """Deliver a file's bytes once more, under its own path or another one."""
        landed = self.settings.landing / new_path
        landed.parent.mkdir(parents=True, exist_ok=True)
        landed.write_bytes(self.files[path].read_bytes())

    def withdraw(self, path: str) -> None:
        """Take a file's rows out of bronze."""
        source_name, _, name = path.partition("/")
        source = load_registry(self.settings.project).source(source_name)
        withdraw(self.settings, source, name)
        del self.files[path]

    def run(self, *, full_refresh: bool = False) -> RunReport:
        """One whole run; it must find nothing wrong."""
        report = self.try_run(full_refresh=full_refresh)
        assert not report.errors, "\n".join(map(str, report.errors))
        assert report.publication is not None
        return report

    def try_run(self, *, full_refresh: bool = False) -> RunReport:
        """One whole run, whatever comes of it."""
        registry = load_registry(self.settings.project)
        return run_pipeline(self.settings, registry, PIPELINE, "test", full_refresh=full_refresh)

    def dbt_command(self, *arguments: str) -> Any:
        """Run a dbt command in the instance's target folder, as the transformer.

        Returns:
            dbt's outcome: ``success``, ``result``, ``exception``.
        """
        from dbt.cli.main import dbtRunner

        target = self.settings.home / "dbt" / PIPELINE
        folders = ["--project-dir", str(self.settings.dbt)]
        folders += ["--profiles-dir", str(self.settings.dbt)]
        folders += ["--target-path", str(target / "target"), "--log-path", str(target / "logs")]
        with variables(dbt_environment(self.settings)):
            return dbtRunner().invoke(["--quiet", *arguments, *folders])


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def marts_in_gold(connection: psycopg.Connection[Any]) -> dict[str, Rows]:
    """Every mart's rows as the oracle gives them; the connection may read gold and ops."""
    connection.execute("set timezone = 'UTC'")
    return {
        name: in_order(connection.execute(query).fetchall()) for name, query in MART_QUERIES.items()
    }


def assert_marts_equal_oracle(connection: psycopg.Connection[Any], system: Attribution) -> None:
    found = marts_in_gold(connection)
    for name, rows in expected_marts(system.files).items():
        expected = in_order(rows)
        if found[name] != expected:
            surplus, missing = set(found[name]) - set(expected), set(expected) - set(found[name])
            raise AssertionError(f"{name}: {list(surplus)[:3]} instead of {list(missing)[:3]}")


def contents(connection: psycopg.Connection[Any], schema: str, table: str) -> Rows:
    """All rows of a table, in order."""
    query = SQL("select * from {}").format(Identifier(schema, table))
    return in_order(connection.execute(query).fetchall())


def places(connection: psycopg.Connection[Any], table: str, key: str) -> dict[Any, str]:
    """Where a candidate keeps its rows, by a column: a row that is written anew moves."""
    query = SQL("select {}, ctid::text from {}").format(
        Identifier(key), Identifier("gold_audit", table)
    )
    return dict(connection.execute(query).fetchall())


def in_order(rows: Rows) -> Rows:
    """By the values' text, as nulls have no order."""
    return sorted(rows, key=lambda row: tuple(map(str, row)))
