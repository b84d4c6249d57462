"""What the views show, of histories short and long, of hostile names and records."""

from __future__ import annotations

import csv
import html
import io
import re
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from sluice.errors import ConfigError, DeliveryError, RetriableError, SluiceError
from sluice.loading.withdrawal import withdraw
from sluice.orchestration.page import build_views, views
from sluice.orchestration.page import instance as page_instance
from sluice.orchestration.page.app import build_app
from sluice.publishing.approval import Difference, decide, hold, waiting_publication
from sluice.settings import Settings
from tests.orchestration.page.conftest import Ledger, Users

MODEL = "model.sluice.product_sales"
TEST = "test.sluice.unique_product_sales_product.4711"
SCRIPT = "<script>alert(1)</script>"


def shown(page: TestClient, path: str) -> str:
    """A view's text without tags."""
    response = page.get(path)
    assert response.status_code == 200, response.text
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())
    return re.sub(r" ([,.:;])", r"\1", words)


def links(page: TestClient, path: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page.get(path).text)]


def test_the_landing_zone_shows_what_came_and_what_waits(page: TestClient, ledger: Ledger) -> None:
    ledger.deliver("a.csv", "1,ink,2\nx,pen,3\n")
    waiting = Path(str(ledger.settings.landing)) / "orders" / "b.csv"
    waiting.write_text("order_id,product,amount\n")
    text = shown(page, "/")
    assert re.search(r"orders a\.csv \d+ s ago loaded 1 1 1 ", text), text
    assert "stock nothing yet" in text
    assert (
        "The last delivery was refused or has rejected records, or a refused file was not mended"
        " since: orders."
    ) in text
    assert page.get("/").text.count("<rect") == 2  # a load with both


def test_refused_files_are_shown_until_they_are_mended(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        ledger.deliver(f"bad{number}.csv", "x,ink,2\n")
    ledger.deliver("good.csv", "1,ink,2\n")
    text = shown(page, "/")
    assert "a refused file was not mended since: orders (5 refused)." in text
    assert "5 refused, not mended" in text
    monkeypatch.setattr(views, "OF_ATTENTION", 2)
    text = shown(page, "/sources/orders")
    assert "Refused, and not mended since: 5 files." in text
    assert re.search(r"bad4\.csv None of .* bad3\.csv None of .* All of them:", text), text

    for number in range(5):
        ledger.deliver(f"bad{number}.csv", f"{number},mended,2\n")
    assert "refused file" not in shown(page, "/")
    assert "not mended since" not in shown(page, "/sources/orders")


def test_sources_are_found_and_paged(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 1)
    assert "stock" not in shown(page, "/")
    (more,) = [link for link in links(page, "/") if "after" in link]
    assert more == "/sluice/?find=&after=orders"
    assert "stock nothing yet" in shown(page, more.removeprefix("/sluice"))
    assert "stock nothing yet" in shown(page, "/?find=TOC")
    assert "No source of that name" in shown(page, "/?find=nowhere")


def test_a_source_shows_its_contract_and_pages_its_loads(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing has arrived yet. Drop a file that *" in shown(page, "/sources/orders")
    for number in range(5):
        ledger.deliver(f"{number}.csv", f"{number},ink,2\n")
    monkeypatch.setattr(views, "PAGE", 2)
    seen: list[str] = []
    path: str | None = "/sources/orders"
    while path:
        seen += re.findall(r"(\d)\.csv", shown(page, path))
        older = [link for link in links(page, path) if "before" in link]
        path = older[0].removeprefix("/sluice") if older else None
    assert seen == ["4", "3", "2", "1", "0"]
    text = shown(page, "/sources/orders")
    assert "amount numeric(12,2) minimum: 0" in text
    assert "Orders <b>of</b> the shop." in text
    assert "max_row_errors 100" in text
    assert "There is nothing older" in shown(page, "/sources/orders?before=1")


def test_a_load_says_what_happened(page: TestClient, ledger: Ledger) -> None:
    first = ledger.deliver("a.csv", "1,ink,2\nx,pen,3\ny,pad,-1\n")
    text = shown(page, f"/loads/{first}")
    assert "Rows loaded 1 in bronze now Records rejected 2" in text
    assert "Record 2, line 3: wrong_type in order_id" in text
    assert "x,pen,3" in text
    assert "Published by no pipeline yet" in text
    assert "Withdraw this file" in text
    assert f"/sluice/loads/{first}/withdraw" in links(page, f"/loads/{first}")

    build = ledger.build()
    ledger.publish(build, (first,))
    second = ledger.deliver("a.csv", "1,ink,2\n")
    text = shown(page, f"/loads/{second}")
    assert "correction, in the place of" in text
    assert f"/sluice/loads/{first}" in links(page, f"/loads/{second}")
    text = shown(page, f"/loads/{first}")
    assert "Published by shop" in text
    assert "not in bronze any more" in text
    assert "Withdraw" not in text


def test_only_what_a_replay_would_take_can_be_loaded_again(
    page: TestClient, ledger: Ledger
) -> None:
    orders = ledger.registry.source("orders")

    def offered(*load_ids: int) -> list[bool]:
        return ["Load it again" in shown(page, f"/loads/{load_id}") for load_id in load_ids]

    corrected = ledger.deliver("a.csv", "1,ink,2\n")
    current = ledger.deliver("a.csv", "1,ink,3\n")
    skipped = ledger.deliver("a.csv", "1,ink,3\n")
    refused = ledger.deliver("b.csv", "x,ink,2\n")
    assert offered(corrected, current, skipped, refused) == [False, True, False, True]
    mended = ledger.deliver("b.csv", "1,pen,2\n")
    withdrawal = withdraw(ledger.settings, orders, "a.csv").load_id
    assert offered(refused, mended, current, withdrawal) == [False, True, True, False]
    ledger.deliver("a.csv", "1,ink,4\n")
    assert offered(current) == [False]


def test_a_refused_delivery_says_why(page: TestClient, ledger: Ledger) -> None:
    load_id = ledger.deliver("a.csv", "x,ink,2\n")
    text = shown(page, f"/loads/{load_id}")
    assert "None of it is in bronze; its bytes are kept." in text
    assert "nothing to publish" in text
    (bar,) = re.findall(r'<rect class="(\w+)"[^>]* height="([\d.]+)"', page.get("/").text)
    assert bar == ("unwell", "30.0")


def test_rejects_are_paged_and_downloaded(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"x{number},=cmd(),1\n" for number in range(5))
    load_id = ledger.deliver("a.csv", "1,ink,2\n" + rows)
    monkeypatch.setattr(views, "RECORDS", 2)
    seen: list[str] = []
    path: str | None = f"/loads/{load_id}"
    while path:
        seen += re.findall(r"x(\d),=cmd\(\),1", shown(page, path))
        more = [link for link in links(page, path) if "after" in link]
        path = more[0].removeprefix("/sluice").partition("#")[0] if more else None
    assert seen == ["0", "1", "2", "3", "4"]

    response = page.get(f"/loads/{load_id}/rejects.csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = f"attachment; filename*=UTF-8''a.rejects-{load_id}.csv"
    assert response.headers["content-disposition"] == disposition
    records = list(csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff"))))
    assert [record["order_id"] for record in records] == ["x0", "x1", "x2", "x3", "x4"]
    assert {record["product"] for record in records} == {"'=cmd()"}


def test_publications_show_each_pipeline(page: TestClient, ledger: Ledger) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\n")
    assert re.search(
        r"shop never none yet: it runs when files have arrived completely 1 load DAG",
        shown(page, "/publications"),
    )
    assert "Nothing was built yet" in shown(page, "/pipelines/shop")
    build = ledger.build()
    ledger.publish(build, (load_id,))
    ledger.build(status="failed", message="broken")
    assert re.search(r"shop \d+ s ago failed \d+ s ago nothing DAG", shown(page, "/publications"))


def test_a_pipeline_shows_its_builds(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ledger.build(
        (MODEL, "success", None, 3, "SELECT 3", 0.5), (TEST, "pass", 0, None, None, 0.1)
    )
    ledger.publish(build)
    ledger.build((TEST, "fail", 2, None, "Got 2 results", 0.1), status="failed")
    text = shown(page, "/pipelines/shop")
    assert "published 0 1 passed +1,234 ~56 −7" in text
    assert "failed 0 0 passed, 1 failed" in text
    ledger.build((MODEL, "error", None, None, "no such column", 0.1), status="failed")
    assert "failed 0 1 model failed; tests: 0 passed " in shown(page, "/pipelines/shop")
    monkeypatch.setattr(views, "PAGE", 2)
    (older,) = [link for link in links(page, "/pipelines/shop") if "before" in link]
    assert "published" in shown(page, older.removeprefix("/sluice"))


def test_a_build_says_what_failed_and_what_changed(page: TestClient, ledger: Ledger) -> None:
    failed = ledger.build(
        (MODEL, "error", None, None, f"relation {SCRIPT} does not exist\n  line 2", 0.5),
        (TEST, "skipped", None, None, None, 0.0),
        ("test.sluice.late", "warn", 3, None, "Got 3 results, configured to warn", 0.1),
        status="failed",
        run_id="manual__2026-06-30T06:00:00+00:00",
    )
    text = shown(page, f"/builds/{failed}")
    assert "Gold is as it was" in text
    assert "0 models built, 1 failed; tests: 0 passed, 1 warned, 0 failed" in text
    assert f"model product_sales relation {SCRIPT} does not exist line 2" in text
    assert "Warnings test late, failures: 3 Got 3 results" in text
    run = "/dags/shop/runs/manual__2026-06-30T06%3A00%3A00%2B00%3A00"
    assert run in links(page, f"/builds/{failed}")

    broken = ledger.build(status="failed", message="dbt could not parse it")
    assert "dbt could not parse it" in shown(page, f"/builds/{broken}")

    good = ledger.build((MODEL, "success", None, 3, "SELECT 3", 0.5))
    assert "Built and tested, and not published" in shown(page, f"/builds/{good}")
    ledger.publish(good)
    assert "product_sales 1,234 56 7 column size: added" in shown(page, f"/builds/{good}")


def test_a_build_whose_place_a_newer_one_took_leads_to_it(page: TestClient, ledger: Ledger) -> None:
    older = ledger.build()
    ledger.build(status="failed", message="dbt could not begin")  # it has written over nothing
    assert "its publish task has not run" in shown(page, f"/builds/{older}")
    newer = ledger.build()
    text = shown(page, f"/builds/{older}")
    assert "superseded" in text
    assert f"a newer build took its place, build {newer}" in text
    assert f"/sluice/builds/{newer}" in links(page, f"/builds/{older}")
    assert "superseded" in shown(page, "/pipelines/shop")
    ledger.publish(older)  # had it been published before, nothing of it would be lost
    assert "superseded" not in shown(page, f"/builds/{older}")


def test_a_model_has_a_history(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        ledger.build((MODEL, "success", None, 10**number, f"SELECT {number}", 0.5 * number))
    ledger.build()  # one without it
    path = f"/pipelines/shop/nodes/{MODEL}"
    assert re.findall(r"success ([\d.]+ s) (\d+)", shown(page, path)) == [
        ("1.00 s", "100"),
        ("0.50 s", "10"),
        ("0.00 s", "1"),
    ]
    text = shown(page, path)
    assert "3 builds, up to 1.00 s; red where it failed" in text
    assert "3 builds, up to 100 rows; red where it failed" in text
    monkeypatch.setattr(build_views, "HISTORY", 2)
    (older,) = [link for link in links(page, path) if "before" in link]
    assert "SELECT 1" in shown(page, older.removeprefix("/sluice"))
    assert "No build here had it" in shown(page, f"{path}?before=1")
    for name in ("model.sluice.unheard_of", "%00"):
        response = page.get(f"/pipelines/shop/nodes/{name}")
        assert response.status_code == 404
        assert "No build of shop had a model or test" in response.text


def test_a_history_has_no_figures_that_nobody_writes(page: TestClient, ledger: Ledger) -> None:
    ledger.build((MODEL, "success", None, 61_420, "SELECT 61420", 1234.5))
    text = shown(page, f"/pipelines/shop/nodes/{MODEL}")
    assert "1 build, up to 20.6 min" in text
    assert "1 build, up to 61,420 rows" in text
    ledger.build((TEST, "fail", 1, None, "Got 1 result", 0.1), status="failed")
    assert "1 build, up to 1 failure;" in shown(page, f"/pipelines/shop/nodes/{TEST}")


@pytest.mark.parametrize("run_id", ["cli__2026-06-30T06:00:00+00:00", "replay__2026-06-30T06:00"])
def test_a_run_of_the_command_line_has_no_page_in_airflow(
    page: TestClient, ledger: Ledger, run_id: str
) -> None:
    build = ledger.build(run_id=run_id)
    hold(ledger.transformer, "shop", build, [], ["product_sales: 90% of its rows"])
    ledger.transformer.commit()
    path = f"/builds/{build}"
    text = shown(page, path)
    assert f"Run on the command line, {run_id}" in text
    assert "./sluice approve shop" in text
    assert "./sluice refuse shop" in text
    assert "required action" not in text
    assert not [link for link in links(page, path) if "/dags/" in link]


def test_rows_that_a_test_found_wrong_are_shown(page: TestClient, ledger: Ledger) -> None:
    build = ledger.build((TEST, "fail", 7, None, "Got 7 results", 0.1), status="failed")
    for number in range(7):
        ledger.transformer.execute(
            "insert into ops.failing_rows values (%s, %s, %s, %s)",
            (build, TEST, number + 1, Jsonb({"product": f"<{number}>"})),
        )
    ledger.transformer.commit()
    pattern = r'\{"product": "<(\d)>"\}'
    assert re.findall(pattern, shown(page, f"/builds/{build}")) == list("01234")
    assert f"/sluice/pipelines/shop/nodes/{TEST}#rows" in links(page, f"/builds/{build}")
    rows = shown(page, f"/pipelines/shop/nodes/{TEST}")
    assert re.findall(pattern, rows) == list("0123456")


def test_a_held_publication_says_what_it_would_change(page: TestClient, ledger: Ledger) -> None:
    build = ledger.build(run_id="manual__1")
    change = Difference("product_sales", 10, 0, 0, 9, [])
    hold(ledger.transformer, "shop", build, [change], ["product_sales: 90% of its rows"])
    ledger.transformer.commit()
    assert "shop never held" in shown(page, "/publications")
    text = shown(page, f"/builds/{build}")
    assert "A person has to approve this" in text
    assert "product_sales: 90% of its rows" in text
    assert "product_sales 10 0 0 9" in text
    assert "/dags/shop/runs/manual__1/tasks/publish/required_actions" in links(
        page, f"/builds/{build}"
    )

    held = waiting_publication(ledger.transformer, "shop")
    assert held
    decide(ledger.transformer, held, "refused", "ann")
    ledger.transformer.commit()
    assert "refused by ann" in shown(page, f"/builds/{build}")


def test_what_is_late_is_marked(page: TestClient, settings: Settings, ledger: Ledger) -> None:
    freshness = "freshness: {error_after: {count: 1, period: day}}\n"
    for entry in ("sources/stock.yml", "pipelines/other.yml"):
        with (settings.registry / entry).open("a") as file:
            file.write(freshness)
    assert "stock late nothing yet" in shown(page, "/")
    assert "no delivery was ever loaded; it may be 1 day old" in shown(page, "/sources/stock")
    assert "other never late" in shown(page, "/publications")
    text = shown(page, "/")
    assert (
        "Late: source stock: no delivery was ever loaded; it may be 1 day old"
        " pipeline other: was never published; it may be 1 day old"
    ) in text
    entry = settings.registry / "sources" / "stock.yml"
    entry.write_text(entry.read_text().replace("error_after", "warn_after"))
    text = shown(page, "/")
    assert "Late: pipeline other: was never published" in text
    assert "Late, as a warning: source stock: no delivery was ever loaded" in text


def test_nothing_that_came_from_outside_is_markup(page: TestClient, ledger: Ledger) -> None:
    name = f"<img src=x onerror=alert(1)>\u202e\x1b{'&' * 3}\"'.csv"
    load_id = ledger.deliver(name, f"{SCRIPT},ink,2\n1,ink,2\n")
    build = ledger.build(
        (f"model.sluice.{SCRIPT}", "error", None, None, SCRIPT, 0.1), run_id=SCRIPT
    )
    paths = ["/", "/sources/orders", f"/loads/{load_id}", f"/builds/{build}"]
    opened = SCRIPT.partition("/")[0]
    paths += [f"/?find={SCRIPT}", f"/sources/{opened}", f"/pipelines/shop/nodes/{opened}"]
    for path in paths:
        text = page.get(path).text
        assert "alert(1)" in html.unescape(text), path
        assert "<img" not in text, path
        assert text.count("<script") == 1, path
        assert '<script src="/sluice/static/page.js"></script>' in text
        assert "\u202e" not in text, path
        assert "\x1b" not in text, path
    assert f"{SCRIPT},ink,2" in shown(page, f"/loads/{load_id}")


def test_a_landing_zone_that_hangs_blocks_no_view(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_instance, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(page_instance, "list_deliveries", lambda *_: time.sleep(1))
    start = time.monotonic()
    assert "The landing zone has not answered for" in shown(page, "/")
    assert time.monotonic() - start < 1


def test_a_landing_zone_that_cannot_be_listed_is_said(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr(page_instance, "list_deliveries", refuse)
    assert "The landing zone cannot be listed: the store is away" in shown(page, "/")


def test_a_warehouse_that_is_away_is_said(
    page: TestClient, settings: Settings, users: Users
) -> None:
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    away = build_app(settings.model_copy(update={"warehouse": nowhere}))
    with TestClient(away, cookies={"_token": users.token}) as client:
        response = client.get("/publications")
    assert response.status_code == 503
    assert "cannot be reached" in response.text
    assert "Start that server" in response.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("The type differs.", "Mend it."), 409),
        (DeliveryError("Two fields are one.", code="duplicate_column", remedy="Mend it."), 422),
        (RetriableError("The server is away.", "Mend it."), 503),
    ],
)
def test_what_is_wrong_is_said_in_its_own_words(
    page: TestClient,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    error: SluiceError,
    status: int,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(views.queries, "loads", fail)
    response = page.get("/sources/orders")
    assert response.status_code == status
    assert error.message in response.text
    assert "Mend it." in response.text
    assert ("The warehouse does not answer" in response.text) == (status == 503)


def test_a_warehouse_that_refuses_the_page_is_said(
    page: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConfigError("PostgreSQL refused the password.", "Run ./sluice up.")

    monkeypatch.setattr(page_instance, "connect", refuse)
    response = page.get("/sources/orders")
    assert response.status_code == 503
    assert "The warehouse does not answer" in response.text
    assert "Run ./sluice up." in response.text


def test_a_warehouse_that_takes_too_long_is_said(
    page: TestClient,
    settings: Settings,
    ledger: Ledger,
    loader: psycopg.Connection[Any],
    administrator: psycopg.Connection[Any],
) -> None:
    database = SQL("alter role sluice_observer in database {} set statement_timeout = '50ms'")
    administrator.execute(database.format(Identifier(administrator.info.dbname)))
    loader.execute("lock table ops.loads in access exclusive mode")
    response = page.get("/sources/orders")
    assert response.status_code == 503
    assert "The warehouse took too long over this." in response.text


def test_what_is_masked_since_is_not_shown(
    page: TestClient, settings: Settings, ledger: Ledger
) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\nx,secret,3\n")
    rejected = ledger.deliver("b.csv", "secret,secret,3\n")
    paths = [
        f"/loads/{each}{view}" for each in (load_id, rejected) for view in ("", "/rejects.csv")
    ]
    for path in (*paths, "/sources/orders"):
        assert "secret" in page.get(path).text
    entry = settings.registry / "sources" / "orders.yml"
    text = entry.read_text()
    for name, old in (("product", "{data_type: text}"), ("order_id", "{data_type: bigint,")):
        new = "{data_type: text, mask: hash" + old[-1]
        assert f"{name}: {old}" in text
        text = text.replace(f"{name}: {old}", f"{name}: {new}")
    entry.write_text(text)
    for path in paths:
        response = page.get(path)
        assert response.status_code == 200
        assert "secret" not in response.text
        assert "[masked:unknown]" in response.text
    assert "secret" not in page.get("/sources/orders").text


def test_a_broken_pipeline_is_said(page: TestClient, settings: Settings, ledger: Ledger) -> None:
    (settings.registry / "pipelines" / "shop.yml").write_text("description: no owner\n")
    assert "The pipeline shop cannot run until the registry is mended" in shown(page, "/")
    assert "its entry is broken" in shown(page, "/publications")
    assert "shop.yml" in shown(page, "/pipelines/shop")


def test_a_broken_source_keeps_its_loads(
    page: TestClient, settings: Settings, users: Users, ledger: Ledger
) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\nx,secret,3\n")
    refused = ledger.deliver("b.csv", "secret,pen,4\n")
    (settings.registry / "sources" / "orders.yml").write_text("columns: [\n")
    wrong = "registry/sources/orders.yml:2: is not YAML"
    text = shown(page, "/sources/orders")
    assert wrong in text
    assert re.search(r"b\.csv The delivery was refused \(.*\).* a\.csv \d+ s ago loaded", text)
    assert "/sluice/sources/orders" in links(page, "/")
    for each in (load_id, refused):
        text = shown(page, f"/loads/{each}")
        assert wrong in text
        # Which columns are masked by now cannot be told.
        assert "secret" not in text
        for view in ("rejects.csv", "replay", "withdraw"):
            response = page.get(f"/loads/{each}/{view}")
            assert response.status_code == 409
            assert "secret" not in response.text
    response = page.get("/sources/orders/replay")
    assert (response.status_code, wrong in response.text) == (409, True)
    users.reads = {"other"}
    assert page.get("/sources/orders").status_code == 404
    assert page.get(f"/loads/{load_id}").status_code == 404
    users.reads_all = True  # but a pipeline, which they may not read, names it
    assert page.get("/sources/orders").status_code == 404


def test_what_waits_is_said_where_only_refused_files_lie(page: TestClient, ledger: Ledger) -> None:
    folder = Path(str(ledger.settings.landing)) / "orders"
    folder.mkdir(exist_ok=True)
    (folder / "link.csv").symlink_to(ledger.settings.project)
    text = shown(page, "/sources/orders")
    assert "Waiting nothing, 1 refused" in text


@pytest.mark.parametrize(
    ("method", "path", "data", "name"),
    [
        ("GET", f"/?find={'x' * 101}", {}, "find"),
        ("GET", "/sources/orders?before=x", {}, "before"),
        (
            "POST",
            "/sources/orders/replay",
            {"permit": "x", "first_day": "2026-02-281"},
            "first_day",
        ),
        ("POST", "/sources/orders/replay", {"permit": "x" * 1001}, "permit"),
    ],
)
def test_what_is_wrong_of_an_address_or_a_form_is_named(
    page: TestClient, method: str, path: str, data: dict[str, str], name: str
) -> None:
    headers = {"Sec-Fetch-Site": "same-origin"}
    response = page.request(method, path, data=data or None, headers=headers)
    assert response.status_code == 400
    assert f"{name}: " in response.text
    assert "There is no such page" not in response.text


def test_an_empty_registry_says_how_to_begin(
    page: TestClient, settings: Settings, users: Users, ledger: Ledger
) -> None:
    for entry in settings.registry.glob("*/*.yml"):
        entry.unlink()
    users.reads_all = True
    assert "docs/first-source.md has all there is to copy" in shown(page, "/")
    assert "There is no pipeline yet" in shown(page, "/publications")
