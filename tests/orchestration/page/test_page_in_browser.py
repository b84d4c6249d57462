"""The page as a person meets it: in Airflow's own UI, in a real browser, on a desk and a phone.

Needs a Chromium on the PATH, such as Debian's package ``chromium``, and playwright, which drives it
and brings no browser of its own here.
"""

from __future__ import annotations

import csv
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sluice.local.airflow import airflow_address
from tests.orchestration.page.test_page_on_a_phone import TOO_WIDE
from tests.orchestration.running_airflow import Instance, wait_for

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

pytestmark = [
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt install chromium"),
]

PATIENCE = 30_000  # ms
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def delivered(instance: Instance) -> Instance:
    """An instance with a published load of which two records were rejected."""
    before = len(instance.runs())
    instance.shop.drop("<b>mixed&.csv", "7001,ink,2\nx,<script>alert(1)</script>,3\n7002,pen\n")
    instance.wait_until_idle(after=before)
    return instance


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def login(delivered: Instance, browser: Any) -> Any:
    """The state of a browser in which the user has logged in, through the form."""
    address = airflow_address(delivered.settings)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address.url)
    page.fill("input[name=username]", address.user)
    page.fill("input[name=password]", address.password)
    page.click("button[type=submit]")
    page.get_by_role("link", name="Sluice").wait_for()
    return context.storage_state()


def opened(browser: Any, login: Any, complaints: list[str], **options: Any) -> Any:
    """A new page of a user who is logged in; what its console complains of is noted."""
    page = browser.new_context(storage_state=login, **options).new_page()
    page.set_default_timeout(PATIENCE)

    def note(said: Any) -> None:
        # A network that comes up beside the test, such as a container's, is not the page's fault.
        if said.type == "error" and "ERR_NETWORK_CHANGED" not in said.text:
            complaints.append(said.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def test_nobody_sees_it_without_a_login(delivered: Instance) -> None:
    url = airflow_address(delivered.settings).url
    for path in ("/sluice/", "/sluice/publications", "/sluice/sources/orders"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(url + path, timeout=10)
        assert refusal.value.code == 401


def test_a_user_goes_from_the_navigation_to_a_rejected_record_and_on(
    delivered: Instance, browser: Any, login: Any
) -> None:
    url = airflow_address(delivered.settings).url
    complaints: list[str] = []
    page = opened(browser, login, complaints, viewport=DESK, color_scheme="dark")
    page.goto(url)
    page.get_by_role("link", name="Sluice").click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="orders", exact=True).first.click()
    # The landing zone, which is there until then, has a link of the next name as well.
    frame.get_by_role("heading", name="orders", exact=True).wait_for()
    frame.get_by_role("link", name="<b>mixed&.csv").first.click()
    assert "x,<script>alert(1)</script>,3" in frame.locator(".records").inner_text()
    # As dark as Airflow is, although the frame could decide for itself.
    assert frame.locator("html").get_attribute("data-theme") == "dark"
    assert "dark" in page.locator("html").get_attribute("class")

    with page.expect_download() as download:
        frame.get_by_role("link", name="Download as CSV").click()
    with open(download.value.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123
        records = list(csv.DictReader(file))
    assert [record["_reject_code"] for record in records] == ["wrong_type", "ragged_row"]

    # The address is one to send to somebody else.
    address = page.url
    assert "/plugin/sluice/sluice/loads/" in address
    page.goto(address)
    before, orders = len(delivered.runs("sluice_replay")), len(delivered.runs())
    frame.get_by_role("link", name="Load it again").click()
    frame.get_by_role("heading", name="Load again: <b>mixed&.csv").wait_for()
    frame.get_by_role("button", name="Load it again").click()
    frame.get_by_role("heading", name="sluice_replay").wait_for()
    (run,) = delivered.runs("sluice_replay")[: len(delivered.runs("sluice_replay")) - before]
    assert run["triggering_user_name"] == airflow_address(delivered.settings).user
    load_id = int(address.rpartition("/")[2])
    assert run["conf"] == {"source": "orders", "files": ["<b>mixed&.csv"], "load_id": load_id}
    assert delivered.wait_until_idle("sluice_replay", after=before)["state"] == "success"
    delivered.wait_until_idle(after=orders)
    frame.get_by_role("link", name="look again").click()
    frame.get_by_text("success", exact=True).wait_for()
    frame.get_by_role("link", name=run["dag_run_id"]).click()
    page.wait_for_url("**/dags/sluice_replay/runs/**")
    page.get_by_text("all_loaded", exact=True).first.wait_for()
    page.goto(address)
    frame.get_by_role("heading", name="The same file before and after").wait_for()
    frame.get_by_text("same again").wait_for()
    assert complaints == []


def test_a_user_withdraws_a_file(delivered: Instance, browser: Any, login: Any) -> None:
    runs, forms = len(delivered.runs()), len(delivered.runs("sluice_withdraw"))
    orders = delivered.orders()
    delivered.shop.drop("regretted.csv", "7101,ink,2\n")
    delivered.wait_for_orders(orders + 1)
    delivered.wait_until_idle(after=runs)
    complaints: list[str] = []
    page = opened(browser, login, complaints, viewport=DESK)
    page.goto(f"{airflow_address(delivered.settings).url}/plugin/sluice/sluice/sources/orders")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="regretted.csv").first.click()
    frame.get_by_role("link", name="Withdraw this file").click()
    frame.get_by_role("link", name="Cancel").click()
    frame.get_by_role("link", name="Withdraw this file").click()
    frame.get_by_role("button", name="Withdraw it").click()
    frame.get_by_role("heading", name="sluice_withdraw").wait_for()
    assert delivered.wait_until_idle("sluice_withdraw", after=forms)["state"] == "success"
    delivered.wait_for_orders(orders)
    delivered.wait_until_idle(after=runs + 1)
    assert complaints == []


def test_a_user_sees_the_runs_and_approves_a_held_publication(
    delivered: Instance, browser: Any, login: Any
) -> None:
    complaints: list[str] = []
    page = opened(browser, login, complaints, viewport=DESK)
    with approval_wanted(delivered):
        runs, orders = len(delivered.runs()), delivered.orders()
        delivered.shop.drop("held.csv", "7003,ink,2\n")
        run = wait_for(lambda: delivered.runs()[0] if len(delivered.runs()) > runs else None)
        wait_for(lambda: delivered.states(run)["publish"] == "deferred")

        page.goto(f"{airflow_address(delivered.settings).url}/dags?limit=50")
        page.get_by_role("link", name="shop", exact=True).click()
        page.get_by_text("transform", exact=True).first.wait_for()
        page.goto(f"{airflow_address(delivered.settings).url}/dags/shop/plugin/publications")
        frame = page.frame_locator("iframe")
        frame.get_by_text("held", exact=True).first.wait_for()
        frame.locator("table a").first.click()
        frame.get_by_text("Gold is as it was").wait_for()
        frame.get_by_role("link", name="the run's required action").click()
        page.get_by_role("cell", name="total_sales").wait_for()
        assert delivered.orders() == orders
        page.get_by_test_id("hitl-option-Approve").click()
        delivered.wait_for_orders(orders + 1)
        assert delivered.wait_until_idle(after=runs)["state"] == "success"
    assert complaints == []


@contextmanager
def approval_wanted(instance: Instance) -> Iterator[None]:
    """Hold every publication of the shop for a person."""
    entry = instance.settings.registry / "pipelines" / "shop.yml"
    text = entry.read_text()

    def asks() -> bool:
        tasks = instance.ask("dags/shop/tasks")["tasks"]
        return any(task["class_ref"]["class_name"] == "ApprovedPublishOperator" for task in tasks)

    entry.write_text(f"{text}approve_when: {{rows_changed: 0}}\n")
    try:
        wait_for(asks)
        yield
    finally:
        entry.write_text(text)
        wait_for(lambda: not asks())


def test_a_dag_shows_its_publications(delivered: Instance, browser: Any, login: Any) -> None:
    complaints: list[str] = []
    page = opened(browser, login, complaints, viewport=DESK, color_scheme="light")
    page.goto(f"{airflow_address(delivered.settings).url}/dags/shop/plugin/publications")
    frame = page.frame_locator("iframe")
    frame.get_by_text("published").first.wait_for()
    assert frame.locator("html").get_attribute("data-theme") == "light"
    frame.locator("table a").first.click()
    frame.get_by_role("link", name="total_sales", exact=True).click()
    frame.get_by_role("heading", name="How long it took").wait_for()
    assert complaints == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_view_fits_and_keeps_its_policy(
    delivered: Instance, browser: Any, login: Any, size: dict[str, int]
) -> None:
    base = airflow_address(delivered.settings).url + "/sluice"
    complaints: list[str] = []
    page = opened(browser, login, complaints, viewport=size)
    todo, seen = [f"{base}/", f"{base}/publications"], []
    while todo and len(seen) < 16:
        seen.append(todo.pop(0))
        answer = page.goto(seen[-1])
        assert answer.status == 200, seen[-1]
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0, seen[-1]
        assert page.evaluate(TOO_WIDE) == [], seen[-1]
        links = page.eval_on_selector_all("main a:not([download])", "all => all.map(a => a.href)")
        todo += [each for each in links if each.startswith(base) and each not in [*seen, *todo]]
    kinds = {path.removeprefix(base).split("/")[1] for path in seen}
    assert {"", "sources", "loads", "publications", "pipelines", "builds"} <= kinds
    assert any(path.endswith("/withdraw") for path in seen)
    assert any(path.endswith("/replay") for path in seen)
    assert complaints == []
