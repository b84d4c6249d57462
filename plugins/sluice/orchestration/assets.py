"""The assets that Airflow shows: where files arrive, the tables they become, the marts."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import Asset, AssetWatcher

from sluice.orchestration.pending_trigger import PendingTrigger
from sluice.orchestration.trigger import LandingZoneTrigger


def landing_asset(source: str) -> Asset:
    """The folder of a source; its watcher makes an event of each delivery that has settled."""
    watcher = AssetWatcher(name=f"landing.{source}", trigger=LandingZoneTrigger(source=source))
    return Asset(
        name=f"landing.{source}",
        uri=f"sluice://landing/{source}",
        group="landing",
        watchers=[watcher],
    )


def pending_asset(pipeline: str) -> Asset:
    """What the ledger has for a pipeline and no event has told; its watcher makes one of it."""
    name = f"pending.{pipeline}"
    watcher = AssetWatcher(name=name, trigger=PendingTrigger(pipeline=pipeline))
    uri = f"sluice://pending/{pipeline}"
    return Asset(name=name, uri=uri, group="pending", watchers=[watcher])


def bronze_asset(source: str) -> Asset:
    """The bronze table of a source."""
    return Asset(name=f"bronze.{source}", uri=f"sluice://bronze/{source}", group="bronze")


def gold_assets(dbt_project: Path, pipeline: str) -> list[Asset]:
    """The marts of a pipeline, by name: the models in its gold folder, without asking dbt."""
    models = (dbt_project / "models" / "gold" / pipeline).glob("**/*.sql")
    return [
        Asset(name=f"gold.{mart}", uri=f"sluice://gold/{mart}", group="gold")
        for mart in sorted({model.stem for model in models})
    ]
