"""The views: each asks the ledger for as much as it shows, and renders a template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from psycopg import Connection

from sluice.landing.zone import landing_folder
from sluice.loading.kept import is_kept
from sluice.loading.reject_export import RejectExport
from sluice.loading.reject_names import suggest_name
from sluice.orchestration.forms import REPLAY_DAG, WITHDRAW_DAG
from sluice.orchestration.page import queries
from sluice.orchestration.page.access import Visible, VisibleDep, visible
from sluice.orchestration.page.contract import column_lines, contract_lines
from sluice.orchestration.page.drawing import chart, loads_chart
from sluice.orchestration.page.instance import Instance, Look
from sluice.orchestration.page.rendering import HEADERS
from sluice.pipeline.freshness import FreshnessState, freshness_states
from sluice.publishing.approval import find_held
from sluice.warehouse.rejected_rows import (
    counts_by_reason,
    is_delivered,
    rejected_rows,
    unmended_files,
)

# No view without a user: it stands here, so that none can forget it.
router = APIRouter(dependencies=[Depends(visible)])

PAGE = 50  # entries of a list
RECORDS = 20  # rejected records, which may be long
SPARKLINE = 30  # loads
HISTORY = 60  # builds
OF_ATTENTION = 20  # sources, and rejected files
MOST_COUNTED = 100_000  # rejected records, by reason: 0.1 s
FAILING_ROWS = 5  # of a test, where it is one among many

TESTS = ("test", "unit_test")  # dbt's other kinds of nodes make tables

LARGEST = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST)]
Words = Annotated[str, Query(max_length=100)]


def _instance(request: Request) -> Instance:
    instance: Instance = request.app.state.instance
    return instance


InstanceDep = Annotated[Instance, Depends(_instance)]


def _render(request: Request, template: str, **values: Any) -> HTMLResponse:
    response: HTMLResponse = request.app.state.render(request, template, **values)
    return response


@router.get("/")
def landing_zone(
    request: Request, instance: InstanceDep, seen: VisibleDep, find: Words = "", after: Words = ""
) -> HTMLResponse:
    """Each source: what waits, what came last, the last loads as a sparkline."""
    found = [name for name in seen.sources if find.lower() in name and name > after]
    names = found[:PAGE]
    look = instance.look()
    with instance.connect() as connection:
        last = queries.last_deliveries(connection, list(seen.sources))
        recent = queries.recent_loads(connection, names, SPARKLINE)
        freshness = _freshness(connection, seen, sources=names)
        rejected = unmended_files(connection, list(seen.sources), 1)
    return _render(
        request,
        "landing_zone.html",
        rejected=rejected,
        sources=[seen.sources[name] for name in names],
        waiting=_waiting(look),
        look=look,
        freshness=freshness,
        last=last,
        charts={name: loads_chart(loads, SPARKLINE) for name, loads in recent.items()},
        attention=[
            name for name in seen.sources if name in rejected or _wants_attention(last.get(name))
        ],
        most_attention=OF_ATTENTION,
        broken={
            name: problems
            for name, problems in seen.registry.broken_pipelines.items()
            if name in seen.pipelines
        },
        find=find,
        after=after,
        next_after=names[-1] if len(found) > PAGE else None,
        total=len(seen.sources),
    )


def _freshness(
    connection: Connection,
    seen: Visible,
    sources: Sequence[str] = (),
    pipelines: Sequence[str] = (),
) -> dict[str, FreshnessState]:
    """The state of those of these sources, or of these pipelines, that say how old they may be."""
    declared = seen.registry.pipelines
    shown = replace(
        seen.registry,
        sources={name: seen.sources[name] for name in sources},
        pipelines={name: declared[name] for name in pipelines if name in declared},
    )
    return {state.name: state for state in freshness_states(connection, shown)}


def _wants_attention(last: queries.Row | None) -> bool:
    return last is not None and (last["outcome"] == "rejected" or last["rows_rejected"] > 0)


def _waiting(look: Look) -> dict[str, dict[str, Any]]:
    """What lies in the folder of each source that has anything there."""
    waiting: dict[str, dict[str, Any]] = {}
    if look.listing is None:
        return waiting

    def of(source: str) -> dict[str, Any]:
        return waiting.setdefault(source, {"settled": 0, "unsettled": 0, "refused": []})

    for delivery in look.listing.deliveries:
        of(delivery.source)["settled"] += 1
    for source, count in look.listing.unsettled.items():
        of(source)["unsettled"] = count
    for refusal in look.listing.refusals:
        of(refusal.source)["refused"].append(refusal)
    return waiting


@router.get("/sources/{name}")
def source(
    request: Request, instance: InstanceDep, seen: VisibleDep, name: str, before: Before = None
) -> HTMLResponse:
    """A source: its contract and its loads."""
    declared = seen.source(name)
    look = instance.look()
    with instance.connect() as connection:
        loads = queries.loads(connection, name, before, PAGE + 1)
        recent = queries.recent_loads(connection, [name], SPARKLINE)[name]
        freshness = _freshness(connection, seen, sources=[name])
        rejected = unmended_files(connection, [name], OF_ATTENTION).get(name)
    return _render(
        request,
        "source.html",
        rejected=rejected,
        source=declared,
        folder=str(landing_folder(instance.settings, declared)),
        contract=contract_lines(declared),
        columns=column_lines(declared),
        pipelines=_pipelines_of(seen, name),
        freshness=freshness.get(name),
        look=look,
        waiting=_waiting(look).get(name),
        chart=loads_chart(recent, SPARKLINE),
        loads=loads[:PAGE],
        before=before,
        next_before=_next_before(loads, PAGE, "load_id"),
    )


def _pipelines_of(seen: Visible, source: str) -> list[str]:
    pipelines = seen.registry.pipelines
    return [
        name for name in seen.pipelines if name in pipelines and source in pipelines[name].sources
    ]


def _next_before(rows: Sequence[queries.Row], page: int, key: str) -> int | None:
    """The key at which the next page begins; None where there is no more."""
    return rows[page - 1][key] if len(rows) > page else None


@router.get("/loads/{load_id}")
def load(
    request: Request,
    instance: InstanceDep,
    seen: VisibleDep,
    load_id: Id,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
) -> HTMLResponse:
    """A load: what happened, and each record that could not be loaded."""
    with instance.connect() as connection:
        entry = _visible_load(seen, queries.load(connection, load_id))
        pipelines = _pipelines_of(seen, entry["source"])
        with connection.transaction():
            records = list(rejected_rows(connection, [load_id], RECORDS + 1, after=after))
        values = {
            "counts": counts_by_reason(connection, [load_id], MOST_COUNTED),
            "history": queries.loads_of_file(connection, entry["file_id"], PAGE),
            "published": queries.publications_of_load(connection, load_id, pipelines),
            "can_be_replayed": is_kept(
                connection, seen.source(entry["source"]), entry["file_name"], load_id
            ),
        }
    more = len(records) > RECORDS
    return _render(
        request,
        "load.html",
        load=entry,
        most_counted=MOST_COUNTED,
        withdraw_dag=WITHDRAW_DAG,
        replay_dag=REPLAY_DAG,
        is_replaced_whole=seen.source(entry["source"]).write_disposition == "replace",
        records=records[:RECORDS],
        after=after,
        next_after=records[RECORDS - 1].row_number if more else None,
        **values,
    )


def _visible_load(seen: Visible, entry: queries.Row | None) -> queries.Row:
    if entry is None or entry["source"] not in seen.sources:
        raise HTTPException(404, "There is no such load that you may see.")
    return entry


@router.get("/loads/{load_id}/rejects.csv")
def rejects(instance: InstanceDep, seen: VisibleDep, load_id: Id) -> StreamingResponse:
    """The rejected records of a load, as ``sluice rejects --export`` writes them."""
    with instance.connect() as connection:
        entry = _visible_load(seen, queries.load(connection, load_id))
        declared = seen.source(entry["source"])
        name = suggest_name(
            declared,
            [(load_id, entry["file_name"])],
            partial(is_delivered, connection, declared.name),
        )
    export = RejectExport(declared, {load_id: entry["file_columns"]})

    def lines() -> Iterator[str]:
        with instance.connect() as connection, connection.transaction():
            yield from export.lines(rejected_rows(connection, [load_id]))

    quoted = quote(name or f"rejects-{declared.name}-{load_id}.csv", safe="")
    headers = {**HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{quoted}"}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/publications")
def publications(request: Request, instance: InstanceDep, seen: VisibleDep) -> HTMLResponse:
    """Each pipeline: what is pending, the newest build, the newest publication."""
    sound = [name for name in seen.pipelines if name in seen.registry.pipelines]
    pairs = [(name, source) for name in sound for source in seen.registry.pipelines[name].sources]
    with instance.connect() as connection:
        rows = queries.pipelines(connection, seen.pipelines)
        pending = queries.pending(connection, pairs)
        freshness = _freshness(connection, seen, pipelines=seen.pipelines)
    return _render(
        request,
        "publications.html",
        pipelines=rows,
        freshness=freshness,
        pending=pending,
        most_pending=queries.MOST_PENDING,
        declared=seen.registry.pipelines,
    )


@router.get("/pipelines/{name}")
def pipeline(
    request: Request, instance: InstanceDep, seen: VisibleDep, name: str, before: Before = None
) -> HTMLResponse:
    """A pipeline: its builds, and what each published."""
    _check_pipeline(seen, name)
    with instance.connect() as connection:
        builds = queries.builds(connection, name, before, PAGE + 1)
    return _render(
        request,
        "pipeline.html",
        name=name,
        declared=seen.registry.pipelines.get(name),
        problems=seen.registry.broken_pipelines.get(name, ()),
        builds=builds[:PAGE],
        before=before,
        next_before=_next_before(builds, PAGE, "transformation_id"),
    )


def _check_pipeline(seen: Visible, name: str) -> None:
    if name not in seen.pipelines:
        raise HTTPException(404, f"{name} is no pipeline of the registry that you may see.")


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
    return _render(
        request,
        "build.html",
        build=found,
        marts=marts,
        held=held,
        failing=failing,
        failed=[node for node in nodes if node["is_failure"]],
        warned=[node for node in nodes if node["status"] == "warn"],
        models=[node for node in nodes if node["resource_type"] not in TESTS],
        tests=[node for node in nodes if node["resource_type"] in TESTS],
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
    _check_pipeline(seen, name)
    with instance.connect() as connection:
        builds = queries.node_history(connection, name, node, before, HISTORY + 1)
        failing = queries.newest_failing_rows(connection, name, node)
    results = [each for each in builds[:HISTORY] if each["status"] is not None]
    return _render(
        request,
        "node.html",
        pipeline=name,
        node=node,
        results=results,
        failing=failing,
        durations=_history_chart(results, "execution_seconds", " s"),
        amounts=_history_chart(results, _amount(results), ""),
        amount=_amount(results),
        before=before,
        next_before=_next_before(builds, HISTORY, "transformation_id"),
    )


def _amount(results: Sequence[queries.Row]) -> str:
    """What is counted of a node: rows of a model, failures of a test."""
    is_test = bool(results) and results[0]["resource_type"] in TESTS
    return "failures" if is_test else "rows_affected"


def _history_chart(results: Sequence[queries.Row], figure: str, unit: str) -> Any:
    values = []
    for each in reversed(results):
        value = each[figure] or 0
        failed = each["is_failure"]
        words = f"{each['started_at']:%Y-%m-%d %H:%M}: {value:,.4g}{unit}, {each['status']}"
        values.append((0 if failed else value, value if failed else 0, words))
    most = max((each[figure] or 0 for each in results), default=0)
    return chart(values, HISTORY, f"{len(results)} builds, up to {most:,.4g}{unit}")
