"""Forms: DAGs that a person starts with parameters, to load files again or to take them out.

What is filled in is data. Airflow holds it to the schema of each parameter before a run begins; the
tasks read it as it is, and none of their fields is a template.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param

from sluice.errors import ConfigError, DeliveryError
from sluice.loading.kept import Selection
from sluice.loading.replay import refused_again
from sluice.orchestration.operators import EngineOperator
from sluice.orchestration.pools import LOAD_POOL
from sluice.pipeline import steps
from sluice.registry import Registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

REPLAY_DAG = "sluice_replay"
WITHDRAW_DAG = "sluice_withdraw"
TAG = "form"
REFUSED_KEY = "refused"

# As long as the ledger's longest name: an archive's with a member's, each byte of them escaped.
_LONGEST_FILE_NAME = 4096
LARGEST_LOAD_ID = 2**63 - 1

_REPLAY_DOC = """\
Loads files of a source again from the archive, by the registry as it is now, and rebuilds the
pipelines of the source. Start it with *Trigger*.

Without files and days it takes every file whose rows are in bronze, and those that were rejected
and not mended since. A file that was withdrawn comes back when it is named. Where a file is
rejected now, its old rows stay; *all_loaded* is red and says why.

Of a source with `write_disposition: replace` it takes the file that is the whole truth, or the
newest that was not withdrawn. An older file that is named, or is the newest of the days given,
**becomes the whole truth again: the rows of every other file leave**.
"""
_WITHDRAW_DOC = """\
Takes a file's rows out of bronze, and rebuilds the pipelines of the source. Start it with
*Trigger*.

The file's bytes stay in the archive, and what happened stays in the ledger. Delivered again, or
named in *sluice_replay*, it is loaded again.
"""

_FORM: Mapping[str, Any] = {
    "schedule": None,
    "tags": [TAG],
    "default_args": {"owner": "sluice"},
    "catchup": False,
    "max_active_runs": 1,
}


class ReplayOperator(EngineOperator):
    """Load what the form names again from where its bytes are kept."""

    ui_color = "#f4e7d8"
    in_pool = LOAD_POOL

    def execute(self, context: Any) -> list[str]:
        """Load again, and return the pipelines to be rebuilt.

        What was refused does not keep the rest from being built; ``VerdictOperator`` says it.

        Raises:
            ConfigError: there is no such delivery, or the first day comes after the last one.
        """
        source, selection = context["params"]["source"], _selection(context["params"])
        # The DAG has one run at a time: an earlier attempt of the source was given up.
        task = f"airflow {self.dag_id} {source}"
        report = steps.replay(self._settings, self._registry, source, selection, task=task)
        refused = list(report.left)
        if report.rejected:
            refused.append(str(refused_again(report.rejected)))
        context["ti"].xcom_push(key=REFUSED_KEY, value=refused)
        return self._registry.pipelines_of(source)


class VerdictOperator(EngineOperator):
    """Fail where a file could not be loaded again."""

    def execute(self, context: Any) -> None:
        """Raise what the replay pushed.

        Raises:
            DeliveryError: there is something.
        """
        refused = context["ti"].xcom_pull(task_ids="replay", key=REFUSED_KEY)
        if refused:
            raise DeliveryError("\n".join(refused), code="refused_again")


class WithdrawOperator(EngineOperator):
    """Take the rows of the file that the form names out of bronze."""

    ui_color = "#f3c6c6"
    in_pool = LOAD_POOL

    def execute(self, context: Any) -> list[str]:
        """Withdraw, and return the pipelines to be rebuilt.

        Raises:
            ConfigError: no row of such a file is in bronze, or its newest load there is not the
                one that the form names, and it was not an earlier attempt of this run that took
                them out.
        """
        params = context["params"]
        source, file_name = params["source"], params["file"]
        known = (self._settings, self._registry, source, file_name)
        try:
            task = f"airflow {self.dag_id} {source}"
            steps.withdraw(*known, load_id=params.get("load_id"), task=task)
        except ConfigError:
            # An attempt may be killed after its commit.
            is_first = context["ti"].try_number == 1
            if is_first or not steps.was_withdrawn(*known, since=context["dag_run"].run_after):
                raise
            logger.info("an earlier attempt has withdrawn it")
        return self._registry.pipelines_of(source)


def replay_dag(settings: Settings, registry: Registry) -> DAG | None:
    """The form to load files again; none where the registry has no sound source."""
    if not registry.sources:
        return None
    known: dict[str, Any] = {"settings": settings, "registry": registry}
    with DAG(
        REPLAY_DAG,
        description="Load files of a source again from the archive, and rebuild.",
        doc_md=_REPLAY_DOC,
        params={
            "source": _source_param(registry),
            "files": Param(
                None,
                description="Names of delivered files, one a line; all of them where empty.",
                type=["array", "null"],
                items={"type": "string", "minLength": 1, "maxLength": _LONGEST_FILE_NAME},
                maxItems=10_000,
                uniqueItems=True,
            ),
            "first_day": _day_param("What arrived on this day (UTC) or later."),
            "last_day": _day_param("What arrived on this day (UTC) or earlier."),
            "load_id": _load_param("Of one file: only if it is the bytes of this load."),
        },
        **_FORM,
    ) as dag:
        replay = ReplayOperator(task_id="replay", **known)
        replay >> [_rebuild(replay), VerdictOperator(task_id="all_loaded", **known)]
    return dag


def withdraw_dag(settings: Settings, registry: Registry) -> DAG | None:
    """The form to take a file's rows out; none where the registry has no sound source."""
    if not registry.sources:
        return None
    known: dict[str, Any] = {"settings": settings, "registry": registry}
    with DAG(
        WITHDRAW_DAG,
        description="Take a file's rows out of bronze, and rebuild.",
        doc_md=_WITHDRAW_DOC,
        params={
            "source": _source_param(registry),
            "file": Param(
                description="The delivered file's name.",
                type="string",
                minLength=1,
                maxLength=_LONGEST_FILE_NAME,
            ),
            "load_id": _load_param("Only if this is the file's newest load in bronze."),
        },
        **_FORM,
    ) as dag:
        withdraw = WithdrawOperator(task_id="withdraw", **known)
        withdraw >> _rebuild(withdraw)
    return dag


def _source_param(registry: Registry) -> Param:
    return Param(description="Whose files.", type="string", enum=sorted(registry.sources))


def _day_param(description: str) -> Param:
    return Param(None, description=description, type=["string", "null"], format="date")


def _load_param(description: str) -> Param:
    return Param(
        None, description=description, type=["integer", "null"], minimum=1, maximum=LARGEST_LOAD_ID
    )


def _rebuild(after: EngineOperator) -> Any:
    """A run of each pipeline that a task returns the name of: they go on by themselves."""
    return TriggerDagRunOperator.partial(
        task_id="rebuild", map_index_template="{{ task.trigger_dag_id }}"
    ).expand(trigger_dag_id=after.output)


def _selection(params: Mapping[str, Any]) -> Selection:
    first, last = _day(params["first_day"]), _day(params["last_day"])
    if first and last and first > last:
        raise ConfigError(
            f"first_day {first} comes after last_day {last}. Nothing was done.",
            "Start it again with the earlier day as first_day.",
        )
    return Selection(tuple(params["files"] or ()), first, last, params.get("load_id"))


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
