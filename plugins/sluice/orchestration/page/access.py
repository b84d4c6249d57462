"""Who may see what: the sources and pipelines of the DAGs that Airflow lets the user read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, HTTPException, Request

from sluice.orchestration.page.airflow_api import may_start
from sluice.registry import Problem, Registry, Source, registry_error


def _nothing(dag_id: str) -> bool:  # noqa: ARG001
    return False


@dataclass(frozen=True)
class Visible:
    """The part of the registry that a user may see.

    Attributes:
        registry: all of it.
        pipelines: the names of those pipelines, sound or broken, by name.
        sources: the sound sources that these are built from, by name; those that no pipeline uses
            are seen by who may read every DAG.
        broken_sources: those of them whose entries are broken, with what is wrong.
        may_start: whether the user may start a DAG.
    """

    registry: Registry
    pipelines: tuple[str, ...]
    sources: dict[str, Source]
    broken_sources: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    may_start: Callable[[str], bool] = _nothing

    def source(self, name: str) -> Source:
        """A source that the user may see.

        Raises:
            HTTPException: 404, whether there is none or it is hidden.
            ConfigError: its entry is broken; says how.
        """
        if name in self.broken_sources:
            raise registry_error(self.broken_sources[name])
        if name not in self.sources:
            raise HTTPException(404, f"There is no source {name} that you may see.")
        return self.sources[name]


def visible(request: Request, user: GetUserDep) -> Visible:
    """What the user of a request may see; a dependency of every view.

    Raises:
        HTTPException: 401 where nobody is logged in, 403 where no DAG may be read.
    """
    registry: Registry = request.app.state.instance.registry()
    manager = get_auth_manager()
    dags = manager.get_authorized_dag_ids(user=user, method="GET")
    names = {*registry.pipelines, *registry.broken_pipelines}
    broken = registry.broken_sources.keys()
    pipelines = tuple(sorted(names & dags))
    sees_all = manager.is_authorized_dag(method="GET", user=user)
    if not pipelines and not sees_all:
        raise HTTPException(403, "You may read no pipeline's DAG.")
    # Of a broken pipeline, those that its entry names all the same.
    sources = {source for name in pipelines for source in registry.named_sources.get(name, ())}
    if sees_all:
        used = {source for each in registry.named_sources.values() for source in each}
        sources |= {*registry.sources, *registry.broken_sources} - used
    return Visible(
        registry,
        pipelines,
        {name: registry.sources[name] for name in sorted(sources & registry.sources.keys())},
        {name: registry.broken_sources[name] for name in sorted(sources & broken)},
        partial(may_start, user),
    )


VisibleDep = Annotated[Visible, Depends(visible)]
