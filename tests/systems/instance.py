"""A reference system on one instance: deliveries in, runs, and what its tables hold."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, LiteralString

import psycopg
import pytest
import yaml
from psycopg.sql import SQL, Identifier

from sluice.loading.withdrawal import withdraw
from sluice.pipeline import RunReport, load, run_pipeline, transform
from sluice.registry import load_registry
from sluice.settings import PROJECT, Settings
from sluice.transforming.dbt import dbt_environment
from tests.shop_project import reuse_parse

Rows = list[tuple[Any, ...]]

# What every system's part of the dbt project needs.
SHARED_FOLDERS = ("macros", "tests/generic", "models/bronze", "models/ops")


class SystemInstance(ABC):
    """One instance with a system's part of the project: its registry entries and models.

    A system says what is its own in the class, and how its oracle computes the marts.

    Attributes:
        pipelines: its pipelines, in the order of a whole run.
        folders: below ``dbt/``, what the system has beside ``models/{silver,gold}/<pipeline>``.
        mart_queries: by mart, its rows as the oracle gives them. Where a mart holds what the oracle
            cannot know, such as the load, its file's name takes the place.
        incremental: schema and name of the tables that a build changes in place.
        settings: the instance.
        files: by path below the landing zone, such as ``orders/a.csv``, the files whose content is
            in bronze, kept for the oracle.
    """

    pipelines: ClassVar[tuple[str, ...]]
    folders: ClassVar[tuple[str, ...]] = ()
    mart_queries: ClassVar[Mapping[str, LiteralString]]
    incremental: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, settings: Settings, kept: Path) -> None:
        """Copy the system's part of the project into the instance's.

        The other systems' models are left out: they would be parsed before each build.
        """
        self.settings = settings
        self.files: dict[str, Path] = {}
        self._kept = kept
        for pipeline in self.pipelines:
            entry = PROJECT / "registry" / "pipelines" / f"{pipeline}.yml"
            shutil.copy(entry, settings.registry / "pipelines")
            for source in yaml.safe_load(entry.read_text()).get("sources", ()):
                entry = PROJECT / "registry" / "sources" / f"{source}.yml"
                shutil.copy(entry, settings.registry / "sources")
        for name in ("dbt_project.yml", "profiles.yml"):
            shutil.copy(PROJECT / "dbt" / name, settings.dbt / name)
        for folder in (*SHARED_FOLDERS, *self.model_folders()):
            shutil.copytree(PROJECT / "dbt" / folder, settings.dbt / folder, dirs_exist_ok=True)
        reuse_parse(settings, *self.pipelines)

    @classmethod
    def model_folders(cls) -> list[str]:
        """Below ``dbt/``, the folders that are the system's own."""
        own = [
            f"models/{layer}/{pipeline}"
            for pipeline in cls.pipelines
            for layer in ("silver", "gold")
        ]
        return [folder for folder in own if (PROJECT / "dbt" / folder).exists()] + [*cls.folders]

    @abstractmethod
    def expected_marts(self) -> dict[str, Rows]:
        """The marts by the system's oracle, from ``files``."""

    def place(self, path: str) -> tuple[str, str]:
        """The source and the name of the delivery under a path."""
        source, _, name = path.partition("/")
        return source, name

    def deliver(self, path: str, content: bytes) -> None:
        """Deliver a file: for the first time, or as a correction."""
        self.keep(path, content)
        self.deliver_again(path, path)

    def keep(self, path: str, content: bytes) -> None:
        """Note what counts under a path, for the oracle."""
        self.files[path] = self._kept / path
        self.files[path].parent.mkdir(parents=True, exist_ok=True)
        self.files[path].write_bytes(content)

    def deliver_again(self, path: str, new_path: str) -> None:
        """Deliver a file's bytes once more, under its own path or another one."""
        source, name = self.place(new_path)
        landed = self.settings.landing / source / name
        landed.parent.mkdir(parents=True, exist_ok=True)
        landed.write_bytes(self.files[path].read_bytes())

    def withdraw(self, path: str) -> None:
        """Take a file's rows out of bronze."""
        source, name = self.place(path)
        withdraw(self.settings, load_registry(self.settings.project).source(source), name)
        del self.files[path]

    def load(self, source: str) -> None:
        """Load what waits for a source, and nothing else."""
        load(self.settings, load_registry(self.settings.project), source)

    def transform(self, pipeline: str = "") -> None:
        """Build and test the candidate, and do not publish it."""
        registry = load_registry(self.settings.project)
        transform(self.settings, registry, pipeline or self.pipelines[0], "test")

    def run(self, *pipelines: str, full_refresh: bool = False) -> RunReport:
        """A whole run of each pipeline, or of all; it must find nothing wrong.

        Returns:
            The last one's report.
        """
        for pipeline in pipelines or self.pipelines:
            report = self.try_run(pipeline, full_refresh=full_refresh)
            assert not report.errors, "\n".join(map(str, report.errors))
            assert report.publication is not None
        return report

    def try_run(self, pipeline: str = "", *, full_refresh: bool = False) -> RunReport:
        """One whole run, whatever comes of it."""
        return run_pipeline(
            self.settings,
            load_registry(self.settings.project),
            pipeline or self.pipelines[0],
            "test",
            full_refresh=full_refresh,
        )

    def dbt_command(self, *arguments: str) -> Any:
        """Run a dbt command in the first pipeline's target folder, as the transformer.

        Returns:
            dbt's outcome: ``success``, ``result``, ``exception``.
        """
        from dbt.cli.main import dbtRunner

        target = self.settings.home / "dbt" / self.pipelines[0]
        folders = ["--project-dir", str(self.settings.dbt)]
        folders += ["--profiles-dir", str(self.settings.dbt)]
        folders += ["--target-path", str(target / "target"), "--log-path", str(target / "logs")]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in dbt_environment(self.settings).items():
                patch.setenv(name, value)
            return dbtRunner().invoke(["--quiet", *arguments, *folders])

    def dbt_test(self, kind: str, *selected: str) -> dict[str, str]:
        """The status of each of the system's tests, by name.

        Args:
            kind: ``unit`` or ``data``.
            selected: dbt's selectors; the system's models, where nothing is said.
        """
        own = [f"path:{path}" for path in self.model_folders() if path.startswith("models/")]
        selectors = [f"{selector},test_type:{kind}" for selector in selected or own]
        outcome = self.dbt_command("test", "--select", *selectors)
        return {result.node.name: str(result.status.value) for result in outcome.result}


def csv_file(header: Sequence[str], rows: Iterable[str]) -> bytes:
    """A CSV file of lines as they are."""
    return "".join(f"{row}\n" for row in (",".join(header), *rows)).encode()


def in_batches(names: Sequence[str], count: int) -> list[list[str]]:
    """The names in as many parts of equal size, the last with what is left over."""
    size = len(names) // count
    cuts = [*range(0, size * count, size), len(names)]
    return [list(names[start:end]) for start, end in pairwise(cuts)]


def rows_changed(report: RunReport) -> int:
    """How many rows a run's publication inserted, updated and deleted."""
    assert report.publication is not None
    return sum(
        mart.rows_inserted + mart.rows_updated + mart.rows_deleted
        for mart in report.publication.marts
    )


def marts_in_gold(connection: psycopg.Connection[Any], system: SystemInstance) -> dict[str, Rows]:
    """Every mart's rows as the oracle gives them; the connection may read gold and ops."""
    connection.execute("set timezone = 'UTC'")
    return {
        name: in_order(connection.execute(query).fetchall())
        for name, query in system.mart_queries.items()
    }


def assert_marts_equal_oracle(connection: psycopg.Connection[Any], system: SystemInstance) -> None:
    found = marts_in_gold(connection, system)
    expected = {name: in_order(rows) for name, rows in system.expected_marts().items()}
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        if found[name] != rows:  # pytest's own difference of long lists takes minutes
            surplus, missing = set(found[name]) - set(rows), set(rows) - set(found[name])
            raise AssertionError(
                f"{name}: {len(found[name])} rows for {len(rows)};"
                f" {list(surplus)[:3]} instead of {list(missing)[:3]}"
            )


def assert_a_full_rebuild_changes_nothing(
    connection: psycopg.Connection[Any], system: SystemInstance
) -> None:
    """Incremental equals full, row for row, in what is built in place and in the marts."""
    incremental = {table: contents(connection, *table) for table in system.incremental}
    gold = marts_in_gold(connection, system)
    for pipeline in system.pipelines:
        assert rows_changed(system.run(pipeline, full_refresh=True)) == 0, pipeline
    for table, rows in incremental.items():
        assert contents(connection, *table) == rows, table
    assert marts_in_gold(connection, system) == gold


def contents(connection: psycopg.Connection[Any], schema: str, table: str) -> Rows:
    """All rows of a table, in order."""
    query = SQL("select * from {}").format(Identifier(schema, table))
    return in_order(connection.execute(query).fetchall())


def warnings(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The tests that warn in the newest build of each pipeline, with their failing rows."""
    query = """
        select split_part(unique_id, '.', 3), failures from ops.node_results
        where status = 'warn' and transformation_id in (
            select max(transformation_id) from ops.transformations group by pipeline
        )
    """
    return dict(connection.execute(query).fetchall())


def in_order(rows: Sequence[tuple[Any, ...]]) -> Rows:
    """By the values' text, as nulls have no order."""
    return sorted(rows, key=lambda row: tuple(map(str, row)))
