"""Airflow's LocalExecutor, made quick: warm workers, and no sleep while there is work to do."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.session import create_session
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

logger = logging.getLogger(__name__)

# A task runs in a fork of a worker, and a worker is a fork of the scheduler: what the scheduler has
# imported by then, no task has to import. dbt alone takes 1.7 s, Arrow 0.1 s.
MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "dbt.task.build",
    "dbt_common.clients.agate_helper",
    "sluice.loading.plain_copy",
    "sqlparse",
    "sluice.orchestration.bundle",
    "sluice.orchestration.dags",
)

# A round of the scheduler costs 28 ms, a look at what it would find 1 ms. So the executor looks
# often, more often while a run is under way, and lets the scheduler go round when there is
# something to find. The longest round is for what time alone brings, such as a retry that is due.
ROUND_SECONDS = 2.0
LOOK_SECONDS = 0.05
IDLE_LOOK_SECONDS = 0.15

# What starts a round: an event of an asset, a new run, a task that has ended. The states are those
# with an index, so that the history of runs costs nothing.
_LOOK = text(
    """
    select
        (select count(*) from asset_dag_run_queue),
        (select string_agg(state || id, ' ' order by id) from dag_run
         where state in ('queued', 'running')),
        (select string_agg(state || id, ' ' order by id) from task_instance
         where state in ('scheduled', 'queued', 'running', 'deferred'))
    """
)


class WarmLocalExecutor(LocalExecutor):
    """Run tasks on this machine, without the seconds that imports and the scheduler's sleep take.

    The scheduler asks its executor once a round for what has ended, and sleeps between rounds. This
    one keeps it until there is something to do; the sleep can then be short, and an idle scheduler
    costs no more than with a long one.
    """

    _seen: tuple[Any, ...] | None = None

    def start(self) -> None:
        """Import, then fork the workers."""
        for module in MODULES:
            try:
                importlib.import_module(module)
            except Exception:
                # The task that needs it says what is wrong, where its owner looks.
                logger.exception("%s cannot be imported ahead of the tasks", module)
        super().start()

    def heartbeat(self) -> None:
        """Hand out what is queued and collect what has ended, then wait for something to do."""
        super().heartbeat()
        end = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < end and not self._is_something_new():
            is_idle = self._seen is None or not any(self._seen)
            time.sleep(IDLE_LOOK_SECONDS if is_idle else LOOK_SECONDS)

    def _is_something_new(self) -> bool:
        if not self.result_queue.empty():
            return True
        # Where the database is away, the scheduler itself says so.
        with contextlib.suppress(SQLAlchemyError), create_session() as session:
            found = tuple(session.execute(_LOOK).one())
            is_new = found != self._seen
            self._seen = found
            return is_new
        return False
