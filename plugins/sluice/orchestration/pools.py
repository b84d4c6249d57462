"""Airflow's pools: loads and dbt each have slots of their own, so that neither starves the other.

A task whose pool is not there would wait for ever. So the DAG processor makes them, by the bundle
that brings the DAGs: before it first reads a DAG file, and again where somebody has deleted one.
"""

from __future__ import annotations

import logging

from airflow.models.pool import Pool
from airflow.utils.session import create_session
from sqlalchemy import select

from sluice.settings import Settings

logger = logging.getLogger(__name__)

LOAD_POOL = "sluice_load"
DBT_POOL = "sluice_dbt"

_DESCRIPTIONS = {
    LOAD_POOL: "Tasks that bring data in; slots: SLUICE_LOAD_SLOTS.",
    DBT_POOL: "Tasks that run dbt; slots: SLUICE_DBT_SLOTS.",
}


def make_pools(settings: Settings, *, only_missing: bool = False) -> None:
    """Make the pools, with the slots that the settings say.

    Args:
        settings: the instance.
        only_missing: whether pools that are there keep the slots that a person gave them.
    """
    slots = {LOAD_POOL: settings.load_slots, DBT_POOL: settings.dbt_slots}
    with create_session() as session:
        there = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(slots))))
        for name in sorted(slots.keys() - there if only_missing else slots):
            Pool.create_or_update_pool(
                name, slots[name], _DESCRIPTIONS[name], include_deferred=False, session=session
            )
            logger.info("the pool %s has %s slots", name, slots[name])
