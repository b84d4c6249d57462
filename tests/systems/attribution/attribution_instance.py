"""The attribution system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.attribution import HEADERS
from tests.systems.attribution.attribution_oracle import expected_marts
from tests.systems.instance import Rows, SystemInstance, csv_file


class Attribution(SystemInstance):
    """One instance with the system's part of the project."""

    pipelines = ("attribution",)
    folders = ("seeds/attribution", "tests/attribution")
    mart_queries: ClassVar = {
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
    # Without what is beside the tables to know how.
    incremental = (
        ("silver", "stg_sessions"),
        ("silver", "stg_conversions"),
        ("silver", "int_repeated_sessions"),
        ("silver", "int_repeated_registrations"),
        ("gold_audit", "dim_user"),
        ("gold_audit", "fct_sessions"),
        ("gold_audit", "fct_registrations"),
    )

    def expected_marts(self) -> dict[str, Rows]:
        return expected_marts(self.files)

    def drop(self, path: str, rows: Iterable[str]) -> None:
        """Deliver rows under a path: for the first time, or as a correction."""
        self.deliver(path, csv_file(HEADERS[self.place(path)[0]], rows))


def places(connection: psycopg.Connection[Any], table: str, key: str) -> dict[Any, str]:
    """Where a candidate keeps its rows, by a column: a row that is written anew moves."""
    query = SQL("select {}, ctid::text from {}").format(
        Identifier(key), Identifier("gold_audit", table)
    )
    return dict(connection.execute(query).fetchall())
