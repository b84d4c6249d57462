"""The three pipelines of commission on one instance: deliveries in, runs, what the marts hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.affiliate import HEADERS, Delivery, write_delivery
from sluice.pipeline import RunReport, run_pipeline
from sluice.registry import load_registry
from sluice.settings import Settings
from tests.systems.affiliate.affiliate_oracle import Rows, expected_marts

PIPELINES = ("web_traffic", "scrapers", "combined")
MODEL_FOLDERS = (
    "models/silver/affiliate",
    "models/silver/web_traffic",
    "models/silver/scrapers",
    "models/gold/web_traffic",
    "models/gold/scrapers",
    "models/gold/combined",
)
REPLACED = ("deals", "voluum_mapper", "central_mapping")
MARTS = tuple(
    f"{pipeline}_commission_{period}" for pipeline in PIPELINES for period in ("daily", "monthly")
)
INCREMENTAL = (
    "stg_routy",
    "stg_manual",
    "stg_voluum",
    "stg_scrapers",
    "int_web_traffic_days_by_file",
    "int_scrapers_days_by_file",
    "int_web_traffic_commission",
    "int_scrapers_totals",
)


class Affiliate:
    """One instance with the system's part of the project's registry and models.

    Attributes:
        files: by source and name, the bytes that count, kept for the oracle.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.files: dict[tuple[str, str], bytes] = {}

    def drop(self, delivery: Delivery) -> None:
        """Deliver: for the first time, or as a correction."""
        write_delivery(self.settings.landing, delivery)
        if delivery.source in REPLACED:
            self.files = {
                place: data for place, data in self.files.items() if place[0] != delivery.source
            }
        self.files[delivery.source, delivery.file_name] = delivery.to_bytes()

    def drop_lines(self, source: str, name: str, *lines: str) -> None:
        """Deliver records with all columns of the source, written as CSV without quotes."""
        records = tuple(tuple(line.split(",")) for line in lines)
        self.drop(Delivery(source, name, HEADERS[source], records))

    def deliver_again(self, delivery: Delivery, new_name: str) -> None:
        """Deliver a file's bytes once more, under its own name or another one."""
        folder = self.settings.landing / delivery.source
        folder.mkdir(parents=True, exist_ok=True)
        (folder / new_name).write_bytes(delivery.to_bytes())

    def run(self, *pipelines: str, full_refresh: bool = False) -> dict[str, RunReport]:
        """A whole run of each; none may find anything wrong."""
        registry = load_registry(self.settings.project)
        reports = {}
        for pipeline in pipelines or PIPELINES:
            report = run_pipeline(
                self.settings, registry, pipeline, "test", full_refresh=full_refresh
            )
            assert not report.errors, "\n".join(map(str, report.errors))
            assert report.publication is not None
            reports[pipeline] = report
        return reports


def contents(connection: psycopg.Connection[Any], schema: str, table: str) -> Rows:
    """All rows of a table, in order."""
    query = SQL("select * from {}").format(Identifier(schema, table))
    return in_order(connection.execute(query).fetchall())


def assert_marts_equal_oracle(connection: psycopg.Connection[Any], system: Affiliate) -> None:
    for name, rows in expected_marts(system.files).items():
        assert contents(connection, "gold", name) == in_order(rows), name


def commission(connection: psycopg.Connection[Any], mart: str) -> dict[tuple[str, str], float]:
    """The commission of a mart by its key, for figures worked out by hand."""
    keys = "marketing_source, date" if mart.endswith("daily") else "operator, month"
    query = SQL(f"select {keys}, commission from {{}}").format(Identifier("gold", mart))  # type: ignore[arg-type]
    return {(name, str(day)): float(value) for name, day, value in connection.execute(query)}


def warnings(connection: psycopg.Connection[Any]) -> set[str]:
    """The tests that warn in the newest build of each pipeline."""
    query = """
        select unique_id from ops.node_results
        where status = 'warn' and transformation_id in (
            select max(transformation_id) from ops.transformations group by pipeline
        )
    """
    return {unique_id.split(".")[2] for (unique_id,) in connection.execute(query)}


def in_order(rows: Sequence[tuple[Any, ...]]) -> Rows:
    return sorted(rows, key=lambda row: tuple(map(str, row)))
