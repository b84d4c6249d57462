"""The tasks that tell people: where they stand, what they do, and one message of a real Airflow."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from airflow.sdk import DAG

from sluice.errors import RetriableError
from sluice.orchestration.dags import build_dags
from sluice.settings import Settings
from sluice.warehouse.connections import connect
from tests.notifying.conftest import Webhook, http_api, webhook  # noqa: F401  # fixtures
from tests.orchestration.conftest import RegistryFiles
from tests.orchestration.running_airflow import Instance, dags_by_id, wait_for
from tests.orchestration.test_dags import edges
from tests.orchestration.test_operators import Run
from tests.shop_project import ShopProject, make_shop

NOTIFY = "notify: [{connection: ops_chat}]\n"


def add_line(settings: Settings, line: str) -> str:
    """Add a line to the shop's pipeline; the text from before."""
    path = settings.registry / "pipelines" / "shop.yml"
    text = path.read_text()
    path.write_text(text + line)
    return text


def test_the_task_follows_all_others_and_decides_nothing(registry_files: RegistryFiles) -> None:
    registry_files.pipeline("shop", "orders")
    assert "sluice_notify" not in build_dags(registry_files.settings)
    add_line(registry_files.settings, NOTIFY)
    dags = build_dags(registry_files.settings)
    notify = dags["shop"].get_task("notify")
    assert notify.upstream_task_ids == {"sense", "load.orders", "publish"}
    assert (notify.is_teardown, notify.on_failure_fail_dagrun, notify.retries) == (True, False, 0)
    assert edges(dags["sluice_notify"]) == {"notify": set()}
    assert dags["sluice_notify"].params.get_param("test").schema["enum"] == ["shop", None]


@pytest.fixture
def shop(settings: Settings, as_environment: Callable[[Settings], None]) -> ShopProject:
    shop = make_shop(settings)
    add_line(settings, NOTIFY)
    as_environment(settings)
    return shop


@pytest.fixture
def dag(shop: ShopProject) -> DAG:
    return build_dags(shop.settings)["shop"]


def test_a_run_without_anything_pending_tells_nothing(dag: DAG) -> None:
    assert Run(dag).skipped() == ["load.orders", "notify", "transform"]
    assert Run(dag, "manual").skipped() == ["load.orders"]


def test_the_task_tells_and_fails_where_it_cannot(
    dag: DAG,
    shop: ShopProject,
    webhook: Webhook,  # noqa: F811
) -> None:
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    assert Run(dag).execute("notify") == ["Sluice: orders: 1 file rejected"]
    webhook.server.close()
    test = build_dags(shop.settings)["sluice_notify"]
    with pytest.raises(RetriableError, match="connection ops_chat: JSON"):
        Run(test, test="shop").execute("notify")


@pytest.fixture
def telling(instance: Instance, http_api: object) -> Iterator[Instance]:  # noqa: F811
    """The running Airflow, whose shop tells the webhook; its address is kept in Airflow."""
    address = Webhook(http_api).address  # type: ignore[arg-type]
    connection = {"connection_id": "ops_chat", "conn_type": "generic", "password": address}
    instance.ask("connections", connection)
    with connect(instance.settings, "transformer", application_name="test") as session:
        session.execute(  # what the tests before have rejected is no news
            "insert into ops.notifications (connection, event, subject, since)"
            " values ('ops_chat', 'rejected', 'source orders', now())"
        )
    text = add_line(instance.settings, f"{NOTIFY}approve_when: {{rows_changed: 0}}\n")
    wait_for(lambda: dags_by_id(instance, "sluice_notify"))
    yield instance
    (instance.settings.registry / "pipelines" / "shop.yml").write_text(text)
    wait_for(lambda: not dags_by_id(instance, "sluice_notify"))


@pytest.mark.xdist_group("airflow")
@pytest.mark.timeout(900)
def test_a_rejected_file_and_a_held_publication_are_told(
    telling: Instance,
    http_api: object,  # noqa: F811
) -> None:
    seen = Webhook(http_api)  # type: ignore[arg-type]
    before = len(telling.runs())
    telling.shop.drop("untold.csv", "seven,ink,2\n")
    run = telling.wait_until_idle(after=before)

    assert run["state"] == "failed"
    assert telling.states(run)["notify"] == "success"
    told = [body for title, body in seen.take() if "orders" in title]
    assert len(told) == 1
    assert "untold.csv: the whole file, wrong_type" in told[0]
    assert f"{telling.settings.airflow_ui}/plugin/sluice/sluice/" in told[0]

    asset = next(a for a in telling.ask("assets")["assets"] if a["name"] == "landing.orders")
    before = len(telling.runs())
    telling.ask("assets/events", {"asset_id": asset["id"]})
    run = telling.wait_until_idle(after=before)
    assert telling.states(run)["notify"] == "skipped"

    # A publication that waits is told while it does.
    before = len(telling.runs())
    telling.shop.drop("held_and_told.csv", "70,ink,9\n")
    ((title, body),) = wait_for(seen.take)
    assert title == "Sluice: shop: a publication waits for approval"
    assert "total_sales: 1 of 1 rows changed, more than 0" in body
    run = telling.runs()[0]
    wait_for(lambda: approved(telling, run))
    assert telling.wait_until_idle(after=before)["state"] == "success"
    with connect(telling.settings, "transformer", application_name="test") as connection:
        decided = connection.execute(
            "select decision, decided_by from ops.held_publications order by held_at desc"
        )
        assert decided.fetchone() == ("approved", "airflow:admin")


def approved(instance: Instance, run: dict[str, Any]) -> bool:
    """Approve where a run asks; whether it has published.

    An answer within the second in which Airflow has not noticed yet that the task waits is lost to
    it: it takes the task for one that has failed, and the next attempt asks again.
    """
    state = instance.states(run)["publish"]
    if state == "deferred":
        task = f"dags/shop/dagRuns/{run['dag_run_id']}/taskInstances/publish/-1/hitlDetails"
        with suppress(urllib.error.HTTPError):  # answered already
            instance.ask(task, {"chosen_options": ["Approve"], "params_input": {}}, method="PATCH")
    return state == "success"
