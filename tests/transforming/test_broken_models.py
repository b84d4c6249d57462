"""A model that dbt cannot parse stops its own pipeline, and no other."""

from __future__ import annotations

import pytest

from sluice.errors import ConfigError
from sluice.transforming import dbt
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
    project = dbt.parse(shop.settings, "shop")
    assert [mart.name for mart in project.marts()] == ["product_sales", "total_sales"]
    assert not {"fine", "reads_it"} & {node.name for node in project.manifest.nodes.values()}
    with pytest.raises(ConfigError, match="broken"):
        dbt.parse(shop.settings, "other")
    with pytest.raises(ConfigError, match="broken"):
        dbt.parse(shop.settings, "third")


def test_a_run_goes_on_without_what_is_broken_elsewhere(shop: ShopProject) -> None:
    folder = shop.settings.dbt / "models" / "gold" / "other"
    folder.mkdir(parents=True)
    (folder / "broken.sql").write_text("select {{ no_end")
    shop.drop("a.csv", "1,ink,2\n")
    assert "broken.sql" in (dbt.parse_problem(shop.settings) or "")
    report = shop.run()
    assert report.errors == ()
    assert report.publication is not None
