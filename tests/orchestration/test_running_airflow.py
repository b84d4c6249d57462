"""One real Airflow, as `./sluice up` starts it: from dropped files to gold, and what goes wrong.

The tests share one instance, since a start takes a quarter of a minute; each leaves it running.
"""

from __future__ import annotations

import os
import signal
import stat
import time
import urllib.error
import urllib.request
from functools import partial
from typing import Any

import psutil
import pytest

from sluice.errors import ConfigError
from sluice.local.airflow import (
    airflow_address,
    airflow_status,
    start_airflow,
    stop_airflow,
)
from sluice.local.airflow_config import airflow_home
from sluice.pipeline import steps
from sluice.warehouse.connections import connect, source_lock_key
from tests.orchestration.running_airflow import Instance, dags_by_id, wait_for

# Workers of pytest-xdist that go by groups start one instance between them.
pytestmark = [pytest.mark.xdist_group("airflow"), pytest.mark.timeout(900)]


def test_a_dropped_file_is_published(instance: Instance) -> None:
    before, orders = len(instance.runs()), instance.orders()
    instance.shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    instance.wait_for_orders(orders + 2)
    run = instance.wait_until_idle(after=before)

    assert run["run_type"] == "asset_triggered"
    assert run["state"] == "success"
    assert set(instance.states(run).values()) == {"success"}


def test_a_rejected_file_fails_its_load_and_the_rest_is_published(instance: Instance) -> None:
    before, orders = len(instance.runs()), instance.orders()
    instance.shop.drop("bad.csv", "three,ink,2\n")
    instance.shop.drop("good.csv", "3,ink,2\n")
    instance.wait_for_orders(orders + 1)
    run = instance.wait_until_idle(after=before)

    assert run["state"] == "failed"
    assert instance.states(run) == {
        "sense": "success",
        "load.orders": "failed",
        "transform": "success",
        "publish": "success",
        "all_loaded": "upstream_failed",
    }
    log = instance.log(run, "load.orders")
    assert "bad.csv" in log
    assert "invalid input syntax for type bigint" in log
    assert [path.name for path in instance.settings.rejected.rglob("*bad.csv")] != []


def test_a_wake_up_without_cause_ends_with_sense(instance: Instance) -> None:
    before = len(instance.runs())
    (asset,) = [
        asset for asset in instance.ask("assets")["assets"] if asset["name"] == "landing.orders"
    ]
    instance.ask("assets/events", {"asset_id": asset["id"]})
    run = instance.wait_until_idle(after=before)

    assert run["state"] == "success"
    assert instance.states(run) == {
        "sense": "success",
        "load.orders": "skipped",
        "transform": "skipped",
        "publish": "skipped",
        "all_loaded": "success",
    }


def test_a_run_by_hand_publishes_without_deliveries(instance: Instance) -> None:
    before = len(instance.runs())
    instance.ask("dags/shop/dagRuns", {"logical_date": None})
    run = instance.wait_until_idle(after=before)

    assert run["state"] == "success"
    assert instance.states(run)["load.orders"] == "skipped"
    assert instance.states(run)["publish"] == "success"


def test_a_failing_test_fails_transform_and_gold_stays(instance: Instance) -> None:
    before, totals, orders = len(instance.runs()), instance.totals(), instance.orders()
    instance.shop.drop("b.csv", "4,gold,2\n")
    run = instance.wait_until_idle(after=before)

    assert run["state"] == "failed"
    assert instance.states(run)["transform"] == "failed"
    assert "accepted_values_product_sales_product" in instance.log(run, "transform")
    assert instance.totals() == totals
    instance.shop.drop("b.csv", "4,pad,2\n")
    instance.wait_for_orders(orders + 1)
    instance.wait_until_idle(after=before + 1)


def test_a_load_that_has_to_wait_for_long_is_tried_again(instance: Instance) -> None:
    before = len(instance.runs())
    with connect(instance.settings, "loader", application_name="test") as connection:
        connection.execute("select pg_advisory_lock(%s)", (source_lock_key("orders"),))
        instance.shop.drop("locked.csv", "6,ink,2\n")
        run = wait_for(lambda: instance.runs()[0] if len(instance.runs()) > before else None)
        wait_for(lambda: instance.states(run)["load.orders"] == "up_for_retry")
    run = instance.wait_until_idle(after=before)

    assert run["state"] == "success"
    assert set(instance.states(run).values()) == {"success"}
    assert "Retry policy decision" in instance.log(run, "load.orders")


def test_a_pool_that_was_deleted_is_made_again(instance: Instance) -> None:
    before, orders = len(instance.runs()), instance.orders()
    assert instance.ask("pools/sluice_dbt")["slots"] == instance.settings.dbt_slots
    changed = {"pool": "sluice_dbt", "slots": 1, "description": "", "include_deferred": False}
    instance.ask("pools/sluice_dbt", changed, method="PATCH")
    instance.ask("pools/sluice_load", method="DELETE")
    instance.shop.drop("pool.csv", "9,ink,2\n")
    instance.wait_for_orders(orders + 1)

    instance.wait_until_idle(after=before)
    assert instance.ask("pools/sluice_load")["slots"] == instance.settings.load_slots
    assert instance.ask("pools/sluice_dbt")["slots"] == 1


def test_a_form_loads_a_file_again_and_its_pipeline_follows(instance: Instance) -> None:
    before = len(instance.runs())
    instance.shop.drop("{{ 1 }}.csv", "7,ink,2\n")
    instance.wait_until_idle(after=before)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        start(instance, "sluice_replay", source="orders", first_day="{{ ds }}")
    assert refusal.value.code == 400

    start(instance, "sluice_replay", source="orders", files=["{{ 1 }}.csv"])
    run = instance.wait_until_idle("sluice_replay")
    assert run["state"] == "success"
    assert instance.states(run) == dict.fromkeys(["replay", "rebuild", "all_loaded"], "success")
    run = instance.wait_until_idle(after=before + 1)
    assert (run["run_type"], run["state"]) == ("operator_triggered", "success")

    orders = instance.orders()
    start(instance, "sluice_withdraw", source="orders", file="{{ 1 }}.csv")
    assert instance.wait_until_idle("sluice_withdraw")["state"] == "success"
    instance.wait_for_orders(orders - 1)
    instance.wait_until_idle(after=before + 2)


def start(instance: Instance, dag: str, **conf: Any) -> None:
    instance.ask(f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})


@pytest.mark.timeout(900)
def test_a_run_waits_for_files_and_its_publication_for_a_person(instance: Instance) -> None:
    entry = instance.settings.registry / "pipelines" / "shop.yml"
    text = entry.read_text()
    entry.write_text(f"{text}schedule: {{when: all}}\napprove_when: {{rows_changed: 0}}\n")
    try:
        wait_for(lambda: "await" in task_ids(instance), 30)
        before, orders = len(instance.runs()), instance.orders()
        run = woken_without_cause(instance)
        assert "awaited: orders" in instance.log(run, "await")
        # A run by hand, as of a form, is not stuck behind it.
        start(instance, "shop")
        by_hand = instance.wait_until_idle(after=before + 1)
        assert (by_hand["run_type"], by_hand["state"]) == ("manual", "success")
        assert instance.states(run)["sense"] == "skipped"

        run = woken_without_cause(instance)
        instance.shop.drop("late.csv", "8,ink,2\n")

        wait_for(lambda: instance.states(run)["publish"] == "deferred")
        assert instance.orders() == orders
        task = f"dags/shop/dagRuns/{run['dag_run_id']}/taskInstances/publish/-1/hitlDetails"
        asked = instance.ask(task)
        assert asked["subject"] == "Publish shop?"
        assert "| total_sales | 1 | 0 | 1 | 0 | as they were |" in asked["body"]
        # As ./sluice approve does it: Airflow was not asked, and goes on.
        held = steps.waiting_publication(instance.settings, "shop")
        assert held is not None
        steps.decide(instance.settings, held, "approved", "cli:test")
        instance.wait_for_orders(orders + 1)
        wait_for(lambda: set(instance.states(run).values()) == {"success"})
    finally:
        entry.write_text(text)
        wait_for(lambda: "await" not in task_ids(instance), 30)
        # The delivery has woken a run of its own, which awaits the next one.
        for each in instance.runs():
            if each["state"] not in ("success", "failed"):
                path = f"dags/shop/dagRuns/{each['dag_run_id']}"
                wait_for(partial(is_ended, instance, path))
        instance.wait_until_idle()


def is_ended(instance: Instance, path: str) -> bool:
    """End a run; False where Airflow's scheduler has it in hand just now, which is a 500."""
    try:
        instance.ask(path, {"state": "failed"}, method="PATCH")
    except urllib.error.HTTPError:
        return False
    return True


def woken_without_cause(instance: Instance) -> dict[str, Any]:
    """A run that waits, without a worker: started as by an event that came twice."""
    before = len(instance.runs())
    (asset,) = [
        asset for asset in instance.ask("assets")["assets"] if asset["name"] == "landing.orders"
    ]
    instance.ask("assets/events", {"asset_id": asset["id"]})
    run = wait_for(lambda: instance.runs()[0] if len(instance.runs()) > before else None)
    wait_for(lambda: instance.states(run)["await"] == "deferred")
    return run


def task_ids(instance: Instance) -> list[str]:
    return [task["task_id"] for task in instance.ask("dags/shop/tasks")["tasks"]]


def test_a_changed_registry_is_seen_within_seconds(instance: Instance) -> None:
    registry = instance.settings.registry
    (registry / "pipelines" / "lost.yml").write_text(
        "description: x\nowner: x\nsources: [nowhere]\n"
    )
    started = time.monotonic()
    dag = wait_for(lambda: next(iter(dags_by_id(instance, "lost")), None), 30)

    assert time.monotonic() - started < 15
    assert [tag["name"] for tag in dag["tags"]] == ["config-error"]
    instance.ask("dags/lost/dagRuns", {"logical_date": None})
    run = instance.wait_until_idle("lost")
    assert instance.states(run) == {"config_error": "failed"}
    assert "registry/pipelines/lost.yml:3" in instance.log(run, "config_error")
    (registry / "pipelines" / "lost.yml").unlink()
    wait_for(lambda: not dags_by_id(instance, "lost"), 60)


def test_nobody_comes_in_without_the_password(instance: Instance) -> None:
    url = airflow_address(instance.settings).url
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{url}/api/v2/dags", timeout=10)
    assert refusal.value.code == 401
    processes = airflow_family(instance)
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_secrets_are_private(instance: Instance) -> None:
    secrets = [path.read_text().strip() for path in instance.settings.secrets.iterdir()]
    commands = "\n".join(" ".join(process.cmdline()) for process in airflow_family(instance))
    assert [secret for secret in secrets if secret in commands] == []
    for path in airflow_home(instance.settings).iterdir():
        text = path.read_text() if path.is_file() else ""
        if any(secret in text for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    logs = "\n".join(path.read_text() for path in instance.settings.logs.rglob("*.log"))
    assert [secret for secret in secrets if secret in logs] == []


def airflow_family(instance: Instance, *names: str) -> list[psutil.Process]:
    """The processes of these components, or of all, with their children."""
    found = []
    for name, process_id in airflow_status(instance.settings).processes.items():
        if not names or name in names:
            process = psutil.Process(process_id)
            found += [process, *process.children(recursive=True)]
    return found


def test_a_start_mends_what_died_and_leaves_the_rest(instance: Instance) -> None:
    settings = instance.settings
    before = airflow_status(settings)
    assert before.running
    assert all(before.healthy.values())
    start_airflow(settings)
    assert airflow_status(settings).processes == before.processes

    killed = {name: before.processes[name] for name in ("scheduler", "triggerer")}
    family = airflow_family(instance, *killed)
    for process_id in killed.values():
        assert process_id
        os.kill(process_id, signal.SIGKILL)
    wait_for(lambda: not airflow_status(settings).running)
    told: list[str] = []
    start_airflow(settings, tell=told.append)
    after = airflow_status(settings)
    assert after.running
    assert told
    assert {name for name, pid in after.processes.items() if pid != before.processes[name]} == set(
        killed
    )
    assert [process for process in family if process.is_running()] == []
    orders = instance.orders()
    instance.shop.drop("c.csv", "5,ink,2\n")
    instance.wait_for_orders(orders + 1)
    instance.wait_until_idle()


def test_another_instance_is_told_that_the_port_is_taken(
    instance: Instance, registry_files: Any
) -> None:
    port = instance.settings.airflow_port
    other = registry_files.settings.model_copy(update={"airflow_port": port})

    with pytest.raises(ConfigError, match=rf"Port {port} on 127\.0\.0\.1 .*airflow.*process") as e:
        start_airflow(other)
    assert "SLUICE_AIRFLOW_PORT" in e.value.remedy
    assert not airflow_status(other).running


def test_a_stop_ends_everything(instance: Instance) -> None:
    family = airflow_family(instance)
    assert len(family) > len(airflow_status(instance.settings).processes)
    assert stop_airflow(instance.settings)
    _, alive = psutil.wait_procs(family, timeout=2)
    assert alive == []
    assert not airflow_status(instance.settings).running
    assert not stop_airflow(instance.settings)
