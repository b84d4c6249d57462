"""What wakes a pipeline for what the ledger has and no event has told: see ``pipeline/untaken``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from sluice.orchestration.scan import CurrentRegistry
from sluice.pipeline.untaken import Untaken, untaken_inputs
from sluice.settings import Settings, load_settings
from sluice.warehouse.connections import connect

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
# What still waits is told again: a DAG that was paused and a run that could not begin heal by it.
TELL_AGAIN_SECONDS = 300.0


# So much of the time may be spent on looking.
MOST_OF_THE_TIME = 0.05


class PendingTrigger(BaseEventTrigger):
    """Fire when a pipeline's inputs have come in a way that made no event.

    A run that takes it up ends that, also one that fails: that is for people to look at.
    """

    def __init__(self, pipeline: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes the trigger of again; it identifies the trigger, so it is stable."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"pipeline": self.pipeline}

    def shared_stream_key(self) -> Hashable:
        """One question to the ledger for all pipelines."""
        return "sluice", "pending"

    @classmethod
    async def open_shared_stream(
        cls,
        kwargs: dict[str, Any],  # noqa: ARG003 - of any one of the triggers
    ) -> AsyncIterator[Untaken]:
        """What waits for a build, every few seconds."""
        settings = load_settings()
        current = CurrentRegistry(settings.project)
        problem = ""
        while True:
            started = time.monotonic()
            try:
                untaken = await asyncio.to_thread(_look, settings, current)
            except Exception as error:  # whatever is wrong for a while is no reason to stop
                if str(error) != problem:
                    logger.warning("the ledger cannot be asked: %s; it is tried again", error)
                problem = str(error)
            else:
                problem = ""
                yield untaken
            # A pipeline that waits for all of its inputs has the landing zone listed, which may be
            # slow; by the clock, as for an object store.
            spent = time.monotonic() - started
            await asyncio.sleep(max(LOOK_SECONDS, spent * (1 / MOST_OF_THE_TIME - 1)))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Any]
    ) -> AsyncIterator[TriggerEvent]:
        """The events of this pipeline: for what was not told yet, and again after a while."""
        told: frozenset[str] = frozenset()
        told_at = 0.0
        async for untaken in shared_stream:
            waiting = untaken.get(self.pipeline, frozenset())
            now = time.monotonic()
            if waiting - told or (waiting and now - told_at >= TELL_AGAIN_SECONDS):
                told_at = now
                payload = {"pipeline": self.pipeline, "waiting": sorted(waiting)}
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
            told = waiting

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same without sharing, for where a trigger is run on its own."""
        async for event in self.filter_shared_stream(self.open_shared_stream({})):
            yield event


def _look(settings: Settings, current: CurrentRegistry) -> Untaken:
    with connect(settings, "loader", application_name="sluice watch") as connection:
        return untaken_inputs(connection, settings, current.read())
