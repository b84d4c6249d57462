"""Retry or fail: decided by the class of the error, never by its text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from sluice.errors import SluiceError

RETRIES = 3
# A server that restarts is back after the first or second; one that takes longer is somebody's
# work, and the landing zone wakes the pipeline again anyway.
_FIRST_DELAY_SECONDS = 5
_DELAY_FACTOR = 4
# After a process that ended without an error to judge, such as one that ran out of memory.
DELAY_AFTER_A_KILL = timedelta(seconds=15)


class RetryByClass(RetryPolicy):
    """Retry what may succeed when it is done again, after 5, 20 and 80 s; fail all else at once."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Decide for one failure; the reason is shown with the task."""
        reason = exception.message if isinstance(exception, SluiceError) else repr(exception)
        if not getattr(exception, "retriable", False):
            return RetryDecision.fail(reason=reason)
        seconds = _FIRST_DELAY_SECONDS * _DELAY_FACTOR ** max(0, try_number - 1)
        return RetryDecision.retry(delay=timedelta(seconds=seconds), reason=reason)
