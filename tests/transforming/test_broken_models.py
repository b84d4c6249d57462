"""A model that dbt cannot parse stops its own pipeline, and no other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from psycopg import Connection

from sluice.errors import ConfigError
from sluice.registry import Pipeline
from sluice.transforming import dbt, transform
from sluice.transforming.broken_models import copy_without
from tests.shop_project import ShopProject

BROKEN = {
    "Jinja": ("broken.sql", "select {{ no_end"),
    "YAML": ("broken.yml", "version: 2\nmodels: [{name: x\n"),
    "a model that is not there": ("broken.sql", "select * from {{ ref('nowhere') }}"),
}


@pytest.mark.parametrize(("name", "text"), BROKEN.values(), ids=BROKEN)
def test_another_pipelines_broken_model_stops_nothing(
    shop: ShopProject, name: str, text: str
) -> None:
    folder = shop.settings.dbt / "models" / "silver" / "other"
    folder.mkdir(parents=True)
    (folder / "fine.sql").write_text("select 1 as number")
    (folder / name).write_text(text)
    dependent = shop.settings.dbt / "models" / "gold" / "third" / "reads_it.sql"
    dependent.parent.mkdir(parents=True)
    dependent.write_text("select * from {{ ref('fine') }}")
    with dbt.parsed(shop.settings, "shop") as project:
        assert [mart.name for mart in project.marts()] == ["product_sales", "total_sales"]
        assert not {"fine", "reads_it"} & {node.name for node in project.manifest.nodes.values()}
    for pipeline in ("other", "third"):
        with pytest.raises(ConfigError, match="broken"), dbt.parsed(shop.settings, pipeline):
            pass


def test_a_run_goes_on_without_what_is_broken_elsewhere(shop: ShopProject) -> None:
    folder = shop.settings.dbt / "models" / "gold" / "other"
    folder.mkdir(parents=True)
    (folder / "broken.sql").write_text("select {{ no_end")
    shop.drop("a.csv", "1,ink,2\n")
    (problem,) = dbt.problems_of(shop.settings, ["shop"])
    assert "broken.sql" in problem.message
    report = shop.run()
    assert report.errors == ()
    assert report.publication is not None


def test_gold_is_not_built_without_tests_that_may_be_anybodys(shop: ShopProject) -> None:
    folder = shop.settings.dbt / "tests" / "shared"
    folder.mkdir(parents=True)
    (folder / "broken.sql").write_text("select {{ no_end")
    with pytest.raises(ConfigError, match="broken"), dbt.parsed(shop.settings, "shop"):
        pass


def test_a_model_of_the_same_name_stops_the_pipeline_that_came_later(
    shop: ShopProject, transformer: Connection
) -> None:
    folder = shop.settings.dbt / "models" / "gold" / "other"
    folder.mkdir(parents=True)
    (folder / "total_sales.sql").write_text("select 'all' as scope")
    (folder / "total_sales.yml").write_text(
        "models: [{name: total_sales, constraints: [{type: primary_key, columns: [scope]}],"
        " columns: [{name: scope, data_type: text}]}]"
    )
    with dbt.parsed(shop.settings, "shop") as project:
        assert "total_sales" in project.left_out
    transformer.autocommit = True
    transformer.execute(
        """
        with build as (
            insert into ops.transformations (pipeline, run_id) values ('shop', 'test')
            returning transformation_id
        )
        insert into ops.node_results
            (transformation_id, unique_id, resource_type, status, execution_seconds)
        select transformation_id, 'model.sluice.total_sales', 'model', 'success', 0 from build
        """
    )
    other = Pipeline(name="other", description="-", owner="-", sources=("orders",))
    with pytest.raises(ConfigError, match="so has shop, which has built it"):
        transform(shop.settings, other, "test")


def test_each_run_has_a_copy_of_its_own_and_takes_it_away(tmp_path: Path) -> None:
    for name in ("mine", "broken"):
        (tmp_path / "dbt" / "models" / "gold" / name).mkdir(parents=True)
    runs = tmp_path / "runs"
    runs.mkdir()
    os.utime(tmp_path / "dbt", (0, 0))  # of no account: it is the copies' age that counts
    with (
        copy_without(tmp_path / "dbt", {"broken"}, runs) as first,
        copy_without(tmp_path / "dbt", {"broken"}, runs) as second,
    ):
        for copy in (first, second):
            assert [path.name for path in (copy / "models" / "gold").iterdir()] == ["mine"]
    assert list(runs.iterdir()) == []
    killed = runs / "without-1"
    (killed / "project").mkdir(parents=True)
    os.utime(killed, (time.time() - 8 * 86400,) * 2)
    with copy_without(tmp_path / "dbt", (), runs):
        assert not killed.exists()
