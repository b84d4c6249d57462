"""What the page says of schedules: what is waited for, when, and what was missed."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from sluice.errors import OverdueError
from sluice.orchestration.dags import build_dags
from sluice.orchestration.page import instance as page_instance
from sluice.pipeline import steps
from sluice.pipeline.waiting import hold_missing_against
from sluice.registry import load_registry
from tests.orchestration.page.conftest import Ledger
from tests.orchestration.page.test_page_views import shown


def declare(ledger: Ledger, schedule: str, pipeline: str = "shop", more: str = "") -> None:
    """Give a pipeline both sources and a schedule."""
    entry = ledger.settings.registry / "pipelines" / f"{pipeline}.yml"
    head = "description: What sells.\nowner: shop\n"
    entry.write_text(f"{head}sources: [orders, stock]\n{more}schedule: {{{schedule}}}\n")


def miss(ledger: Ledger, *inputs: str) -> None:
    """What the end of a wait does."""
    registry = load_registry(ledger.settings.project)
    steps.note_missing(ledger.settings, registry, "shop", inputs)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("when: any", "when files have arrived completely"),
        ("when: all", "when there is something new of orders and stock"),
        ("when: cron, cron: '0 6 * * *', timezone: Europe/Vienna", "at 0 6 * * * (Europe/Vienna)"),
        (
            "when: all, cron: '@daily', sources: {stock: {optional: true}}",
            "when there is something new of orders, at @daily (UTC) at the latest",
        ),
    ],
)
def test_a_pipeline_without_builds_says_what_it_really_waits_for(
    page: TestClient, ledger: Ledger, schedule: str, words: str
) -> None:
    ledger.deliver("a.csv", "1,ink,2\n")
    declare(ledger, schedule)
    text = shown(page, "/publications")
    assert re.search(rf"shop never none yet: it runs {re.escape(words)} 1 load DAG", text), text
    text = shown(page, "/pipelines/shop")
    assert f"Nothing was built yet. It runs {words}. " in text
    assert f"Runs {words}, or by hand" in text
    assert "Pending 1 load " in text
    assert "Trigger on its DAG runs it now, with what there is." in text
    assert ("Next time 20" in text) == ("cron" in schedule)
    # In the same words as Airflow's page of the DAG.
    doc = str(build_dags(ledger.settings)["shop"].doc_md).replace("`", "")
    assert f"Runs {words}, or by hand." in doc


def test_a_pipeline_says_of_what_there_is_something_new(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_instance, "GOOD_FOR_SECONDS", 0.0)
    declare(ledger, "when: all", more="reads: [other]\n")
    text = shown(page, "/pipelines/shop")
    assert "Something new of nothing Nothing new of orders, stock, pipeline other" in text
    assert "There is nothing new of orders, stock, pipeline other yet" in text
    load_id = ledger.deliver("a.csv", "1,ink,2\n")
    folder = Path(str(ledger.settings.landing)) / "stock"
    folder.mkdir()
    (folder / "b.csv").write_text("order_id,product,amount\n")
    ledger.publish(ledger.build(pipeline="other"), pipeline="other")
    text = shown(page, "/pipelines/shop")
    assert "Something new of orders, stock, pipeline other Nothing new of none" in text
    assert "Pending 1 load, 1 publication of what it reads" in text
    assert "1 load, 1 publication DAG" in shown(page, "/publications")
    ledger.publish(ledger.build(), (load_id,))
    text = shown(page, "/pipelines/shop")
    assert "Something new of stock Nothing new of orders, pipeline other" in text
    ledger.publish(ledger.build(pipeline="other"), pipeline="other")
    text = shown(page, "/pipelines/shop")
    assert "Something new of stock, pipeline other Nothing" in text
    assert "Pending 1 publication of what it reads" in text
    # One that waits for nothing has no such lines.
    assert "Nothing new of" not in shown(page, "/pipelines/other")


def test_a_run_that_failed_for_want_of_a_delivery_is_seen_until_something_is_built(
    page: TestClient, ledger: Ledger, observer: psycopg.Connection
) -> None:
    declare(ledger, "when: cron, cron: '0 6 * * *', sources: {stock: {on_missing: fail}}")
    miss(ledger, "orders")
    went_on = "orders was missing when its time was over, 0 s ago: the run went on without"
    assert "missing" not in shown(page, "/")
    assert "missing" not in shown(page, "/publications")
    assert f"Missing at its times {went_on}" in shown(page, "/pipelines/shop")

    miss(ledger, "orders", "stock")
    pipeline = load_registry(ledger.settings.project).pipeline("shop")
    with pytest.raises(OverdueError):
        hold_missing_against(pipeline, ["orders", "stock"])
    failed = (
        r"orders, stock were missing when its time was over, \d s ago:"
        r" the run failed, and nothing was loaded"
    )
    for path in ("/", "/publications", "/pipelines/shop"):
        assert re.search(failed, shown(page, path)), path
    text = shown(page, "/pipelines/shop")
    assert re.search(r"Ask for them\. What has arrived is taken up by the next run, at 20", text)

    ledger.build()
    assert "missing" not in shown(page, "/")
    assert "missing" not in shown(page, "/publications")
    text = shown(page, "/pipelines/shop")
    assert re.search(f"Missing at its times {failed} orders was missing", text)
    assert "Ask for" not in text
