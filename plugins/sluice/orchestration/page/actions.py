"""What a user may do: forms of the page that start a DAG's run, in the user's name.

Each is a page that says what will happen, with a button; what the button sends is held against
``permits``, and Airflow decides whether the user may.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from sluice.loading.kept import is_kept
from sluice.orchestration.forms import REPLAY_DAG, WITHDRAW_DAG
from sluice.orchestration.page import queries
from sluice.orchestration.page.access import Visible, VisibleDep, visible
from sluice.orchestration.page.airflow_api import find_run, start_run
from sluice.orchestration.page.permits import read_permit, same_origin, write_permit
from sluice.orchestration.page.views import Id, InstanceDep, pipelines_of, render, visible_load
from sluice.warehouse import ledger

# As of the views: nothing without a user.
router = APIRouter(dependencies=[Depends(visible)])

_SEE_OTHER = 303  # the answer to a form is another page, so that reloading it sends nothing again
_LONGEST_PERMIT = 1000


@dataclass(frozen=True)
class Action:
    """Something that the user may be about to do.

    Attributes:
        path: of its form, below the page's own.
        dag_id: the DAG that does it.
        source: whose files.
        parameters: of the run.
        file_name: the one file that is meant; None for all of the source.
        load_id: the load that it was asked for on; None where it was the source's page.
        pipelines: those that the user sees of what is built after it.
        is_replaced_whole: whether one file is all that there is of the source.
        becomes_truth: whether the file becomes that one by it, and the rows of every other leave.
    """

    path: str
    dag_id: str
    source: str
    parameters: dict[str, Any]
    file_name: str | None = None
    load_id: int | None = None
    pipelines: tuple[str, ...] = ()
    is_replaced_whole: bool = False
    becomes_truth: bool = False

    @property
    def is_dangerous(self) -> bool:
        """Whether rows may leave in whose place none come."""
        may_go_back = self.is_replaced_whole and self.file_name is None
        return self.dag_id == WITHDRAW_DAG or self.becomes_truth or may_go_back

    @property
    def permits(self) -> str:
        """What the form is a permit for: not for more than it said when it was opened."""
        return f"{self.path} as the whole truth" if self.becomes_truth else self.path


def _withdrawal(instance: InstanceDep, seen: VisibleDep, load_id: Id) -> Action:
    with instance.connect() as connection:
        entry = visible_load(seen, queries.load(connection, load_id))
        source, file_name = seen.source(entry["source"]).name, entry["file_name"]
        current = ledger.current_loads(connection, source, file_name)
        newest = max((each.load_id for each in current), default=None)
    if not entry["is_in_bronze"]:
        raise HTTPException(409, "None of its rows are in bronze: there is nothing to take out.")
    if newest != load_id:
        raise HTTPException(
            409,
            f"Rows of the same file came later, as load {newest}: what is withdrawn is the whole"
            " file, from the page of its newest load.",
        )
    return Action(
        f"/loads/{load_id}/withdraw",
        WITHDRAW_DAG,
        source,
        {"source": source, "file": file_name, "load_id": load_id},
        file_name,
        load_id,
        tuple(pipelines_of(seen, source)),
    )


def _replay_of_load(instance: InstanceDep, seen: VisibleDep, load_id: Id) -> Action:
    with instance.connect() as connection:
        entry = visible_load(seen, queries.load(connection, load_id))
        source, file_name = entry["source"], entry["file_name"]
        if not is_kept(connection, seen.source(source), file_name, load_id):
            raise HTTPException(409, "A replay would not take it: a later delivery has its place.")
    is_replaced_whole = _is_replaced_whole(seen, source)
    return Action(
        f"/loads/{load_id}/replay",
        REPLAY_DAG,
        source,
        {"source": source, "files": [file_name], "load_id": load_id},
        file_name,
        load_id,
        tuple(pipelines_of(seen, source)),
        is_replaced_whole=is_replaced_whole,
        becomes_truth=is_replaced_whole and not entry["is_in_bronze"],
    )


def _replay_of_source(seen: VisibleDep, name: str) -> Action:
    source = seen.source(name).name
    return Action(
        f"/sources/{quote(source, safe='')}/replay",
        REPLAY_DAG,
        source,
        {"source": source},
        pipelines=tuple(pipelines_of(seen, source)),
        is_replaced_whole=_is_replaced_whole(seen, source),
    )


def _is_replaced_whole(seen: Visible, source: str) -> bool:
    return seen.source(source).write_disposition == "replace"


WithdrawalDep = Annotated[Action, Depends(_withdrawal)]
ReplayOfLoadDep = Annotated[Action, Depends(_replay_of_load)]
ReplayOfSourceDep = Annotated[Action, Depends(_replay_of_source)]
PermitField = Annotated[str, Form(max_length=_LONGEST_PERMIT)]
Day = Annotated[str, Form(max_length=10)]
SAME_ORIGIN = [Depends(same_origin)]


@router.get("/loads/{load_id}/withdraw")
def ask_to_withdraw(
    request: Request, user: GetUserDep, seen: VisibleDep, action: WithdrawalDep
) -> HTMLResponse:
    """What a withdrawal does, and the button."""
    return _asked(request, user, seen, action)


@router.post("/loads/{load_id}/withdraw", dependencies=SAME_ORIGIN)
async def withdraw(
    request: Request, user: GetUserDep, action: WithdrawalDep, permit: PermitField = ""
) -> RedirectResponse:
    """Start the withdrawal."""
    return await _started(request, user, action, permit)


@router.get("/loads/{load_id}/replay")
def ask_to_replay(
    request: Request, user: GetUserDep, seen: VisibleDep, action: ReplayOfLoadDep
) -> HTMLResponse:
    """What a replay of a file does, and the button."""
    return _asked(request, user, seen, action)


@router.post("/loads/{load_id}/replay", dependencies=SAME_ORIGIN)
async def replay(
    request: Request, user: GetUserDep, action: ReplayOfLoadDep, permit: PermitField = ""
) -> RedirectResponse:
    """Start the replay of a file."""
    return await _started(request, user, action, permit)


@router.get("/sources/{name}/replay")
def ask_to_replay_source(
    request: Request, user: GetUserDep, seen: VisibleDep, action: ReplayOfSourceDep
) -> HTMLResponse:
    """What a replay of a source does, the days to choose, and the button."""
    return _asked(request, user, seen, action)


@router.post("/sources/{name}/replay", dependencies=SAME_ORIGIN)
async def replay_source(
    request: Request,
    user: GetUserDep,
    action: ReplayOfSourceDep,
    permit: PermitField = "",
    first_day: Day = "",
    last_day: Day = "",
) -> RedirectResponse:
    """Start the replay of a source."""
    first, last = _day(first_day), _day(last_day)
    if first and last and first > last:
        raise HTTPException(400, f"{first} comes after {last}: nothing arrived then.")
    return await _started(request, user, action, permit, first_day=first, last_day=last)


def _day(text: str) -> str | None:
    """A day as the form sends it, where one was chosen."""
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        raise HTTPException(400, f"{text} is no day: write it as 2026-02-28.") from None


def _asked(request: Request, user: GetUserDep, seen: Visible, action: Action) -> HTMLResponse:
    is_allowed = seen.may_start(action.dag_id)
    return render(
        request,
        "confirm.html",
        action=action,
        is_withdrawal=action.dag_id == WITHDRAW_DAG,
        permit=write_permit(user.get_id(), action.permits) if is_allowed else None,
    )


async def _started(
    request: Request, user: GetUserDep, action: Action, permit: str, **more: Any
) -> RedirectResponse:
    parameters = action.parameters | more
    run_id = read_permit(permit, user.get_id(), action.permits).run_id(parameters)
    await start_run(request, user, action.dag_id, run_id, parameters)
    base = request.scope.get("root_path", "")
    return RedirectResponse(
        f"{base}/runs/{action.dag_id}/{quote(run_id, safe='')}", status_code=_SEE_OTHER
    )


@router.get("/runs/{dag_id}/{run_id}")
async def run(request: Request, user: GetUserDep, dag_id: str, run_id: str) -> HTMLResponse:
    """A run that a form has started: how it stands, and where Airflow shows it."""
    if dag_id not in (REPLAY_DAG, WITHDRAW_DAG):
        raise HTTPException(404, "There is no such form.")
    found = await find_run(request, user, dag_id, run_id)
    return render(
        request, "run.html", run=found, address=f"/dags/{dag_id}/runs/{quote(run_id, safe='')}"
    )
