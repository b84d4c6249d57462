"""A project of its own for tests: one source, two marts whose totals agree, one strict test."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sluice.loading import load_source
from sluice.pipeline import RunReport, run_pipeline
from sluice.registry import load_registry
from sluice.settings import PROJECT, Settings
from sluice.transforming import dbt

CASES = Path(__file__).parent / "cases"


@dataclass
class ShopProject:
    """The shop of ``tests/cases/shop`` in the project folder of one instance."""

    settings: Settings

    def drop(self, name: str, rows: str, header: str = "order_id,product,amount\n") -> None:
        """Deliver orders."""
        folder = self.settings.landing / "orders"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(header + rows)

    def load(self) -> None:
        """Load what waits, and build nothing."""
        load_source(self.settings, load_registry(self.settings.project).source("orders"))

    def run(self, run_id: str = "test") -> RunReport:
        """One whole run, as ``sluice run`` does it."""
        registry = load_registry(self.settings.project)
        return run_pipeline(self.settings, registry, "shop", run_id)

    def model(self, name: str) -> Path:
        """A gold model's file, to be changed."""
        return self.settings.dbt / "models" / "gold" / "shop" / name


def make_shop(settings: Settings) -> ShopProject:
    """Copy the shop into the instance's project, with the real project's macros and profile."""
    shutil.copytree(CASES / "shop", settings.project, dirs_exist_ok=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / "dbt" / name, settings.dbt / name)
    shutil.copytree(PROJECT / "dbt" / "macros", settings.dbt / "macros", dirs_exist_ok=True)
    return ShopProject(settings)


def reuse_parse(settings: Settings, *pipelines: str) -> None:
    """Give dbt what it has parsed of the same project before: it takes up what differs.

    A parse of everything takes two seconds, for each test.

    Args:
        settings: an instance of the fixture ``settings``, with its dbt project in place.
        pipelines: those that the test will run; one parse serves all of them.
    """
    kept = settings.project.parent / f"parsed-{pipelines[0]}.msgpack"
    places = [
        settings.home / "dbt" / pipeline / "target" / "partial_parse.msgpack"
        for pipeline in pipelines
    ]
    if not kept.exists():
        with dbt.parsed(settings, pipelines[0]):
            shutil.copy(places[0], kept)
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept, place)
