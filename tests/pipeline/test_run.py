"""One whole run with a real dbt: what is published, what is kept back, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NoReturn

import psycopg
import pytest
from psycopg import Connection

from sluice.errors import ConfigError, DeliveryError, RetriableError, TransformError
from sluice.local.airflow_config import airflow_environment
from sluice.notifying.events import Known, find_news
from sluice.pipeline import publish, run_pipeline, sense, transform
from sluice.pipeline.overview import pipeline_states
from sluice.registry import load_registry
from sluice.transforming import transformation
from sluice.warehouse.connections import connect
from tests.shop_project import ShopProject


@pytest.fixture
def gold(reader: Connection) -> Connection:
    reader.autocommit = True
    return reader


def totals(gold: Connection) -> list[tuple[object, ...]]:
    return gold.execute("select orders, amount from gold.total_sales").fetchall()


def test_a_delivery_becomes_gold(shop: ShopProject, gold: Connection) -> None:
    shop.drop("a.csv", "1,ink,2.50\n2,ink,1\n3,pen,4\n")
    report = shop.run()

    assert report.errors == ()
    assert report.publication
    assert report.publication.loads == 1
    assert gold.execute("select * from gold.product_sales order by 1").fetchall() == [
        ("ink", 2, Decimal("3.50")),
        ("pen", 1, 4),
    ]
    shop.drop("a.csv", "1,ink,2.50\n")
    shop.run()
    assert totals(gold) == [(1, Decimal("2.50"))]


def test_sensing_tells_what_waits_and_what_is_not_published(shop: ShopProject) -> None:
    registry = load_registry(shop.settings.project)
    assert not sense(shop.settings, registry, "shop").is_anything_pending
    shop.drop("a.csv", "1,gold,2\n")  # a product that a test of severity error refuses
    assert sense(shop.settings, registry, "shop").sources == ("orders",)
    shop.run()
    sensed = sense(shop.settings, registry, "shop")
    assert (sensed.sources, sensed.pending_loads) == ((), 1)


def test_a_pipeline_can_be_transformed_before_anything_was_delivered(
    shop: ShopProject, gold: Connection
) -> None:
    """As a run by hand in Airflow does, where sense skips the loads."""
    registry = load_registry(shop.settings.project)
    sense(shop.settings, registry, "shop")
    publish(shop.settings, "shop", transform(shop.settings, registry, "shop", "by hand"))
    assert totals(gold) == [(0, None)]


def test_a_failing_test_keeps_gold_and_the_load_pending(
    shop: ShopProject, gold: Connection, loader: Connection
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    shop.drop("b.csv", "2,gold,3\n")
    (error,) = shop.run().errors

    assert isinstance(error, TransformError)
    assert "accepted_values_product_sales_product" in error.message
    assert totals(gold) == [(1, 2)]
    assert loader.execute("select status from ops.transformations order by 1").fetchall() == [
        ("failed",),
        ("passed",),
    ]
    assert loader.execute(
        "select status, failures from ops.node_results where status = 'fail'"
    ).fetchall() == [("fail", 1)]
    shop.drop("b.csv", "2,pad,3\n")  # the sender mends it
    report = shop.run()
    assert report.publication
    assert report.publication.loads == 2
    assert totals(gold) == [(2, 5)]


def test_a_rejected_file_does_not_keep_the_others_back(shop: ShopProject, gold: Connection) -> None:
    shop.drop("bad.csv", "x,ink,2\n")
    shop.drop("good.csv", "1,ink,2\n")
    report = shop.run()

    (error,) = report.errors
    assert isinstance(error, DeliveryError)
    assert "bad.csv" in error.message
    assert "invalid input syntax" in error.message
    assert totals(gold) == [(1, 2)]


def test_a_changed_model_is_published_without_a_delivery(
    shop: ShopProject, gold: Connection
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    model = shop.model("total_sales.sql")
    model.write_text(model.read_text().replace("sum(amount)", "sum(amount) * 2"))
    assert shop.run().errors == ()
    assert totals(gold) == [(1, 4)]


def test_a_mart_without_a_key_is_an_error_that_names_it(shop: ShopProject) -> None:
    path = shop.model("marts.yml")
    text = path.read_text()
    path.write_text(text.replace("primary_key", "not_null").replace("[scope]", "[]"))
    (error,) = shop.run().errors
    assert isinstance(error, ConfigError)
    assert "declares no key" in error.message or "cannot be parsed" in error.message
    path.write_text(text)
    assert shop.run().errors == ()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("materialized='view'", "is not built as a table"),
        ("schema='gold'", "is not built as a table"),
        ("alias='elsewhere'", "is not built as a table"),
    ],
)
def test_a_mart_that_could_be_published_untested_is_refused(
    shop: ShopProject, config: str, words: str
) -> None:
    model = shop.model("total_sales.sql")
    model.write_text("{{ config(" + config + ") }}\n" + model.read_text())
    (error,) = shop.run().errors
    assert isinstance(error, ConfigError)
    assert words in error.message


def test_a_pipeline_may_not_build_the_marts_of_another(shop: ShopProject) -> None:
    """It would write over a candidate that the other has tested and is about to publish."""
    folder = shop.settings.dbt / "models" / "gold" / "reports"
    folder.mkdir()
    (folder / "report.sql").write_text("select scope from {{ ref('total_sales') }}")
    (folder / "report.yml").write_text(
        "version: 2\nmodels:\n- name: report\n"
        "  constraints: [{type: primary_key, columns: [scope]}]\n"
        "  columns: [{name: scope, data_type: text}]\n"
    )
    pipeline = shop.settings.registry / "pipelines" / "reports.yml"
    pipeline.write_text("description: x\nowner: y\nsources: [orders]\n")
    registry = load_registry(shop.settings.project)
    with pytest.raises(ConfigError, match="refers to total_sales, a mart of shop"):
        transform(shop.settings, registry, "reports", "test")


def test_a_broken_model_is_an_error_and_gold_stays(shop: ShopProject, gold: Connection) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    model = shop.model("total_sales.sql")
    model.write_text(model.read_text().replace("sum(amount)", "sum(amunt)"))
    (error,) = shop.run().errors
    assert isinstance(error, TransformError)
    assert "amunt" in error.message
    assert totals(gold) == [(1, 2)]


def test_two_runs_at_once_publish_what_both_have_loaded(
    shop: ShopProject, gold: Connection, transformer: Connection
) -> None:
    """One of the two builds takes the place of the other; neither run has failed by that."""
    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    sluice = [sys.executable, "-m", "sluice.cli.main", "run", "shop", "--json"]
    environment = os.environ | {
        name: value
        for name, value in airflow_environment(shop.settings).items()
        if name.startswith("SLUICE_")
    }
    for number in range(2, 5):
        shop.drop(f"{number}.csv", f"{number},pen,3\n")
        runs = [
            subprocess.Popen(sluice, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        reports = [json.loads(run.communicate()[0]) for run in runs]
        assert [report["errors"] for report in reports] == [[], []]
        assert [run.returncode for run in runs] == [0, 0]
        assert totals(gold) == [(number, 2 + 3 * (number - 1))]
    assert transformer.execute(
        "select count(*) from ops.transformations where status <> 'passed'"
    ).fetchone() == (0,)


def test_a_candidate_that_a_failed_build_has_written_over_is_built_again(
    shop: ShopProject, gold: Connection, transformer: Connection
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    registry = load_registry(shop.settings.project)
    model = shop.model("total_sales.sql")
    text = model.read_text()

    def build_over(words: str) -> None:
        if words == "publishing shop" and not others:
            others.append(words)
            model.write_text(text.replace("sum(amount)", "sum(amunt)"))
            with pytest.raises(TransformError, match="amunt"):
                transform(shop.settings, registry, "shop", "other")
            model.write_text(text)

    others: list[str] = []
    report = run_pipeline(shop.settings, registry, "shop", "own", tell=build_over)
    assert report.errors == ()
    assert report.publication
    assert report.publication.loads == 1
    assert totals(gold) == [(1, 2)]
    assert transformer.execute(
        "select run_id, status from ops.transformations order by transformation_id"
    ).fetchall() == [("own", "passed"), ("other", "failed"), ("own", "passed")]


def unparsable(shop: ShopProject) -> None:
    model = shop.model("total_sales.sql")
    model.write_text(model.read_text() + "-- {{ ref('no_such_model') }}")


def broken_profile(shop: ShopProject) -> None:
    (shop.settings.dbt / "profiles.yml").write_text("sluice: [")


def broken_project(shop: ShopProject) -> None:
    (shop.settings.dbt / "dbt_project.yml").write_text("name: [")


def without_a_key(shop: ShopProject) -> None:
    path = shop.model("marts.yml")
    path.write_text(path.read_text().replace("primary_key", "not_null").replace("[scope]", "[]"))


@pytest.mark.parametrize(
    "broken",
    [unparsable, broken_profile, broken_project, without_a_key],
    ids=lambda it: it.__name__,
)
def test_what_keeps_dbt_from_beginning_is_a_failed_build(
    shop: ShopProject, transformer: Connection, broken: Callable[[ShopProject], None]
) -> None:
    """Or nobody would hear of it but who looks at the run: status, the page, and messages ask."""
    transformer.autocommit = True
    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    broken(shop)
    shop.drop("b.csv", "2,pen,3\n")
    (error,) = shop.run("broken").errors

    assert isinstance(error, ConfigError)
    assert transformer.execute(
        "select run_id, status, message, ended_at >= started_at, cardinality(loads)"
        " from ops.transformations order by transformation_id desc limit 1"
    ).fetchone() == ("broken", "failed", error.message, True, 1)
    registry = load_registry(shop.settings.project)
    (state,) = pipeline_states(transformer, registry)
    assert (state.failure, state.pending_loads) == (error.message, 1)
    known = {"pipeline shop": Known(datetime.now(UTC) - timedelta(hours=1))}
    (news,) = find_news(transformer, registry, "failed", known)
    assert news.headline == "shop: failed"
    assert news.lines[-1] == "Gold is as it was."


def test_a_warehouse_that_is_away_is_no_failed_build(
    shop: ShopProject, transformer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> NoReturn:
        raise RetriableError("The warehouse is away.")

    registry = load_registry(shop.settings.project)
    sense(shop.settings, registry, "shop")
    monkeypatch.setattr(transformation, "connect", away)
    with pytest.raises(RetriableError):
        transform(shop.settings, registry, "shop", "test")
    assert transformer.execute("select count(*) from ops.transformations").fetchone() == (0,)


def test_a_candidate_outlives_a_run_in_which_dbt_could_not_begin(
    shop: ShopProject, gold: Connection
) -> None:
    """Nothing was written over: neither what is about to be published, nor what is held."""
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    registry = load_registry(shop.settings.project)
    candidate = transform(shop.settings, registry, "shop", "test")
    unparsable(shop)
    with pytest.raises(ConfigError):
        transform(shop.settings, registry, "shop", "test")
    publish(shop.settings, "shop", candidate)
    assert totals(gold) == [(1, 2)]


PUBLICATIONS = 50


@pytest.mark.timeout(1800)
def test_readers_never_see_a_mix_an_empty_mart_or_an_untested_row(shop: ShopProject) -> None:
    """P4: one snapshot per poll, over publications, corrections, failing tests, new columns."""
    shop.drop("0.csv", "0,ink,1\n")
    assert shop.run().errors == ()
    seen: list[str] = []
    polls = 0
    done = threading.Event()

    def poll() -> None:
        nonlocal polls
        with connect(shop.settings, "reader", application_name="poll") as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while not done.is_set():
                with reader.transaction():
                    total = reader.execute("select orders, amount from gold.total_sales").fetchall()
                    products = reader.execute(
                        "select sum(orders), sum(amount), count(*),"
                        " count(*) filter (where product not in ('ink', 'pen', 'pad', 'cup'))"
                        " from gold.product_sales"
                    ).fetchone()
                polls += 1
                # Or this thread takes the interpreter from the one that publishes.
                done.wait(0.01)
                if len(total) != 1 or products is None or not products[2]:
                    seen.append(f"empty: {total} {products}")
                elif total[0] != products[:2]:
                    seen.append(f"mix: {total} {products}")
                elif products[3]:
                    seen.append(f"untested: {products}")

    thread = threading.Thread(target=poll)
    thread.start()
    published = failed = 0
    try:
        for number in range(PUBLICATIONS + PUBLICATIONS // 5):
            if number % 6 == 5:  # a delivery that a test refuses, mended by the next correction
                shop.drop("bad.csv", f"{number},gold,1\n")
            elif number % 3 == 1:
                shop.drop("0.csv", f"0,ink,{number}\n{number},pen,2\n")
            else:
                shop.drop("bad.csv", f"{number},cup,{number}\n")
                shop.drop(f"{number}.csv", f"{number},pad,{number}\n")
            if number in (20, 30):  # a mart gains a column, then another type
                path, sql = shop.model("marts.yml"), shop.model("total_sales.sql")
                data_type, value = ("integer", "1") if number == 20 else ("text", "'one'")
                path.write_text(
                    path.read_text().split("      - name: extra")[0]
                    + f"      - name: extra\n        data_type: {data_type}\n"
                )
                sql.write_text(
                    sql.read_text()
                    .replace(",\n    1 as extra", "")
                    .replace("as amount", f"as amount,\n    {value} as extra")
                )
            report = shop.run(f"run {number}")
            published += report.publication is not None
            failed += report.publication is None
    finally:
        done.set()
        thread.join()

    assert seen == []
    assert published >= PUBLICATIONS
    assert failed >= 5
    assert polls > published * 10
