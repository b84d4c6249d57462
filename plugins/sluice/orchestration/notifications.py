"""The tasks that tell people: the last one of a pipeline's run, and a DAG that comes round."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param

from sluice.errors import RetriableError
from sluice.notifying import Told, send_test, tell
from sluice.orchestration.operators import NOTIFY, EngineOperator
from sluice.orchestration.schedules import START
from sluice.registry import Registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

NOTIFY_DAG = "sluice_notify"
TEST = "test"
_DOC = """\
Sends every five minutes what has not been told yet: what is late, what was kept back because
somebody was told within the hour, and what could not be sent before. `docs/notify.md` says who is
told of what.

To see whether messages arrive, start it with *Trigger* and a pipeline in `test`: each of its
addresses gets a message. The task is red where one could not be sent; its log says why.
"""


class NotifyOperator(EngineOperator):
    """Tell people what has happened.

    Whatever comes of it, the run is what its other tasks made of it. What could not be sent is
    tried again by the DAG that comes round, not by this task: the next run waits for it.
    """

    ui_color = "#e8f1f8"

    def __init__(self, *, pipelines: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retries = 0
        self.pipelines = pipelines

    def execute(self, context: Any) -> list[str]:
        """Tell, and return the titles of the messages.

        Raises:
            RetriableError: a message could not be sent.
        """
        test = context["params"].get(TEST)
        if test:
            told = send_test(self._settings, self._registry, test)
        else:
            told = tell(self._settings, self._registry, self.pipelines)
        if told.problems:
            raise unsent_error(told)
        return told.titles


def unsent_error(told: Told) -> RetriableError:
    """One error that names everything that kept messages from being sent."""
    return RetriableError(
        "\n".join(str(problem) for problem in told.problems),
        "Until it can be sent it is tried again every five minutes, and nothing is lost.",
    )


def notify_dag(settings: Settings, registry: Registry) -> DAG | None:
    """The DAG that tells what is left to be told; none where no pipeline tells anybody."""
    telling = sorted(name for name, pipeline in registry.pipelines.items() if pipeline.notify)
    if not telling:
        return None
    with DAG(
        NOTIFY_DAG,
        description="Tells people what they have not been told yet.",
        doc_md=_DOC,
        schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
        start_date=START,
        tags=["notify"],
        default_args={"owner": "sluice"},
        catchup=False,
        max_active_runs=1,
        params={
            TEST: Param(
                None,
                description="A pipeline whose addresses get a test message.",
                type=["string", "null"],
                enum=[*telling, None],
            )
        },
    ) as dag:
        NotifyOperator(task_id=NOTIFY, settings=settings, registry=registry)
    return dag
