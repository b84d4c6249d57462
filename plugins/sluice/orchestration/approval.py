"""The publishing task of a pipeline whose publications a person may have to approve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator

from sluice.errors import HeldError
from sluice.notifying import tell_or_log
from sluice.orchestration.operators import TRANSFORM, as_value
from sluice.orchestration.retries import DELAY_AFTER_A_KILL, RETRIES, RetryByClass
from sluice.pipeline import steps
from sluice.publishing.approval import Decision, HeldPublication, refused_error
from sluice.registry import Registry
from sluice.settings import Settings

APPROVE = "Approve"
REFUSE = "Refuse"


class ApprovedPublishOperator(HITLOperator):
    """Publish; what exceeds ``approve_when`` waits at this task until a person has decided.

    The task is then *awaiting input*: no process works on it, and Airflow lists it among the
    required actions, with what would change in each mart.
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
            self.body = body_of(held)
        super().execute(context)
        raise AssertionError("a task that asks does not come back here")

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Publish what was approved.

        Raises:
            TransformError: it was refused; gold is as it was.
        """
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
        return self._publish(context)

    @staticmethod
    def _transformation_id(context: Any) -> int:
        return int(context["ti"].xcom_pull(task_ids=TRANSFORM))

    def _publish(self, context: Any) -> dict[str, Any]:
        transformation_id = self._transformation_id(context)
        approve_when = self._registry.pipeline(self.pipeline).approve_when
        return as_value(
            steps.publish(self._settings, self.pipeline, transformation_id, approve_when)
        )


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
