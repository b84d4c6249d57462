"""The views of builds: what one of them changed and found, and a model's history over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse

from sluice.errors import counted
from sluice.orchestration.page import queries
from sluice.orchestration.page.access import VisibleDep, visible
from sluice.orchestration.page.drawing import Chart, chart
from sluice.orchestration.page.rendering import seconds
from sluice.orchestration.page.views import (
    Before,
    Id,
    InstanceDep,
    check_pipeline,
    next_before,
    render,
)
from sluice.publishing.approval import find_held

# As of the other views: nothing without a user.
router = APIRouter(dependencies=[Depends(visible)])

# Runs of `./sluice run` and `./sluice replay`, which Airflow knows nothing of.
OF_COMMANDS = ("cli__", "replay__")

HISTORY = 60  # builds
ROWS = "rows_affected"
FAILING_ROWS = 5  # of a test, where it is one among many


@router.get("/builds/{build_id}")
def build(request: Request, instance: InstanceDep, seen: VisibleDep, build_id: Id) -> HTMLResponse:
    """A build: what it changed in each mart, what failed and why."""
    with instance.connect() as connection:
        found = queries.build(connection, build_id)
        if found is None or found["pipeline"] not in seen.pipelines:
            raise HTTPException(404, "There is no such build that you may see.")
        nodes = queries.nodes(connection, build_id)
        publication = found["publication_id"]
        marts = queries.marts(connection, publication) if publication else []
        held = find_held(connection, build_id)
        failing = queries.failing_rows(connection, build_id, FAILING_ROWS)
    return render(
        request,
        "build.html",
        build=found,
        marts=marts,
        held=held,
        failing=failing,
        failed=[node for node in nodes if node["is_failure"]],
        warned=[node for node in nodes if node["status"] == "warn"],
        models=[node for node in nodes if not node["is_test"]],
        tests=[node for node in nodes if node["is_test"]],
        is_of_airflow=not found["run_id"].startswith(OF_COMMANDS),
    )


@router.get("/pipelines/{name}/nodes/{node}")
def node(
    request: Request,
    instance: InstanceDep,
    seen: VisibleDep,
    name: str,
    node: str,
    before: Before = None,
) -> HTMLResponse:
    """A model, or a test: how long it took and what it did in each build."""
    check_pipeline(seen, name)
    with instance.connect() as connection:
        if "\0" in node or not queries.has_node(connection, name, node):
            raise HTTPException(404, f"No build of {name} had a model or test {node}.")
        builds = queries.node_history(connection, name, node, before, HISTORY + 1)
        failing = queries.newest_failing_rows(connection, name, node)
    results = [each for each in builds[:HISTORY] if each["status"] is not None]
    amount = _amount(results)
    return render(
        request,
        "node.html",
        pipeline=name,
        node=node,
        results=results,
        failing=failing,
        durations=_history_chart(results, "execution_seconds", seconds),
        amounts=_history_chart(
            results, amount, lambda count: counted(count, "row" if amount == ROWS else "failure")
        ),
        amount=amount,
        before=before,
        next_before=next_before(builds, HISTORY, "transformation_id"),
    )


def _amount(results: Sequence[queries.Row]) -> str:
    """What is counted of a node: rows of a model, failures of a test."""
    return "failures" if results and results[0]["is_test"] else ROWS


def _history_chart(
    results: Sequence[queries.Row], figure: str, in_words: Callable[[Any], str]
) -> Chart:
    values = []
    for each in reversed(results):
        value = each[figure] or 0
        failed = each["is_failure"]
        words = f"{each['started_at']:%Y-%m-%d %H:%M}: {in_words(value)}, {each['status']}"
        values.append((0 if failed else value, value if failed else 0, words))
    most = max((each[figure] or 0 for each in results), default=0)
    builds = counted(len(results), "build")
    return chart(values, HISTORY, f"{builds}, up to {in_words(most)}")
