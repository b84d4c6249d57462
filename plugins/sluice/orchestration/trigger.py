"""What wakes a pipeline: a trigger for each source, all of them fed by one scan."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from sluice.orchestration.scan import LandingZoneScan, Look, Waiting
from sluice.settings import load_settings

logger = logging.getLogger(__name__)

# A delivery that still lies there is announced again after this many seconds: a wake-up that was
# lost, a DAG that was paused and a warehouse that was away heal by it.
ANNOUNCE_AGAIN_SECONDS = 60.0
# A trigger that has joined late learns within this time what already lies there.
REPEAT_SECONDS = 5.0
# While files settle, the scan looks this much more often: what it costs is bounded all the same.
SETTLING_FACTOR = 4
# However many folders there are, the scan takes no more than this share of a core.
MOST_OF_A_CORE = 0.05
_AFTER_A_FAULT_SECONDS = 5.0


class LandingZoneTrigger(BaseEventTrigger):
    """Fire when deliveries of a source have arrived completely.

    An event is a wake-up call and no list of work: the run asks the landing zone and the ledger.
    """

    def __init__(self, source: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes the trigger of again; it identifies the trigger, so it is stable."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"source": self.source}

    def shared_stream_key(self) -> Hashable:
        """One scan for all sources."""
        return "sluice", "landing"

    @classmethod
    async def open_shared_stream(
        cls,
        kwargs: dict[str, Any],  # noqa: ARG003 - of any one of the triggers
    ) -> AsyncIterator[Waiting]:
        """What waits, whenever something new does, and again every few seconds."""
        scan = LandingZoneScan(load_settings())
        seen: Waiting = {}
        told_at = 0.0
        is_first = True
        while True:
            try:
                look = await asyncio.to_thread(scan.look)
            except Exception:
                # Nothing that lies in a landing zone is a reason to stop watching it.
                logger.exception("the landing zone could not be looked at; it is tried again")
                await asyncio.sleep(_AFTER_A_FAULT_SECONDS)
                continue
            now = time.monotonic()
            is_new = any(
                files - seen.get(name, frozenset()) for name, files in look.waiting.items()
            )
            seen = look.waiting
            if is_new or (seen and now - told_at >= REPEAT_SECONDS):
                told_at = now
                yield seen
            # The first look at an object store loads its client, which costs seconds once.
            await asyncio.sleep(_pause(scan, look, 0.0 if is_first else look.cost_seconds))
            is_first = False

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Any]
    ) -> AsyncIterator[TriggerEvent]:
        """The events of this source: for what was not announced yet, and again after a while."""
        announced: frozenset[Any] = frozenset()
        announced_at = 0.0
        async for waiting in shared_stream:
            files = waiting.get(self.source, frozenset())
            now = time.monotonic()
            if files - announced or (files and now - announced_at >= ANNOUNCE_AGAIN_SECONDS):
                announced_at = now
                payload = {"source": self.source, "deliveries": len(files)}
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
            announced = files

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same without sharing, for where a trigger is run on its own."""
        async for event in self.filter_shared_stream(self.open_shared_stream({})):
            yield event


def _pause(scan: LandingZoneScan, look: Look, cost_seconds: float) -> float:
    poll_seconds = scan.settings.poll_seconds / (SETTLING_FACTOR if look.is_settling else 1)
    return max(poll_seconds, cost_seconds * (1 / MOST_OF_A_CORE - 1))
