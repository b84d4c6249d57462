"""A pipeline's schedule as Airflow's: assets that wake it, and times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import (
    Asset,
    AssetAll,
    AssetAny,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
)
from airflow.sdk.definitions.asset import BaseAsset

from sluice.orchestration.assets import gold_assets, landing_asset, pending_asset
from sluice.pipeline.waiting import awaited_sources
from sluice.registry import Pipeline
from sluice.settings import Settings

# Airflow wants a beginning for what runs by the clock; no run is made up for the time since then.
START = datetime(2026, 1, 1, tzinfo=UTC)


def schedule_of(
    settings: Settings, pipeline: Pipeline
) -> BaseAsset | CronTriggerTimetable | AssetOrTimeSchedule:
    """What makes the pipeline run."""
    schedule = pipeline.schedule
    if schedule.cron is None:
        return _wakened_by(settings, pipeline)
    timetable = CronTriggerTimetable(schedule.cron, timezone=schedule.timezone)
    if schedule.when == "cron":
        return timetable
    return AssetOrTimeSchedule(timetable=timetable, assets=_wakened_by(settings, pipeline))


def needs_wait(pipeline: Pipeline) -> bool:
    """Whether its runs may begin before everything is there that they wait for."""
    return pipeline.schedule.when != "any" or pipeline.schedule.cron is not None


def marts_read(dbt_project: Path, pipeline: Pipeline) -> list[Asset]:
    """The marts of the pipelines that it reads."""
    return [mart for other in pipeline.reads for mart in gold_assets(dbt_project, other)]


def schedule_in_words(pipeline: Pipeline) -> str:
    """When it runs, as half a sentence."""
    schedule = pipeline.schedule
    at = f"at `{schedule.cron}` ({schedule.timezone})"
    if schedule.when == "cron":
        return at
    if schedule.when == "all":
        names = [*awaited_sources(pipeline), *(f"pipeline {name}" for name in pipeline.reads)]
        words = f"when there is something new of {' and '.join(names)}"
    else:
        whens = ["files have arrived completely"] if pipeline.sources else []
        whens += [f"{other} has published" for other in pipeline.reads]
        words = f"when {' or '.join(whens)}"
    return f"{words}, {at} at the latest" if schedule.cron else words


def _wakened_by(settings: Settings, pipeline: Pipeline) -> BaseAsset:
    """Deliveries of its sources and publications of those it reads: any of them, or all.

    What came without an event, by the command line for one, wakes it a little later.
    """
    pending = pending_asset(pipeline.name)
    if pipeline.schedule.when == "all":
        deliveries = [landing_asset(source) for source in awaited_sources(pipeline)]
        others = [gold_assets(settings.dbt, other) for other in pipeline.reads]
        # A publication is one of all marts of its pipeline.
        return AssetAny(
            AssetAll(*deliveries, *(AssetAny(*marts) for marts in others if marts)), pending
        )
    deliveries = [landing_asset(source) for source in pipeline.sources]
    return AssetAny(*deliveries, *marts_read(settings.dbt, pipeline), pending)
