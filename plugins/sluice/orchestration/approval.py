"""The publishing task of a pipeline whose publications a person may have to approve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput
from airflow.triggers.base import TriggerEvent

from sluice.errors import HeldError
from sluice.notifying import tell_or_log
from sluice.orchestration.operators import TRANSFORM, as_value
from sluice.orchestration.retries import DELAY_AFTER_A_KILL, RETRIES, RetryByClass
from sluice.pipeline import steps
from sluice.publishing.approval import Decision, HeldPublication, refused_error
from sluice.registry import Registry
from sluice.settings import Settings, load_settings

APPROVE = "Approve"
REFUSE = "Refuse"
# In a trigger's event: the publication does not wait any more, and Airflow was not asked.
SETTLED_ELSEWHERE = "settled_elsewhere"


class ApprovedPublishOperator(HITLOperator):
    """Publish; what exceeds ``approve_when`` waits at this task until a person has decided.

    The task is then *deferred*: no worker is held, and Airflow lists it among the required actions,
    with what would change in each mart. A decision on the command line ends the wait as well.
    """

    ui_color = "#f8eebb"
    # Nothing here is a template; Airflow's own operator renders subject and body.
    template_fields: Sequence[str] = ()

    def __init__(
        self, *, settings: Settings, registry: Registry, pipeline: str, **kwargs: Any
    ) -> None:
        super().__init__(
            subject=f"Publish {pipeline}?",
            options=[APPROVE, REFUSE],
            retries=RETRIES,
            retry_policy=RetryByClass(),
            retry_delay=DELAY_AFTER_A_KILL,
            **kwargs,
        )
        self.pipeline = pipeline
        self._settings = settings
        self._registry = registry

    def execute(self, context: Any) -> dict[str, Any]:
        """Publish, and return what it changed; or ask first."""
        try:
            return self._publish(context)
        except HeldError:
            held = steps.waiting_publication(self._settings, self.pipeline)
            tell_or_log(self._settings, self._registry, self.pipeline)
            if held is None:
                raise  # decided elsewhere in this very moment: somebody looks at the message
            self._leave_to_newer(held, context)
            self.body = body_of(held)
        try:
            super().execute(context)
        except TaskAwaitingInput as asked:  # which only an answer in Airflow would end
            trigger = DecisionTrigger(
                ti_id=context["ti"].id,
                options=self.options,
                params=self.serialized_params,
                timeout_datetime=None,
                pipeline=self.pipeline,
                transformation_id=self._transformation_id(context),
            )
            self.defer(trigger=trigger, method_name=asked.method_name)
        raise AssertionError("a task that asks does not come back here")

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Publish what was approved.

        Raises:
            TransformError: it was refused, or built over by what did not pass; gold is as it was.
        """
        if event.get(SETTLED_ELSEWHERE):
            self.log.info("settled outside of Airflow")
            return self._publish_or_leave(context)
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"]
        decided_by = f"airflow:{user['name'] if user else 'unknown'}"
        decision: Decision = "approved" if answer["chosen_options"] == [APPROVE] else "refused"
        held = steps.waiting_publication(self._settings, self.pipeline)
        # Another one, or none, where the command line was quicker: publishing finds what became
        # of ours.
        if held and held.transformation_id == self._transformation_id(context):
            held = steps.decide(self._settings, held, decision, decided_by)
            self.log.info("%s by %s", decision, decided_by)
            if decision == "refused":
                raise refused_error(held)
        return self._publish_or_leave(context)

    def _publish_or_leave(self, context: Any) -> dict[str, Any]:
        try:
            return self._publish(context)
        except HeldError:
            if held := steps.waiting_publication(self._settings, self.pipeline):
                self._leave_to_newer(held, context)
            raise

    def _leave_to_newer(self, held: HeldPublication, context: Any) -> None:
        """End as skipped where a newer build of another run waits for a person in place of ours."""
        own = self._transformation_id(context)
        if held.transformation_id != own:
            raise AirflowSkipException(
                f"Transformation {held.transformation_id} has taken the place of {own}, and waits"
                f" for approval: ./sluice approve {self.pipeline}"
            )

    @staticmethod
    def _transformation_id(context: Any) -> int:
        return int(context["ti"].xcom_pull(task_ids=TRANSFORM))

    def _publish(self, context: Any) -> dict[str, Any]:
        transformation_id = self._transformation_id(context)
        approve_when = self._registry.pipeline(self.pipeline).approve_when
        return as_value(
            steps.publish(self._settings, self.pipeline, transformation_id, approve_when)
        )


class DecisionTrigger(HITLTrigger):
    """Fire when a publication does not wait any more, wherever that was decided.

    The ledger is asked every few seconds, beside Airflow's own request for an answer.

    Args:
        pipeline: whose publication.
        transformation_id: the build that is held.
        kwargs: those of Airflow's trigger.
    """

    def __init__(self, *, pipeline: str, transformation_id: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.transformation_id = transformation_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes the trigger of again, also after a restart of its triggerer."""
        _, arguments = super().serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            **arguments,
            "pipeline": self.pipeline,
            "transformation_id": self.transformation_id,
        }

    async def _handle_response(self) -> TriggerEvent | None:
        """What ends the wait, if anything has; Airflow's trigger asks this again and again."""
        answer: TriggerEvent | None = await super()._handle_response()  # type: ignore[no-untyped-call]
        if answer is None and await asyncio.to_thread(self._is_settled):
            answer = TriggerEvent({SETTLED_ELSEWHERE: True})  # type: ignore[no-untyped-call]
        return answer

    def _is_settled(self) -> bool:
        """Whether it was decided on, or a newer build has taken its place."""
        try:
            held = steps.waiting_publication(load_settings(), self.pipeline)
        except Exception:
            # Whatever is wrong for a while is no reason to give up the wait.
            self.log.exception("the ledger could not be asked; it is tried again")
            return False
        return held is None or held.transformation_id != self.transformation_id


def body_of(held: HeldPublication) -> str:
    """What would change, in Markdown."""
    lines = [
        "This publication changes more than `approve_when` allows:",
        "",
        *(f"- {reason}" for reason in held.reasons),
        "",
        "| mart | rows | inserted | updated | deleted | columns |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for mart in held.marts:
        before = "new" if mart.rows_before is None else f"{mart.rows_before:,}"
        counts = f"{mart.rows_inserted:,} | {mart.rows_updated:,} | {mart.rows_deleted:,}"
        changes = "; ".join(mart.schema_changes) or "as they were"
        lines.append(f"| {mart.mart} | {before} | {counts} | {changes} |")
    lines += [
        "",
        "Every test has passed; the candidate is in schema `gold_audit`. Where it is refused, gold",
        "stays as it is, and the loads stay pending.",
    ]
    return "\n".join(lines)
