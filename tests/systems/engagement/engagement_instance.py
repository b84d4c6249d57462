"""The engagement system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.engagement import HEADER, SOURCE
from tests.systems.engagement.oracle import expected_marts
from tests.systems.instance import Rows, SystemInstance, csv_file


class Engagement(SystemInstance):
    """One instance with the system's part of the project.

    It has one source, so a delivery's path is its name.
    """

    pipelines = ("engagement",)
    mart_queries: ClassVar = {
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
    incremental = (
        ("silver", "stg_event_stream"),
        ("silver", "int_user_days_by_file"),
        ("silver", "int_interactions_by_file"),
        ("silver", "int_user_periods"),
        ("silver", "int_activity"),
        ("silver", "int_user_returns"),
        ("silver", "int_cohorts"),
        ("gold_audit", "fct_events"),
        ("gold_audit", "dim_users"),
    )

    def expected_marts(self) -> dict[str, Rows]:
        return expected_marts(self.files)

    def place(self, path: str) -> tuple[str, str]:
        return SOURCE, path

    def drop(self, name: str, rows: Iterable[str]) -> None:
        """Deliver rows under a name: for the first time, or as a correction."""
        self.deliver(name, csv_file(HEADER, rows))


def places(connection: psycopg.Connection[Any], schema: str, table: str) -> set[tuple[Any, ...]]:
    """Where the table keeps the rows of each load: a row that is written anew moves."""
    query = SQL("select _load_id, ctid::text from {}").format(Identifier(schema, table))
    return set(connection.execute(query).fetchall())
