"""What asks for a person's attention: what is late, held, missing, or warned of."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from sluice.pipeline.freshness import FreshnessState, freshness_states
from sluice.pipeline.waiting import Inputs, look_for_inputs
from sluice.publishing.approval import HeldPublication, waiting_publication
from sluice.registry import Registry
from sluice.settings import Settings
from sluice.transforming import TestWarning, warned_tests


@dataclass(frozen=True)
class Attention:
    """What asks for attention, at one moment.

    Attributes:
        freshness: everything that says how old it may be, with its state.
        held: the publications that wait for a decision.
        inputs: for each pipeline that waits for several (``when: all``) or runs at a time, what
            has come since its last publication.
        warnings: for each pipeline, the tests that warned in its newest build.
    """

    freshness: tuple[FreshnessState, ...]
    held: tuple[HeldPublication, ...]
    inputs: dict[str, Inputs]
    warnings: dict[str, tuple[TestWarning, ...]]


def attention(connection: Connection, settings: Settings, registry: Registry) -> Attention:
    """What asks for attention now.

    Args:
        connection: of a role that reads schema ops.
        settings: the instance.
        registry: its registry.
    """
    pipelines = sorted(registry.pipelines.items())
    held = [waiting_publication(connection, name) for name, _ in pipelines]
    warnings = {name: _warnings(connection, name) for name, _ in pipelines}
    return Attention(
        freshness=tuple(freshness_states(connection, registry)),
        held=tuple(publication for publication in held if publication),
        inputs={
            name: look_for_inputs(connection, settings, registry, pipeline)
            for name, pipeline in pipelines
            if pipeline.schedule.when != "any" or pipeline.schedule.cron
        },
        warnings={name: found for name, found in warnings.items() if found},
    )


def _warnings(connection: Connection, pipeline: str) -> tuple[TestWarning, ...]:
    row = connection.execute(
        """
        select transformation_id from ops.transformations
        where pipeline = %s and status <> 'running' order by transformation_id desc limit 1
        """,
        (pipeline,),
    ).fetchone()
    return tuple(warned_tests(connection, row[0])) if row else ()
