"""Airflow's own interface, asked in the name of the user who asks the page.

What the user may not do, Airflow refuses; what it does bears the user's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from fastapi import HTTPException, Request

from sluice.orchestration.page.plugin import AIRFLOW_APP

_TOKEN_SECONDS = 30
_EXISTS = 409


@dataclass(frozen=True)
class Run:
    """A DAG's run, as Airflow tells of it."""

    dag_id: str
    run_id: str
    state: str
    user_name: str | None
    parameters: dict[str, Any]


def may_start(user: BaseUser, dag_id: str) -> bool:
    """Whether Airflow lets a user start a DAG."""
    return get_auth_manager().is_authorized_dag(
        method="POST",
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id),
        user=user,
    )


async def start_run(
    request: Request, user: BaseUser, dag_id: str, run_id: str, parameters: dict[str, Any]
) -> None:
    """Start a run; one of this id that is there already is that run.

    Raises:
        HTTPException: Airflow refuses the user, the parameters, or has no such DAG.
    """
    body = {"dag_run_id": run_id, "logical_date": None, "conf": parameters}
    response = await _ask(request, user, "POST", f"dags/{quote(dag_id, safe='')}/dagRuns", body)
    if response.status_code != _EXISTS:
        _check(response, f"start the DAG {dag_id}")


async def find_run(request: Request, user: BaseUser, dag_id: str, run_id: str) -> Run:
    """A run that the user may read.

    Raises:
        HTTPException: there is none, or Airflow refuses the user.
    """
    path = f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
    response = await _ask(request, user, "GET", path)
    _check(response, f"read the runs of the DAG {dag_id}")
    found = response.json()
    return Run(
        dag_id, run_id, found["state"], found["triggering_user_name"], dict(found["conf"] or {})
    )


async def _ask(
    request: Request, user: BaseUser, method: str, path: str, body: Any = None
) -> httpx.Response:
    """Ask the application that the page is mounted in, in this process."""
    token = get_auth_manager().generate_jwt(user, expiration_time_in_seconds=_TOKEN_SECONDS)
    transport = httpx.ASGITransport(request.scope[AIRFLOW_APP], raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}", "Referer": str(request.url)}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        return await client.request(method, f"/api/v2/{path}", json=body, headers=headers)


def _check(response: httpx.Response, what: str) -> None:
    """Raise what Airflow has against it.

    Raises:
        HTTPException: with Airflow's status.
    """
    if response.is_success:
        return
    status = response.status_code
    if status in (401, 403):
        raise HTTPException(403, f"Airflow does not let you {what}.")
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = "its log says why"
    raise HTTPException(status if status < 500 else 502, f"Airflow could not {what}: {detail}")
