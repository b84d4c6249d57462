"""Who may see what: the sources and pipelines of the DAGs that Airflow lets the user read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, HTTPException, Request

from sluice.orchestration.page.airflow_api import may_start
from sluice.registry import Registry, Source


def _nothing(dag_id: str) -> bool:  # noqa: ARG001
    return False


@dataclass(frozen=True)
class Visible:
    """The part of the registry that a user may see.

    Attributes:
        registry: all of it.
        pipelines: the names of those pipelines, sound or broken, by name.
        sources: the sources that these are built from, by name; those that no pipeline uses are
            seen by who may read every DAG.
        may_start: whether the user may start a DAG.
    """

    registry: Registry
    pipelines: tuple[str, ...]
    sources: dict[str, Source]
    may_start: Callable[[str], bool] = _nothing

    def source(self, name: str) -> Source:
        """A source that the user may see.

        Raises:
            HTTPException: 404, whether there is none or it is hidden.
        """
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
    pipelines = tuple(sorted(names & dags))
    sees_all = manager.is_authorized_dag(method="GET", user=user)
    if not pipelines and not sees_all:
        raise HTTPException(403, "You may read no pipeline's DAG.")
    sources = {
        source
        for name in pipelines
        if name in registry.pipelines
        for source in registry.pipelines[name].sources
    }
    if sees_all:
        used = {source for each in registry.pipelines.values() for source in each.sources}
        sources |= registry.sources.keys() - used
    by_name = {name: registry.sources[name] for name in sorted(sources)}
    return Visible(registry, pipelines, by_name, partial(may_start, user))


VisibleDep = Annotated[Visible, Depends(visible)]
