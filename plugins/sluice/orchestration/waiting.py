"""The first task of a pipeline with a schedule: waits for what is missing, without a worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.utils.state import DagRunState

from sluice.orchestration.operators import NOTIFY, SENSE, TRANSFORM, StepOperator
from sluice.orchestration.scan import LandingZoneScan
from sluice.orchestration.trigger import MOST_OF_A_CORE
from sluice.pipeline import steps
from sluice.pipeline.waiting import Inputs, Wait, hold_missing_against
from sluice.registry import Registry
from sluice.settings import Settings, load_settings

logger = logging.getLogger(__name__)

AWAIT = "await"
AWAITED_KEY = "awaited"
LOOK_SECONDS = 5.0


class AwaitOperator(StepOperator, SkipMixin):
    """Let a run go on once its inputs are there, or once it has waited for long enough.

    A run by hand awaits nothing. The log says what is there, what is awaited and until when, and
    says it again whenever that changes; so does the value ``awaited``, as of when the wait began.
    """

    ui_color = "#e8f1f8"

    def execute(self, context: Any) -> dict[str, list[str]]:
        """Decide by what has started the run."""
        run_type = context["dag_run"].run_type  # equal to its value, which its str() is not
        schedule = self._registry.pipeline(self.pipeline).schedule
        if run_type == "scheduled" and schedule.cron:
            return self._at_a_time(context)
        if run_type == "asset_triggered" and schedule.when == "all":
            return self._once_all_are_there(context)
        logger.info("nothing is awaited: the run was not started by the schedule")
        return {"there": [], "missing": []}

    def _at_a_time(self, context: Any) -> dict[str, list[str]]:
        pipeline = self._registry.pipeline(self.pipeline)
        wait = Wait.of(pipeline, context["dag_run"].run_after)
        inputs = self._look(wait.since)
        if inputs.missing and not wait.is_over:
            self._wait(context, inputs, wait.since, wait.until)
        return self._go_on(inputs)

    def _once_all_are_there(self, context: Any) -> dict[str, list[str]]:
        inputs = self._look(None)
        if inputs.missing and self._registry.pipeline(self.pipeline).schedule.cron:
            self._end(context, "the next one is at the latest at the time of cron")
        elif inputs.missing:
            self._wait(context, inputs, None, None)
        return self._go_on(inputs)

    def _end(self, context: Any, why: str) -> None:
        logger.info("the run ends here: %s", why)
        ends = (SENSE, TRANSFORM, NOTIFY)
        self.skip(context["ti"], [task for task in self.dag.tasks if task.task_id in ends])

    def resume(self, context: Any, event: Any) -> dict[str, list[str]]:
        """Go on after the wait, by what is there now; or end, to make way for another run.

        Raises:
            OverdueError: an input is missing whose ``on_missing`` is ``fail``.
        """
        if event.get("makes_way"):
            self._end(context, "another one is queued, which takes up what is there")
        since = event["since"]
        return self._go_on(self._look(datetime.fromisoformat(since) if since else None))

    def _look(self, since: datetime | None) -> Inputs:
        inputs = steps.look_for(self._settings, self._registry, self.pipeline, since)
        logger.info("%s", inputs)
        return inputs

    def _wait(
        self, context: Any, inputs: Inputs, since: datetime | None, until: datetime | None
    ) -> NoReturn:
        logger.info("waits until %s", until.isoformat() if until else "all are there")
        value = {
            "there": list(inputs.there),
            "awaited": list(inputs.missing),
            "until": until.isoformat() if until else None,
        }
        context["ti"].xcom_push(key=AWAITED_KEY, value=value)
        trigger = InputsTrigger(
            self.pipeline,
            since.isoformat() if since else None,
            until.isoformat() if until else None,
        )
        self.defer(trigger=trigger, method_name="resume")

    def _go_on(self, inputs: Inputs) -> dict[str, list[str]]:
        pipeline = self._registry.pipeline(self.pipeline)
        if inputs.missing:
            steps.note_missing(self._settings, self._registry, self.pipeline, inputs.missing)
        for name in hold_missing_against(pipeline, inputs.missing):
            logger.warning("%s is missing (on_missing is warn); the run goes on without it", name)
        return {"there": list(inputs.there), "missing": list(inputs.missing)}


@dataclass(frozen=True)
class Turn:
    """One look at the landing zone, by which each run that waits asks the ledger.

    Attributes:
        settings: the instance.
        registry: as it was then.
        arrived: the sources of which settled deliveries lay there.
        costs: where each that is served adds the seconds of a core that it has taken.
    """

    settings: Settings
    registry: Registry
    arrived: frozenset[str]
    costs: list[float]


class InputsTrigger(BaseEventTrigger):
    """Fire when a pipeline's inputs are all there, or when the wait is over.

    All runs that wait share one look at the landing zone, and the budget of a core.

    A wait without an end is also over when another run of the pipeline is queued: a pipeline has
    one run at a time, and what was started by hand, or is to rebuild, would be stuck behind it.

    Args:
        pipeline: whose inputs.
        since: what came after this moment (ISO 8601) is there, too; None for what is not published.
        until: when the wait is over (ISO 8601); None for never.
    """

    def __init__(self, pipeline: str, since: str | None, until: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline
        self.since = since
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes the trigger of again, also after a restart of its triggerer."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "pipeline": self.pipeline,
            "since": self.since,
            "until": self.until,
        }

    def shared_stream_key(self) -> Hashable:
        """One look for all runs that wait."""
        return "sluice", "inputs"

    @classmethod
    async def open_shared_stream(
        cls,
        kwargs: dict[str, Any],  # noqa: ARG003 - of any one of the triggers
    ) -> AsyncIterator[Turn]:
        """A look every few seconds; seldomer where it, and what follows it, is dear."""
        scan = LandingZoneScan(load_settings())
        costs: list[float] = []
        while True:
            try:
                turn = await asyncio.to_thread(_take_turn, scan, costs)
            except Exception:
                # Nothing that lies in a landing zone is a reason to give up a wait.
                logger.exception("the landing zone could not be looked at; it is tried again")
                await asyncio.sleep(LOOK_SECONDS)
                continue
            yield turn
            await asyncio.sleep(LOOK_SECONDS)
            # By now it is known what the runs have added; what comes later counts the next time.
            spent = 0.0
            while costs:
                spent += costs.pop()
            await asyncio.sleep(max(0.0, spent * (1 / MOST_OF_A_CORE - 1) - LOOK_SECONDS))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Any]
    ) -> AsyncIterator[TriggerEvent]:
        """The end of this run's wait; what changes before is written into the task's log."""
        makes_way = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_left()):
                makes_way = await self._waited(shared_stream)
        event = {"since": self.since, "makes_way": makes_way}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same without sharing, for where a trigger is run on its own."""
        async for event in self.filter_shared_stream(self.open_shared_stream({})):
            yield event

    def _seconds_left(self) -> float | None:
        if self.until is None:
            return None
        return (datetime.fromisoformat(self.until) - datetime.now(UTC)).total_seconds()

    async def _waited(self, turns: AsyncIterator[Turn]) -> bool:
        """Wait; whether it was for another run that the wait has ended."""
        seen: Inputs | None = None
        async for turn in turns:
            inputs = await asyncio.to_thread(self._look_or_log, turn, seen)
            if inputs != seen:
                self.log.info("%s, until %s", inputs, self.until or "all are there")
                seen = inputs
            if inputs and not inputs.missing:
                return False
            if self.until is None and await asyncio.to_thread(self._is_another_queued):
                return True
        return False

    def _is_another_queued(self) -> bool:
        states = [DagRunState.QUEUED.value]
        try:
            return RuntimeTaskInstance.get_dr_count(dag_id=self.pipeline, states=states) > 0
        except Exception:
            self.log.exception("Airflow could not be asked for other runs; it is tried again")
            return False

    def _look_or_log(self, turn: Turn, seen: Inputs | None) -> Inputs | None:
        since = datetime.fromisoformat(self.since) if self.since else None
        started = time.thread_time()  # not the clock: many at once wait for each other
        try:
            return steps.look_for(turn.settings, turn.registry, self.pipeline, since, turn.arrived)
        except Exception:
            # Whatever is wrong for a while is no reason to give up the wait.
            self.log.exception("the inputs could not be looked at; it is tried again")
            return seen
        finally:
            turn.costs.append(time.thread_time() - started)


def _take_turn(scan: LandingZoneScan, costs: list[float]) -> Turn:
    look = scan.look()
    costs.append(look.cost_seconds)
    return Turn(scan.settings, scan.registry(), frozenset(look.waiting), costs)
