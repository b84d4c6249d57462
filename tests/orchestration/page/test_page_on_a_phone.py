"""The views in a real browser as narrow as a phone, with names as long as they may be.

Without Airflow: what the browser asks for is answered by the page's test client.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sluice.publishing.approval import Difference, hold
from sluice.settings import Settings
from tests.orchestration.page.conftest import Ledger

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt install chromium")

LONG = "commission_of_web_traffic_and_scrapers_by_partner_and_month_2026"[:63]
ORDERS = f"""\
description: Orders.
owner: shop
columns:
  order_id: {{data_type: bigint, nullable: false}}
  product: {{data_type: text, pattern: '{"[a-z0-9][A-Z0-9]" * 8}', description: {LONG}}}
  amount: {{data_type: decimal, precision: 12, scale: 2, description: '{"x" * 120}'}}
  {LONG}: {{data_type: text}}
"""

# Whatever goes beyond the width of the screen, or of the element that cuts it off.
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(each => {
    const box = each.getBoundingClientRect();
    const isCut = each.clientWidth && each.scrollWidth > each.clientWidth + 1
        && getComputedStyle(each).overflowX !== "visible";
    return box.right > innerWidth + 1 || box.left < -1 || isCut;
}).map(each => each.outerHTML.slice(0, 200))"""


@pytest.fixture
def phone(page: TestClient) -> Iterator[Any]:
    """A browser's page to which the views are shown."""

    def answer(route: Any) -> None:
        found = page.get(route.request.url)
        route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    with playwright.sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        opened = browser.new_page(viewport={"width": 390, "height": 800})
        opened.route("**/*", answer)
        yield opened
        browser.close()


def test_nothing_is_cut_off_on_a_phone(
    phone: Any, settings: Settings, ledger: Ledger, page: TestClient
) -> None:
    load_id = ledger.deliver(f"{LONG}_{LONG}.csv", f"1,ink,2\n{'x' * 300},pen,3\n")
    (settings.registry / "sources" / "orders.yml").write_text(ORDERS)
    model, test = f"model.sluice.{LONG}", f"test.sluice.unique_{LONG}_product.4711"
    good = ledger.build(
        (model, "success", None, 3, "SELECT 3", 0.5), (test, "pass", 0, None, None, 1)
    )
    publication = ledger.publish(good, (load_id,))
    ledger.transformer.execute(
        "insert into ops.published_marts values (%s, %s, 12345678, 5, 0, array[%s])",
        (publication, LONG, f"column {LONG}: added"),
    )
    bad = ledger.build(
        (model, "error", None, None, f"column {LONG}.{LONG} does not exist", 0.5),
        (test, "fail", 7, None, "Got 7 results", 0.1),
        status="failed",
        run_id=f"cli__{LONG}",
    )
    held = ledger.build(run_id=f"manual__{LONG}")
    hold(ledger.transformer, "shop", held, [Difference(LONG, 10, 0, 0, 9, [LONG])], [LONG])
    ledger.transformer.commit()
    views = ["/", "/publications", "/sources/orders", "/pipelines/shop", f"/loads/{load_id}"]
    views += [f"/builds/{build}" for build in (good, bad, held)]
    views += [f"/pipelines/shop/nodes/{node}" for node in (model, test)]
    views += [f"/loads/{load_id}/withdraw", "/sources/orders/replay", "/sources/none"]
    for view in views:
        answer = phone.goto(f"{str(page.base_url).rstrip('/')}{view}")
        assert answer.status == (404 if view == "/sources/none" else 200), view
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert phone.evaluate(TOO_WIDE) == [], view
