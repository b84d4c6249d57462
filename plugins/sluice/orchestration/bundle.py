"""The folder of DAG files, and the registry beside it that decides what the DAGs are."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle
from airflow.models.dag import DagModel
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import State
from sqlalchemy import exists, update

# Imported for the DAG processor, which imports this module, and parses in forks of itself.
from sluice.orchestration import dags as _dags  # noqa: F401
from sluice.orchestration.pools import make_pools
from sluice.orchestration.scan import registry_state
from sluice.settings import load_settings

logger = logging.getLogger(__name__)

DAG_FILE = Path("sluice_pipelines.py")

# When the file is parsed, in seconds after the registry has changed. Again soon, since a request
# that comes while the file is being parsed is lost; and once more later, since Airflow takes a DAG
# for gone only when a parse this long after its last one did not bring it (stale_dag_threshold).
ASK_AFTER_SECONDS = (0.0, 2.0, 15.0)

# How soon a pool that somebody has deleted is there again, without which tasks would never run.
POOLS_SECONDS = 10.0


class RegistryBundle(LocalDagBundle):
    """Local DAG files, parsed again as soon as a file of the registry has changed.

    Airflow parses a DAG file again when that file has changed, or after an interval. Ours changes
    with files that Airflow does not know; this bundle asks for it as the UI's button does, so that
    the interval can be long.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = load_settings()
        self._project = self._settings.project
        self._pools_made_at: float | None = None
        self._seen: Any = None
        self._ask_at: list[float] = []

    def refresh(self) -> None:
        """Ask for the DAG file to be parsed, if the registry has changed a moment ago.

        The pools of its tasks are made, and DAGs that Airflow takes for busy are freed, as well.
        """
        now = time.monotonic()
        if self._pools_made_at is None or now >= self._pools_made_at + POOLS_SECONDS:
            make_pools(self._settings, only_missing=self._pools_made_at is not None)
            self._pools_made_at = now
        state = registry_state(self._project)
        if self._seen not in (None, state):
            self._ask_at = [now + seconds for seconds in ASK_AFTER_SECONDS]
        self._seen = state
        free_dags(self.name)
        due = [moment for moment in self._ask_at if moment <= now]
        if not due:
            return
        self._ask_at = [moment for moment in self._ask_at if moment > now]
        logger.info("the registry has changed: %s is parsed again", DAG_FILE)
        with create_session() as session:
            session.add(
                DagPriorityParsingRequest(bundle_name=self.name, relative_fileloc=str(DAG_FILE))
            )


def free_dags(bundle_name: str) -> None:
    """Let those DAGs of a bundle run again that have no run, and that Airflow takes for busy.

    Airflow notes whether a DAG has as many runs as it may, and looks again when a run ends, but
    only if it was scheduled, by hand, or by an asset (3.3.2). After a rebuild by a form, or a run
    that somebody has ended or deleted, the note stays, no file wakes the pipeline and no time
    comes for it, until the DAG file is parsed. This is what the parse would write.
    """
    has_runs = exists().where(
        DagRun.dag_id == DagModel.dag_id, DagRun.state.in_(State.unfinished_dr_states)
    )
    stuck = (
        update(DagModel)
        .where(DagModel.bundle_name == bundle_name, DagModel.exceeds_max_non_backfill, ~has_runs)
        .values(exceeds_max_non_backfill=False)
        .returning(DagModel.dag_id)
        .execution_options(synchronize_session=False)
    )
    with create_session() as session:
        for dag_id in session.scalars(stuck):
            logger.info("%s has no run any more: it is not busy", dag_id)
