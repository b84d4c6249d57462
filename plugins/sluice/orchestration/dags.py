"""The registry as DAGs: one a pipeline, each built behind a guard of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from sluice.landing.zone import landing_folder
from sluice.orchestration.approval import ApprovedPublishOperator
from sluice.orchestration.assets import bronze_asset, gold_assets, landing_asset
from sluice.orchestration.extract_dags import extract_dag, fetched_sources
from sluice.orchestration.forms import REPLAY_DAG, WITHDRAW_DAG, replay_dag, withdraw_dag
from sluice.orchestration.freshness import FRESHNESS_DAG, freshness_dag
from sluice.orchestration.notifications import NOTIFY_DAG, NotifyOperator, notify_dag
from sluice.orchestration.operators import (
    FILTER,
    FULL_REFRESH,
    NOTIFY,
    PUBLISH,
    SENSE,
    TRANSFORM,
    ConfigErrorOperator,
    LoadOperator,
    PublishOperator,
    SenseOperator,
    TransformOperator,
)
from sluice.orchestration.schedules import (
    START,
    marts_read,
    needs_wait,
    schedule_in_words,
    schedule_of,
)
from sluice.orchestration.waiting import AWAIT, AwaitOperator
from sluice.registry import Pipeline, Problem, Registry, Source, read_registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

CONFIG_ERROR_TAG = "config-error"

_ON_REJECTED_FILES = (
    "A red *load* means a rejected file: its log says why, and `./sluice status` lists it. All that"
    " could be loaded was published nevertheless."
)
OwnDag = Callable[[Settings, Registry], DAG | None]

# Those that are no pipeline's and no source's; each is None where the registry has no use for it.
OWN_DAGS: Mapping[str, OwnDag] = {
    FRESHNESS_DAG: freshness_dag,
    NOTIFY_DAG: notify_dag,
    REPLAY_DAG: replay_dag,
    WITHDRAW_DAG: withdraw_dag,
}
_FULL_REFRESH = "Build everything anew from bronze, as dbt's --full-refresh does."
_FILTER = (
    "Load only the records of one source with one value, such as"
    ' {"column": "Date", "equals": "2024-02-24"}; "source" where several have the column.'
    " Files that hold none stay where they are; of the others the rest is loaded when they are"
    " delivered again."
)


class PipelineDag(DAG):
    """A DAG whose hash is its name's.

    Airflow hashes the DAG for every task of every ``>>``, and hashes its schedule with it, which
    copies each asset: two thirds of the import of 1,000 sources (``benchmarks/many_sources.py``).
    """

    def __hash__(self) -> int:
        """Equal DAGs have equal names."""
        return hash(self.dag_id)


def build_dags(settings: Settings, only: str | None = None) -> dict[str, DAG]:
    """Build a DAG for each pipeline of the registry, and our own; the database is not asked.

    A pipeline that is broken, or that cannot be built, becomes a DAG of the same name whose one
    task says why; it stops no other.

    Args:
        settings: the instance.
        only: the one DAG to build; all of them where None.
    """
    registry = read_registry(settings.project)
    names = sorted({*registry.pipelines, *registry.broken_pipelines})
    built = {
        name: _build_guarded(settings, registry, name) for name in names if only in (None, name)
    }
    for name, source in fetched_sources(registry).items():
        if only in (None, name) and name not in built:
            built[name] = _extract_guarded(settings, registry, name, source)
    for name, build in OWN_DAGS.items():
        if only in (None, name) and (dag := _own_guarded(name, build, settings, registry)):
            built[name] = dag
    return built


def _build_guarded(settings: Settings, registry: Registry, name: str) -> DAG:
    if name in registry.broken_pipelines:
        return _config_error_dag(name, _listed(registry.broken_pipelines[name]))
    try:
        return _pipeline_dag(settings, registry, registry.pipelines[name])
    except Exception as error:  # one exception here would take every DAG out of the UI
        logger.exception("the DAG of pipeline %s cannot be built", name)
        return _config_error_dag(name, f"{type(error).__name__}: {error}")


def _extract_guarded(settings: Settings, registry: Registry, name: str, source: Source) -> DAG:
    try:
        return extract_dag(settings, registry, source)
    except Exception as error:
        logger.exception("the DAG %s cannot be built", name)
        return _config_error_dag(name, f"{type(error).__name__}: {error}")


def _own_guarded(name: str, build: OwnDag, settings: Settings, registry: Registry) -> DAG | None:
    try:
        return build(settings, registry)
    except Exception as error:
        logger.exception("the DAG %s cannot be built", name)
        return _config_error_dag(name, f"{type(error).__name__}: {error}")


def _pipeline_dag(settings: Settings, registry: Registry, pipeline: Pipeline) -> DAG:
    sources = [registry.source(name) for name in pipeline.sources]
    params = {FULL_REFRESH: Param(False, description=_FULL_REFRESH, type="boolean")}
    if sources:
        params[FILTER] = Param(None, description=_FILTER, type=["null", "object"])
    dag = PipelineDag(
        pipeline.name,
        description=_first_sentence(pipeline.description),
        doc_md=_pipeline_doc(settings, pipeline, sources),
        schedule=schedule_of(settings, pipeline),
        start_date=START,
        tags=sorted(pipeline.tags),
        default_args={"owner": pipeline.owner},
        catchup=False,
        max_active_runs=1,
        params=params,
    )
    known: dict[str, Any] = {
        "settings": settings,
        "registry": registry,
        "pipeline": pipeline.name,
    }
    with dag:
        awaiting = [AwaitOperator(task_id=AWAIT, **known)] if needs_wait(pipeline) else []
        sense = SenseOperator(task_id=SENSE, **known)
        transform = TransformOperator(
            task_id=TRANSFORM,
            **known,
            # What could be loaded is published, whatever became of the rest.
            trigger_rule=TriggerRule.ALL_DONE,
        )
        publish_operator = ApprovedPublishOperator if pipeline.approve_when else PublishOperator
        publish = publish_operator(
            task_id=PUBLISH,
            **known,
            inlets=[*map(bronze_asset, pipeline.sources), *marts_read(settings.dbt, pipeline)],
            outlets=gold_assets(settings.dbt, pipeline.name),
        )
        group = TaskGroup("load", tooltip="one task a source") if len(sources) > 1 else None
        with group or nullcontext():
            loads = [_load_task(source, known, in_group=group is not None) for source in sources]
        if loads:
            # The scheduler settles it without a worker; where a load failed, it makes the run a
            # failed one, although everything else went on.
            all_loaded = EmptyOperator(task_id="all_loaded", trigger_rule=TriggerRule.NONE_FAILED)
            sense >> loads >> transform
            loads >> all_loaded
        if awaiting:
            awaiting >> sense
        # Directly as well, so that sense can skip it.
        sense >> transform >> publish
        if pipeline.notify:
            tells = NotifyOperator(
                task_id=NOTIFY,
                settings=settings,
                registry=registry,
                pipelines=[pipeline.name],
            ).as_teardown()  # so it follows whatever becomes of the others, and decides nothing
            [sense, *loads, publish] >> tells
    return dag


def _load_task(source: Source, known: dict[str, Any], *, in_group: bool) -> LoadOperator:
    return LoadOperator(
        task_id=source.name if in_group else f"load.{source.name}",  # the group's id comes before
        **known,
        source=source.name,
        doc_md=source.description,
        owner=source.owner,
        inlets=[landing_asset(source.name)],
        outlets=[bronze_asset(source.name)],
    )


def _pipeline_doc(settings: Settings, pipeline: Pipeline, sources: list[Source]) -> str:
    lines = [
        pipeline.description,
        "",
        f"Owner: {pipeline.owner}. Runs {schedule_in_words(pipeline)}, or by hand.",
    ]
    if not sources:
        return "\n".join(lines)
    lines += [
        "",
        "| source | drop files into | names | owner | what arrives |",
        "|---|---|---|---|---|",
    ]
    for source in sources:
        cells = (
            source.name,
            f"`{landing_folder(settings, source)}`",
            f"`{source.file_glob}`",
            source.owner,
            _first_sentence(source.description),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", _ON_REJECTED_FILES])


def _first_sentence(text: str) -> str:
    """The first sentence, on one line."""
    line = " ".join(text.split())
    head, stop, _ = line.partition(". ")
    return f"{head}." if stop else line


def _config_error_dag(name: str, problems: str) -> DAG:
    dag = DAG(
        name,
        description="The registry's entry is broken: see its documentation.",
        doc_md=f"The pipeline cannot run until this is mended:\n\n```\n{problems}\n```",
        schedule=None,
        tags=[CONFIG_ERROR_TAG],
        catchup=False,
        max_active_runs=1,
    )
    with dag:
        ConfigErrorOperator(task_id="config_error", problems=problems)
    return dag


def _listed(problems: tuple[Problem, ...]) -> str:
    return "\n".join(str(problem) for problem in problems)
