"""The engagement system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.engagement import SOURCE, write_delivery
from sluice.loading.withdrawal import withdraw
from sluice.pipeline import RunReport, load, run_pipeline, transform
from sluice.registry import load_registry
from sluice.settings import Settings
from sluice.transforming.dbt import dbt_environment
from tests.systems.engagement.oracle import Rows, expected_marts

PIPELINE = "engagement"
# Where a mart holds what the oracle cannot know, the load, its file's name takes the place.
MART_QUERIES: Mapping[str, LiteralString] = {
    "dim_users": "select * from gold.dim_users",
    "fct_events": """
        select
            event_id, user_id, event_at, event_date, event_type, transaction_category,
            miles_amount, platform, utm_source, country, loads.file_name
        from gold.fct_events
        inner join ops.loads on fct_events._load_id = loads.load_id
    """,
    "user_growth_daily": "select * from gold.user_growth_daily",
    "user_growth_weekly": "select * from gold.user_growth_weekly",
    "user_growth_monthly": "select * from gold.user_growth_monthly",
    "user_retention": "select * from gold.user_retention",
    "user_interactions": "select * from gold.user_interactions",
}


class Engagement:
    """One instance with the project's own registry and models.

    Attributes:
        files: by name, the files whose content is in bronze, kept for the oracle.
    """

    def __init__(self, settings: Settings, kept: Path) -> None:
        self.settings = settings
        self.files: dict[str, Path] = {}
        self._kept = kept

    def drop(self, name: str, rows: Iterable[str]) -> None:
        """Deliver rows under a name: for the first time, or as a correction."""
        self.keep(name, rows)
        self._land(name, self.files[name])

    def keep(self, name: str, rows: Iterable[str]) -> None:
        """Note rows that come into bronze another way."""
        self.files[name] = self._kept / name
        write_delivery(self.files[name], rows)

    def deliver_again(self, name: str, new_name: str) -> None:
        """Deliver a file's bytes once more, under its own name or another one."""
        self._land(new_name, self.files[name])

    def _land(self, name: str, path: Path) -> None:
        folder = self.settings.landing / SOURCE
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())

    def load(self) -> None:
        """Load what waits, and nothing else."""
        load(self.settings, load_registry(self.settings.project), SOURCE)

    def transform(self) -> None:
        """Build and test the candidate, and do not publish it."""
        transform(self.settings, load_registry(self.settings.project), PIPELINE, "test")

    def withdraw(self, name: str) -> None:
        """Take a file's rows out of bronze."""
        withdraw(self.settings, load_registry(self.settings.project).source(SOURCE), name)
        del self.files[name]

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


def assert_marts_equal_oracle(connection: psycopg.Connection[Any], system: Engagement) -> None:
    found = marts_in_gold(connection)
    for name, rows in expected_marts(system.files).items():
        assert found[name] == in_order(rows), name


def contents(connection: psycopg.Connection[Any], schema: str, table: str) -> Rows:
    """All rows of a table, in order."""
    query = SQL("select * from {}").format(Identifier(schema, table))
    return in_order(connection.execute(query).fetchall())


def places(connection: psycopg.Connection[Any], schema: str, table: str) -> set[tuple[Any, ...]]:
    """Where the table keeps the rows of each load: a row that is written anew moves."""
    query = SQL("select _load_id, ctid::text from {}").format(Identifier(schema, table))
    return set(connection.execute(query).fetchall())


def in_order(rows: Rows) -> Rows:
    """By the values' text, as nulls have no order."""
    return sorted(rows, key=lambda row: tuple(map(str, row)))
