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
from sluice.loading.hiding import ShownRecords, entry_of_broken, shown_entry, shown_unmended
from sluice.loading.kept import is_kept
from sluice.loading.reject_export import RejectExport
from sluice.loading.reject_names import suggest_name
from sluice.orchestration.forms import REPLAY_DAG, WITHDRAW_DAG
from sluice.orchestration.page import queries
from sluice.orchestration.page.access import Visible, VisibleDep, visible
from sluice.orchestration.page.contract import column_lines, contract_lines
from sluice.orchestration.page.drawing import loads_chart
from sluice.orchestration.page.instance import Instance, Look
from sluice.orchestration.page.pending import pending_of
from sluice.orchestration.page.rendering import HEADERS
from sluice.orchestration.page.timetable import missed_inputs, timetables
from sluice.pipeline.freshness import FreshnessState, freshness_states
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
OF_ATTENTION = 20  # sources, and rejected files
MOST_COUNTED = 100_000  # rejected records, by reason: 0.1 s

LARGEST = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST)]
Words = Annotated[str, Query(max_length=100)]


def _instance(request: Request) -> Instance:
    instance: Instance = request.app.state.instance
    return instance


InstanceDep = Annotated[Instance, Depends(_instance)]


def render(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A template with its values."""
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
        sources = _freshness(connection, seen, sources=list(seen.sources))
        pipelines = _freshness(connection, seen, pipelines=seen.pipelines)
        missed = missed_inputs(connection, seen.pipelines)
        rejected = unmended_files(connection, list(seen.sources), 1)
    return render(
        request,
        "landing_zone.html",
        failures=[each[0] for each in missed.values() if each[0].has_failed and each[0].is_newest],
        rejected=rejected,
        sources=[seen.sources[name] for name in names],
        waiting=_waiting(look),
        look=look,
        freshness=sources,
        late=_late([*sources.values(), *pipelines.values()]),
        last=last,
        charts={name: loads_chart(loads, SPARKLINE) for name, loads in recent.items()},
        attention=[
            name for name in seen.sources if name in rejected or _wants_attention(last.get(name))
        ],
        most_attention=OF_ATTENTION,
        broken_sources=list(seen.broken_sources),
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


def _late(states: Sequence[FreshnessState]) -> dict[str, list[FreshnessState]]:
    """What is late, by how late it is."""
    return {kind: [state for state in states if state.state == kind] for kind in ("error", "warn")}


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
    if name in seen.broken_sources:
        return _broken_source(request, instance, seen, name, before)
    declared = seen.source(name)
    look = instance.look()
    with instance.connect() as connection:
        entries = queries.loads(connection, name, before, PAGE + 1)
        loads = [shown_entry(declared, entry) for entry in entries]
        recent = queries.recent_loads(connection, [name], SPARKLINE)[name]
        freshness = _freshness(connection, seen, sources=[name])
        found = unmended_files(connection, [name], OF_ATTENTION).get(name)
    return render(
        request,
        "source.html",
        rejected=found and shown_unmended(declared, found),
        source=declared,
        folder=str(landing_folder(instance.settings, declared)),
        contract=contract_lines(declared),
        columns=column_lines(declared),
        pipelines=pipelines_of(seen, name),
        may_replay=seen.may_start(REPLAY_DAG),
        freshness=freshness.get(name),
        look=look,
        waiting=_waiting(look).get(name),
        chart=loads_chart(recent, SPARKLINE),
        loads=loads[:PAGE],
        before=before,
        next_before=next_before(loads, PAGE, "load_id"),
    )


def _broken_source(
    request: Request, instance: Instance, seen: Visible, name: str, before: int | None
) -> HTMLResponse:
    """A source whose entry is broken: what is wrong with it, and its loads."""
    with instance.connect() as connection:
        loads = queries.loads(connection, name, before, PAGE + 1)
    return render(
        request,
        "broken_source.html",
        name=name,
        problems=seen.broken_sources[name],
        loads=[entry_of_broken(entry) for entry in loads[:PAGE]],
        before=before,
        next_before=next_before(loads, PAGE, "load_id"),
    )


def pipelines_of(seen: Visible, source: str) -> list[str]:
    """The names of the sound pipelines of a source that the user may see."""
    pipelines = seen.registry.pipelines
    return [
        name for name in seen.pipelines if name in pipelines and source in pipelines[name].sources
    ]


def next_before(rows: Sequence[queries.Row], page: int, key: str) -> int | None:
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
        entry = visible_load(seen, queries.load(connection, load_id))
        if entry["source"] in seen.broken_sources:
            return _load_of_broken(request, connection, seen, entry)
        declared = seen.source(entry["source"])
        pipelines = pipelines_of(seen, declared.name)
        with connection.transaction():
            rows = rejected_rows(connection, [load_id], RECORDS + 1, after=after)
            shown = ShownRecords(declared, {load_id: entry["file_columns"]})
            records = list(shown.of(rows))
        values = {
            "counts": counts_by_reason(connection, [load_id], MOST_COUNTED),
            "history": queries.loads_of_file(connection, entry["file_id"], PAGE),
            "published": queries.publications_of_load(connection, load_id, pipelines),
            "can_be_replayed": is_kept(connection, declared, entry["file_name"], load_id),
        }
    more = len(records) > RECORDS
    return render(
        request,
        "load.html",
        load=shown_entry(declared, entry),
        problems=(),
        most_counted=MOST_COUNTED,
        may_withdraw=seen.may_start(WITHDRAW_DAG),
        may_replay=seen.may_start(REPLAY_DAG),
        is_replaced_whole=declared.write_disposition == "replace",
        records=records[:RECORDS],
        after=after,
        next_after=records[RECORDS - 1].row_number if more else None,
        **values,
    )


def _load_of_broken(
    request: Request, connection: Connection, seen: Visible, entry: queries.Row
) -> HTMLResponse:
    """A load of a source whose entry is broken: as much as shows no value of its columns."""
    return render(
        request,
        "load.html",
        load=entry_of_broken(entry),
        problems=seen.broken_sources[entry["source"]],
        history=queries.loads_of_file(connection, entry["file_id"], PAGE),
        published=queries.publications_of_load(connection, entry["load_id"], seen.pipelines),
        can_be_replayed=False,
        may_withdraw=False,
        may_replay=False,
    )


def visible_load(seen: Visible, entry: queries.Row | None) -> queries.Row:
    """An entry of the ledger that the user may see.

    Raises:
        HTTPException: 404, whether there is none or it is hidden.
    """
    if entry is None or entry["source"] not in {*seen.sources, *seen.broken_sources}:
        raise HTTPException(404, "There is no such load that you may see.")
    return entry


@router.get("/loads/{load_id}/rejects.csv")
def rejects(instance: InstanceDep, seen: VisibleDep, load_id: Id) -> StreamingResponse:
    """The rejected records of a load, as ``sluice rejects --export`` writes them."""
    with instance.connect() as connection:
        entry = visible_load(seen, queries.load(connection, load_id))
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
    declared = seen.registry.pipelines
    sound = [declared[name] for name in seen.pipelines if name in declared]
    look = instance.look()
    with instance.connect() as connection:
        rows = queries.pipelines(connection, seen.pipelines)
        pending = pending_of(connection, sound)
        runs = timetables(connection, sound, _arrived(look), pending)
        freshness = _freshness(connection, seen, pipelines=seen.pipelines)
    return render(
        request,
        "publications.html",
        pipelines=rows,
        freshness=freshness,
        pending=pending,
        timetables=runs,
    )


def _arrived(look: Look) -> frozenset[str]:
    """The sources of which settled deliveries lie in the landing zone."""
    return frozenset(name for name, there in _waiting(look).items() if there["settled"])


@router.get("/pipelines/{name}")
def pipeline(
    request: Request, instance: InstanceDep, seen: VisibleDep, name: str, before: Before = None
) -> HTMLResponse:
    """A pipeline: its builds, and what each published."""
    check_pipeline(seen, name)
    declared = seen.registry.pipelines.get(name)
    sound = [declared] if declared else []
    look = instance.look()
    with instance.connect() as connection:
        builds = queries.builds(connection, name, before, PAGE + 1)
        pending = pending_of(connection, sound)
        runs = timetables(connection, sound, _arrived(look), pending)
    return render(
        request,
        "pipeline.html",
        name=name,
        declared=declared,
        timetable=runs.get(name),
        pending=pending.get(name),
        problems=seen.registry.broken_pipelines.get(name, ()),
        builds=builds[:PAGE],
        before=before,
        next_before=next_before(builds, PAGE, "transformation_id"),
    )


def check_pipeline(seen: Visible, name: str) -> None:
    """Raise HTTPException, 404, where there is none that the user may see."""
    if name not in seen.pipelines:
        raise HTTPException(404, f"{name} is no pipeline of the registry that you may see.")
