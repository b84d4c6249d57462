"""Which tasks take slots of which pool; that the pools are there is tested with a real Airflow."""

from __future__ import annotations

from sluice.orchestration.dags import build_dags
from sluice.orchestration.pools import DBT_POOL, LOAD_POOL
from tests.orchestration.conftest import RegistryFiles


def test_loads_and_dbt_have_slots_of_their_own(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    dags = build_dags(registry_files.settings)
    pools = {f"{name}.{task.task_id}": task.pool for name in dags for task in dags[name].tasks}

    assert {task for task, pool in pools.items() if pool == LOAD_POOL} == {
        "shop.load.orders",
        "sluice_replay.replay",
        "sluice_withdraw.withdraw",
    }
    assert {task for task, pool in pools.items() if pool == DBT_POOL} == {"shop.transform"}
    assert set(pools.values()) == {LOAD_POOL, DBT_POOL, "default_pool"}
