"""The three pipelines of commission on one instance: deliveries in, runs, what the marts hold."""

from __future__ import annotations

from typing import Any, ClassVar

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.affiliate import HEADERS, Delivery
from tests.systems.affiliate.affiliate_oracle import expected_marts
from tests.systems.instance import Rows, SystemInstance

PIPELINES = ("web_traffic", "scrapers", "combined")
REPLACED = ("deals", "voluum_mapper", "central_mapping")
MARTS = tuple(
    f"{pipeline}_commission_{period}" for pipeline in PIPELINES for period in ("daily", "monthly")
)


class Affiliate(SystemInstance):
    """One instance with the system's part of the project."""

    pipelines = PIPELINES
    folders = ("models/silver/affiliate",)
    mart_queries: ClassVar = {mart: f"select * from gold.{mart}" for mart in MARTS}
    incremental = tuple(
        ("silver", table)
        for table in (
            "stg_routy",
            "stg_manual",
            "stg_voluum",
            "stg_scrapers",
            "int_web_traffic_days_by_file",
            "int_scrapers_days_by_file",
            "int_web_traffic_commission",
            "int_scrapers_totals",
        )
    )

    def expected_marts(self) -> dict[str, Rows]:
        return expected_marts(self.files)

    def drop(self, delivery: Delivery) -> None:
        """Deliver: for the first time, or as a correction."""
        if delivery.source in REPLACED:
            self.files = {
                path: kept
                for path, kept in self.files.items()
                if self.place(path)[0] != delivery.source
            }
        self.deliver(f"{delivery.source}/{delivery.file_name}", delivery.to_bytes())

    def drop_lines(self, source: str, name: str, *lines: str) -> None:
        """Deliver records with all columns of the source, written as CSV without quotes."""
        records = tuple(tuple(line.split(",")) for line in lines)
        self.drop(Delivery(source, name, HEADERS[source], records))


def commission(connection: psycopg.Connection[Any], mart: str) -> dict[tuple[str, str], float]:
    """The commission of a mart by its key, for figures worked out by hand."""
    keys = "marketing_source, date" if mart.endswith("daily") else "operator, month"
    query = SQL(f"select {keys}, commission from {{}}").format(Identifier("gold", mart))  # type: ignore[arg-type]
    return {(name, str(day)): float(value) for name, day, value in connection.execute(query)}
