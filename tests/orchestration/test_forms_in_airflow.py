"""The forms in a real Airflow: what becomes of their runs, and of the pipelines behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sluice.warehouse.connections import advisory_key, connect
from tests.orchestration.running_airflow import Instance, wait_for

pytestmark = [pytest.mark.xdist_group("airflow"), pytest.mark.timeout(900)]

# How soon a file is in gold on a machine that does other things as well; without the mend it is
# found minutes later, when Airflow parses the DAG file again.
SECONDS = 45.0


@contextmanager
def builds_held_up(instance: Instance) -> Iterator[None]:
    """Let no build of the shop begin."""
    with connect(instance.settings, "transformer", application_name="test") as connection:
        key = advisory_key("model", "stg_orders")
        connection.execute("select pg_advisory_lock(%s)", (key,))
        yield


def start(instance: Instance, dag: str, **conf: Any) -> None:
    instance.ask(f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})


def test_a_pipeline_takes_files_after_a_rebuild_was_queued_behind_a_run(
    instance: Instance,
) -> None:
    runs, forms = len(instance.runs()), len(instance.runs("sluice_withdraw"))
    instance.shop.drop("taken_out.csv", "41,ink,2\n")
    instance.wait_until_idle(after=runs)
    orders = instance.orders()
    with builds_held_up(instance):
        instance.shop.drop("meanwhile.csv", "42,ink,2\n")
        run = wait_for(lambda: instance.runs()[0] if len(instance.runs()) > runs + 1 else None)
        wait_for(lambda: instance.states(run)["transform"] == "up_for_retry")
        start(instance, "sluice_withdraw", source="orders", file="taken_out.csv")
        assert instance.wait_until_idle("sluice_withdraw", after=forms)["state"] == "success"
        assert instance.runs()[0]["state"] == "queued"
    rebuild = instance.wait_until_idle(after=runs + 2)
    assert rebuild["state"] == "success"
    assert instance.orders() == orders

    instance.shop.drop("afterwards.csv", "43,ink,2\n")
    wait_for(lambda: instance.orders() == orders + 1, SECONDS)
    instance.wait_until_idle(after=runs + 3)


def test_a_misspelt_key_fails_the_first_task_and_nothing_is_loaded_again(
    instance: Instance,
) -> None:
    runs, forms = len(instance.runs()), len(instance.runs("sluice_replay"))
    start(instance, "sluice_replay", source="orders", file=["afterwards.csv"])
    run = instance.wait_until_idle("sluice_replay", after=forms)
    assert instance.states(run) == {
        "replay": "failed",
        "rebuild": "upstream_failed",
        "all_loaded": "upstream_failed",
    }
    assert "Did you mean files?" in instance.log(run, "replay")
    assert len(instance.runs()) == runs
