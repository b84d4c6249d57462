"""What has happened since it was told last: one question to the ledger for each kind of event.

Loads of a source, and builds and publications of a pipeline, are made one after the other: within
one subject their ids are in the order in which they became visible, so a marker misses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from sluice.errors import counted
from sluice.notifying.messages import News, shown
from sluice.pipeline.freshness import freshness_states
from sluice.publishing.approval import waiting_publication
from sluice.registry import Registry
from sluice.registry.notify import Event
from sluice.transforming import warned_tests

# Details of one subject in a message; the page has all of them.
MOST_LINES = 4

_NEW_LOADS = """
select asked.name, found.*
from unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as asked (name, marker, since)
cross join lateral (
    select
        max(load_id) as newest, count(*) as loads,
        count(*) filter (where outcome = 'rejected') as files,
        coalesce(sum(rows_rejected) filter (where outcome <> 'rejected'), 0)::bigint as records,
        (array_agg(load_id order by load_id desc))[:%s] as load_ids
    from ops.loads
    where source = asked.name and (outcome = 'rejected' or rows_rejected > 0)
        and case when asked.marker is null then loaded_at > asked.since
            else load_id > asked.marker end
) as found
where found.newest is not null
order by asked.name
"""
_LOADS = """
select load_id, file_name, outcome, rows_loaded, rows_rejected, reject_code, reject_record,
    reject_column
from ops.loads where load_id = any(%s) order by load_id desc
"""
_NEW_FAILURES = """
select asked.name, found.*, newest.message,
    (
        select transformation_id from ops.transformations
        where pipeline = asked.name and status <> 'running'
        order by transformation_id desc limit 1
    ) as last_build
from unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as asked (name, marker, since)
cross join lateral (
    select max(transformation_id) as newest, count(*) as builds
    from ops.transformations
    where pipeline = asked.name and status = 'failed'
        and case when asked.marker is null then ended_at > asked.since
            else transformation_id > asked.marker end
) as found
inner join ops.transformations as newest on newest.transformation_id = found.newest
order by asked.name
"""
_FAILED_NODES = """
select unique_id, resource_type, failures from ops.node_results
where transformation_id = %s and status in ('error', 'fail', 'runtime error')
order by unique_id
"""
_NEW_WARNINGS = """
select asked.name, max(transformation_id) as newest, count(*) as builds
from unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as asked (name, marker, since)
inner join ops.transformations on pipeline = asked.name
where case when asked.marker is null then ended_at > asked.since
        else transformation_id > asked.marker end
    and exists (
        select from ops.node_results
        where node_results.transformation_id = transformations.transformation_id
            and node_results.status = 'warn'
    )
group by asked.name
order by asked.name
"""
_NEW_PUBLICATIONS = """
select asked.name, found.*
from unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as asked (name, marker, since)
cross join lateral (
    select
        max(publication_id) as newest, count(*) as publications,
        max(transformation_id) as transformation_id, array_agg(publication_id) as ids
    from ops.publications
    where pipeline = asked.name
        and case when asked.marker is null then published_at > asked.since
            else publication_id > asked.marker end
) as found
where found.newest is not null
order by asked.name
"""
_CHANGES = """
select mart, sum(rows_inserted)::bigint as inserted, sum(rows_updated)::bigint as updated,
    sum(rows_deleted)::bigint as deleted
from ops.published_marts where publication_id = any(%s)
group by mart order by mart
"""
_NEW_MISSES = """
select pipeline as name, max(missing_id) as newest, count(distinct noticed_at) as runs,
    array_agg(distinct input order by input) as inputs, bool_or(on_missing = 'fail') as has_failed
from ops.missing_inputs
inner join unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as asked (name, marker, since)
    on pipeline = asked.name
where case when asked.marker is null then noticed_at > asked.since
    else missing_id > asked.marker end
group by pipeline
order by pipeline
"""


@dataclass(frozen=True)
class Known:
    """What was told of one subject.

    Attributes:
        since: what happened before is not told.
        marker: up to where it was told; None where nothing was.
    """

    since: datetime
    marker: str | None = None


Topics = Mapping[str, Known]
"""What was told, by the name of the source or pipeline."""


def find_news(
    connection: Connection, registry: Registry, event: Event, subjects: Mapping[str, Known]
) -> list[News]:
    """What is to be told of one kind of event.

    Args:
        connection: of a role that reads schema ops.
        registry: the sources and pipelines.
        event: which kind.
        subjects: of what, such as ``source orders`` or ``pipeline shop``, with what was told.
    """
    return list(_FINDERS[event](connection, registry, subjects))


def _by_name(subjects: Mapping[str, Known]) -> Topics:
    return {subject.partition(" ")[2]: known for subject, known in subjects.items()}


def _ask(connection: Connection, query: str, topics: Topics, *more: object) -> list[dict[str, Any]]:
    """The rows of a query of new things, a row for each name that has any."""
    markers = [known.marker and int(known.marker) for known in topics.values()]
    since = [known.since for known in topics.values()]
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, (list(topics), markers, since, *more)).fetchall()


def _rejected(connection: Connection, _: Registry, subjects: Mapping[str, Known]) -> Iterator[News]:
    for new in _ask(connection, _NEW_LOADS, _by_name(subjects), MOST_LINES):
        with connection.cursor(row_factory=dict_row) as cursor:
            loads = cursor.execute(_LOADS, (new["load_ids"],)).fetchall()
        counts = [
            counted(new[key], what)
            for key, what in (("files", "file"), ("records", "record"))
            if new[key]
        ]
        lines = [_load_line(load) for load in loads]
        if new["loads"] > len(loads):
            lines.append(f"and {counted(new['loads'] - len(loads), 'earlier file')}")
        name, newest = new["name"], new["newest"]
        yield News(
            f"source {name}",
            str(newest),
            f"{name}: {' and '.join(counts)} rejected",
            lines,
            f"loads/{newest}" if new["loads"] == 1 else f"sources/{name}",
        )


def _load_line(load: dict[str, Any]) -> str:
    """One file. The reason is its code: the words may repeat a value, and values stay here."""
    name = shown(load["file_name"])
    if load["outcome"] != "rejected":
        all_records = load["rows_loaded"] + load["rows_rejected"]
        return f"{name}: {load['rows_rejected']:,} of {counted(all_records, 'record')}"
    place = [f"record {load['reject_record']}"] if load["reject_record"] is not None else []
    if load["reject_column"]:
        place.append(f"column {shown(load['reject_column'])}")
    return f"{name}: the whole file, {', '.join([load['reject_code'], *place])}"


def _late(
    connection: Connection, registry: Registry, subjects: Mapping[str, Known]
) -> Iterator[News]:
    watched = replace(
        registry,
        sources={n: s for n, s in registry.sources.items() if f"source {n}" in subjects},
        pipelines={n: p for n, p in registry.pipelines.items() if f"pipeline {n}" in subjects},
    )
    for state in freshness_states(connection, watched):
        subject = f"{state.kind} {state.name}"
        marker = f"{state.state} {state.newest_at and state.newest_at.astimezone(UTC).isoformat()}"
        if state.state != "fresh" and marker != subjects[subject].marker:
            word = "is late" if state.state == "warn" else "is too late"
            yield News(
                subject,
                marker,
                f"{subject} {word}",
                [str(state).partition(": ")[2]],
                f"{state.kind}s/{state.name}",
            )


def _missing(connection: Connection, _: Registry, subjects: Mapping[str, Known]) -> Iterator[News]:
    for new in _ask(connection, _NEW_MISSES, _by_name(subjects)):
        name, inputs = new["name"], new["inputs"]
        is_one = len(inputs) == 1
        late = inputs[0] if is_one else counted(len(inputs), "input")
        went_on = f"the run went on without {'it' if is_one else 'them'}"
        what = "a run has failed" if new["has_failed"] else went_on
        missed = f" ({counted(new['runs'], 'run')})" if new["runs"] > 1 else ""
        yield News(
            f"pipeline {name}",
            str(new["newest"]),
            f"{name}: {late} did not come in time",
            [*([] if is_one else _listed(inputs)), f"{what}{missed}"],
            f"pipelines/{name}",
        )


def _failed(connection: Connection, _: Registry, subjects: Mapping[str, Known]) -> Iterator[News]:
    for new in _ask(connection, _NEW_FAILURES, _by_name(subjects)):
        name, newest = new["name"], new["newest"]
        lines = _listed(
            [
                f"{kind} {shown(unique_id.split('.')[2])}"
                + (f": {failures:,} found" if failures else "")
                for unique_id, kind, failures in connection.execute(_FAILED_NODES, (newest,))
            ]
        )
        if not lines and new["message"]:  # what is wrong before any model is built
            lines = [shown(" ".join(new["message"].split()))]
        is_mended = new["last_build"] != newest
        lines.append("A later build has passed." if is_mended else "Gold is as it was.")
        times = f", {new['builds']} times" if new["builds"] > 1 else ""
        yield News(
            f"pipeline {name}", str(newest), f"{name}: failed{times}", lines, f"builds/{newest}"
        )


def _warned(connection: Connection, _: Registry, subjects: Mapping[str, Known]) -> Iterator[News]:
    for new in _ask(connection, _NEW_WARNINGS, _by_name(subjects)):
        name, newest = new["name"], new["newest"]
        tests = warned_tests(connection, newest)
        lines = [
            f"{shown(test.name)}" + (f": {test.failures:,} found" if test.failures else "")
            for test in tests
        ]
        times = f", in {new['builds']} builds" if new["builds"] > 1 else ""
        yield News(
            f"pipeline {name}",
            str(newest),
            f"{name}: {counted(len(tests), 'test')} warned{times}",
            _listed(lines),
            f"builds/{newest}",
        )


def _held(connection: Connection, _: Registry, subjects: Mapping[str, Known]) -> Iterator[News]:
    for name, known in _by_name(subjects).items():
        held = waiting_publication(connection, name)
        if held and (known.marker is None or held.transformation_id > int(known.marker)):
            yield News(
                f"pipeline {name}",
                str(held.transformation_id),
                f"{name}: a publication waits for approval",
                _listed([shown(reason) for reason in held.reasons]),
                f"builds/{held.transformation_id}",
            )


def _published(
    connection: Connection, _: Registry, subjects: Mapping[str, Known]
) -> Iterator[News]:
    for new in _ask(connection, _NEW_PUBLICATIONS, _by_name(subjects)):
        name = new["name"]
        lines = [
            f"{mart}: {inserted:,} inserted, {updated:,} updated, {deleted:,} deleted"
            for mart, inserted, updated, deleted in connection.execute(_CHANGES, (new["ids"],))
        ]
        many = new["publications"] > 1
        times = f" {new['publications']} times" if many else ""
        yield News(
            f"pipeline {name}",
            str(new["newest"]),
            f"{name}: published{times}",
            _listed(lines),
            f"pipelines/{name}" if many else f"builds/{new['transformation_id']}",
        )


def _listed(lines: Sequence[str]) -> list[str]:
    """As many as a message has room for."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    return [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more"]


_Finder = Callable[[Connection, Registry, Mapping[str, Known]], Iterator[News]]
_FINDERS: Mapping[Event, _Finder] = {
    "rejected": _rejected,
    "late": _late,
    "missing": _missing,
    "failed": _failed,
    "warned": _warned,
    "held": _held,
    "published": _published,
}
