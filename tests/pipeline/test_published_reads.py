"""A pipeline that reads another one's marts as published."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sluice.errors import ConfigError
from sluice.pipeline import RunReport, run_pipeline, sense, transform
from sluice.pipeline.overview import pipeline_states
from sluice.registry import load_registry
from sluice.settings import Settings
from sluice.transforming import dbt
from sluice.warehouse.connections import advisory_key, connect
from tests.shop_project import ShopProject

MART = """
select product, amount * 2 as doubled from {{ published('product_sales') }}
"""
MART_YAML = """
version: 2
sources:
- name: gold
  schema: gold
  tables: [{name: product_sales}]
models:
- name: report
  constraints: [{type: primary_key, columns: [product]}]
  columns:
  - {name: product, data_type: text}
  - {name: doubled, data_type: "numeric(12, 2)"}
"""


@pytest.fixture
def shop(shop: ShopProject) -> ShopProject:
    """The shop, and beside it a pipeline `reports` that has no source of its own."""
    settings = shop.settings
    folder = settings.dbt / "models" / "gold" / "reports"
    folder.mkdir()
    (folder / "report.sql").write_text(MART.replace("amount * 2", "(amount * 2)::numeric(12, 2)"))
    (folder / "report.yml").write_text(MART_YAML)
    say_that_reports(settings, "reads: [shop]")
    return shop


def say_that_reports(settings: Settings, line: str) -> None:
    path = settings.registry / "pipelines" / "reports.yml"
    path.write_text(f"description: x\nowner: y\n{line}\n")


def run_reports(settings: Settings) -> RunReport:
    report = run_pipeline(settings, load_registry(settings.project), "reports", "test")
    assert not report.errors, "\n".join(map(str, report.errors))
    return report


def pending(settings: Settings) -> int:
    return sense(settings, load_registry(settings.project), "reports").pending_publications


def test_it_reads_what_is_published_and_knows_when_there_is_more(
    shop: ShopProject, reader: psycopg.Connection[Any], transformer: psycopg.Connection[Any]
) -> None:
    reader.autocommit = True
    settings = shop.settings
    registry = load_registry(settings.project)
    assert not sense(settings, registry, "reports").is_anything_pending
    run_reports(settings)  # the mart that it reads was never published
    assert reader.execute("select * from gold.report").fetchall() == []

    shop.drop("a.csv", "1,ink,2\n")
    shop.run()
    assert sense(settings, registry, "reports").is_anything_pending
    assert pending(settings) == 1
    run_reports(settings)
    assert reader.execute("select * from gold.report").fetchall() == [("ink", 4)]
    assert pending(settings) == 0

    shop.drop("a.csv", "1,ink,3\n")
    shop.run()
    shop.run()
    state = next(
        state for state in pipeline_states(transformer, registry) if state.pipeline == "reports"
    )
    assert state.pending_publications == 2
    assert not state.is_up_to_date
    run_reports(settings)
    assert reader.execute("select * from gold.report").fetchall() == [("ink", 6)]
    assert pending(settings) == 0


def test_what_it_reads_is_not_published_while_it_is_built(
    shop: ShopProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run()
    real = dbt.build
    publishable = []

    def build(settings: Settings, project: dbt.Project, **options: Any) -> list[dbt.NodeResult]:
        with connect(settings, "transformer", application_name="test") as connection:
            for mart in ("product_sales", "total_sales"):
                query = "select pg_try_advisory_xact_lock(%s)"
                row = connection.execute(query, (advisory_key("model", mart),)).fetchone()
                publishable.append(row)
        return real(settings, project, **options)

    monkeypatch.setattr(dbt, "build", build)
    run_reports(shop.settings)
    assert publishable == [(False,), (True,)]


def test_a_mart_of_a_pipeline_that_it_does_not_say_it_reads_is_refused(shop: ShopProject) -> None:
    say_that_reports(shop.settings, "sources: [orders]")
    registry = load_registry(shop.settings.project)
    with pytest.raises(ConfigError, match="report reads product_sales, a mart of shop") as error:
        transform(shop.settings, registry, "reports", "test")
    assert "registry/pipelines/reports.yml: add shop to reads" in error.value.remedy
