"""Who has to be told of what, and what was told: each thing once, a subject once an hour at most.

The ledger is the list of what happened, so nothing is lost where a process ends before it has told
it: whoever tells next does. From when on there is something to tell is recorded when a subject is
first seen, not when it is first told: what cannot be sent for days stays news. What was told is
recorded after it was sent; where a process ends in between, a message comes twice.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import LiteralString

import psycopg
from psycopg import Connection

from sluice.errors import ConfigError, InternalError, SluiceError
from sluice.notifying.events import Known, find_news
from sluice.notifying.messages import News, compose, test_message
from sluice.notifying.sending import send
from sluice.registry import Pipeline, Registry
from sluice.registry.notify import Event
from sluice.settings import Settings
from sluice.warehouse.connections import connect
from sluice.warehouse.failures import retriable_failures

logger = logging.getLogger(__name__)

# Of a pipeline that nobody was told of before, what happened in the last day is news.
FIRST_LOOK_BACK = timedelta(days=1)

# An address whose server has taken that long to refuse messages is left alone until the next look.
# Who is quicker may have refused one message, and take the others.
PATIENCE_SECONDS = 5.0

_KNOWN = """
select subject, since, marker,
    -- A server that is away is not asked by every run, but by every look of the DAG.
    coalesce(told_at > now() - interval '1 hour' or failed_at > now() - interval '4 minutes', false)
        as is_quiet
from ops.notifications where connection = %s and event = %s and subject = any(%s)
"""
_KNOWN_LOCKED = _KNOWN + " order by subject for update"
_MAKE = """
insert into ops.notifications (connection, event, subject, since)
select connection, event, subject, now() - %s
from unnest(%s::text[], %s::text[], %s::text[]) as asked (connection, event, subject)
order by connection, event, subject
on conflict do nothing
"""
_RECORD = """
update ops.notifications
set marker = %s, told_at = clock_timestamp(), messages = messages + 1, failed_at = null,
    failure = null
where connection = %s and event = %s and subject = %s
"""
_RECORD_FAILURE = """
update ops.notifications set failed_at = clock_timestamp(), failure = %s
where connection = %s and event = %s and subject = any(%s)
"""


@dataclass
class Told:
    """What came of telling.

    Attributes:
        titles: of the messages that were sent.
        problems: what kept others from being sent; they are tried again.
    """

    titles: list[str] = field(default_factory=list)
    problems: list[SluiceError] = field(default_factory=list)

    def note(self, problem: SluiceError) -> None:
        """Keep a problem, once: a server that is away is one for every event."""
        if str(problem) not in [str(known) for known in self.problems]:
            self.problems.append(problem)


@dataclass(frozen=True)
class _Topic:
    """What one connection is told of one kind of event.

    Attributes:
        address: the connection's name.
        event: which kind.
        subjects: of which sources or pipelines.
        pipelines: those that ask for it.
    """

    address: str
    event: Event
    subjects: tuple[str, ...]
    pipelines: tuple[str, ...]


def tell(settings: Settings, registry: Registry, names: Iterable[str] | None = None) -> Told:
    """Send what has not been told yet.

    Args:
        settings: the instance.
        registry: its registry.
        names: of which pipelines; of all of them where None.

    Raises:
        ConfigError: there is no such pipeline, or it is broken.
        RetriableError: the warehouse is away.
    """
    asked = registry.pipelines if names is None else names
    topics = _topics([registry.pipeline(name) for name in asked], registry)
    told = Told()
    seconds_lost: defaultdict[str, float] = defaultdict(float)
    if not topics:
        return told
    with (
        retriable_failures("people were told", lock="Somebody else is telling, and takes long."),
        connect(
            settings, "transformer", application_name="sluice notify", autocommit=True
        ) as connection,
    ):
        _make(connection, topics)
        for topic in topics:
            if seconds_lost[topic.address] >= PATIENCE_SECONDS:
                continue
            try:
                title = _tell(connection, settings, registry, topic)
            except psycopg.Error:
                raise
            except _UnsentError as unsent:
                told.note(unsent.reason)
                seconds_lost[topic.address] += unsent.seconds
            except Exception as error:  # the others go on
                told.note(_unexpected(topic, error))
            else:
                if title:
                    logger.info("told %s: %s", topic.address, title)
                    told.titles.append(title)
    return told


def tell_or_log(settings: Settings, registry: Registry, pipeline: str) -> None:
    """Tell of a pipeline where nothing may fail for it: what goes wrong is in the log."""
    try:
        for problem in tell(settings, registry, [pipeline]).problems:
            logger.error("%s", problem)
    except Exception:
        logger.exception("nobody could be told of pipeline %s", pipeline)


def send_test(settings: Settings, registry: Registry, pipeline_name: str) -> Told:
    """Send a message to each address of a pipeline, to see whether it arrives.

    Raises:
        ConfigError: there is no such pipeline, or it is broken.
    """
    pipeline = registry.pipeline(pipeline_name)
    told = Told()
    for notify in pipeline.notify:
        message = test_message(settings, pipeline_name, notify.events)
        wanted_by = f"pipeline {pipeline_name}"
        try:
            send(notify.connection, settings.home, message, wanted_by=wanted_by)
        except SluiceError as error:
            told.problems.append(error)
        else:
            told.titles.append(f"{notify.connection}: {message.title}")
    return told


def _unexpected(topic: _Topic, error: Exception) -> SluiceError:
    """An error that says nothing of the other one's text, which may hold an address."""
    return InternalError(
        f"Nobody could be told of {topic.event} by connection {topic.address}:"
        f" {type(error).__name__}."
    )


def _topics(pipelines: Sequence[Pipeline], registry: Registry) -> list[_Topic]:
    """What each connection is told of; two pipelines of one source make one message of it."""
    subjects: dict[tuple[str, Event], dict[str, None]] = {}
    asking: dict[tuple[str, Event], list[str]] = {}
    for pipeline in pipelines:
        for notify in pipeline.notify:
            for event in notify.events:
                topic = notify.connection, event
                found = dict.fromkeys(_subjects(pipeline, event, registry))
                subjects.setdefault(topic, {}).update(found)
                asking.setdefault(topic, []).append(pipeline.name)
    return [
        _Topic(address, event, tuple(sorted(found)), tuple(asking[address, event]))
        for (address, event), found in sorted(subjects.items())
        if found
    ]


def _subjects(pipeline: Pipeline, event: Event, registry: Registry) -> list[str]:
    sources = [f"source {name}" for name in pipeline.sources]
    own = f"pipeline {pipeline.name}"
    if event == "rejected":
        return sources
    if event == "late":
        watched = [name for name in pipeline.sources if registry.source(name).freshness]
        return [f"source {name}" for name in watched] + ([own] if pipeline.freshness else [])
    return [own]


class _UnsentError(Exception):
    """A message could not be sent; why is recorded.

    Attributes:
        reason: why.
        seconds: how long that took; for ever where no other message can be sent either.
    """

    def __init__(self, reason: SluiceError, seconds: float) -> None:
        super().__init__(reason.message)
        self.reason = reason
        self.seconds = math.inf if isinstance(reason, ConfigError) else seconds


def _make(connection: Connection, topics: Sequence[_Topic]) -> None:
    """See that each subject has its row, with the moment from which on it is told of."""
    rows = [(topic.address, topic.event, name) for topic in topics for name in topic.subjects]
    columns = map(list, zip(*rows, strict=True))
    connection.execute(_MAKE, (FIRST_LOOK_BACK, *columns))


def _tell(
    connection: Connection, settings: Settings, registry: Registry, topic: _Topic
) -> str | None:
    """Send one message about all that is new of a topic; its title, None where nothing is.

    Raises:
        _UnsentError: it could not be sent.
    """
    unlocked = _news(connection, registry, topic, _KNOWN)
    if not unlocked:
        return None
    due = [news.subject for news in unlocked]
    unsent = None
    with connection.transaction():
        # Whoever tells the same at this moment is waited for, and has told it then.
        news = _news(connection, registry, replace(topic, subjects=tuple(due)), _KNOWN_LOCKED)
        if not news:
            return None
        message = compose(settings, topic.event, news)
        wanted_by = f"pipeline {', '.join(topic.pipelines)}"
        place = topic.address, topic.event
        begin = time.monotonic()
        try:
            send(topic.address, settings.home, message, wanted_by=wanted_by)
        except SluiceError as error:
            unsent = _UnsentError(error, time.monotonic() - begin)
            subjects = [one.subject for one in news]
            connection.execute(_RECORD_FAILURE, (error.message, *place, subjects))
        else:
            for one in news:
                connection.execute(_RECORD, (one.marker, *place, one.subject))
    if unsent:
        raise unsent
    return message.title


def _news(
    connection: Connection, registry: Registry, topic: _Topic, query: LiteralString
) -> list[News]:
    """What is new of those subjects of which a message may be sent now."""
    rows = connection.execute(query, (topic.address, topic.event, list(topic.subjects))).fetchall()
    due = {
        subject: Known(since, marker) for subject, since, marker, is_quiet in rows if not is_quiet
    }
    return find_news(connection, registry, topic.event, due)
