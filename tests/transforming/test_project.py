"""What a project has to say of itself before anything is built of it."""

from __future__ import annotations

import pytest

from sluice.errors import ConfigError
from sluice.transforming import dbt
from tests.shop_project import ShopProject

BY_FILE = """\
{{{{ config(
    materialized='incremental', incremental_strategy='by_file', meta={{'files_of': {}}}
) }}}}
select _load_id, order_id from {{{{ source('bronze', 'orders') }}}}
"""


@pytest.mark.parametrize("files_of", [{"source": "order"}, {"model": "elsewhere"}])
def test_a_model_by_file_names_what_it_reads(shop: ShopProject, files_of: dict[str, str]) -> None:
    folder = shop.settings.dbt / "models" / "silver" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders_by_file.sql").write_text(BY_FILE.format(files_of))
    shop.drop("a.csv", "1,ink,2\n")

    (found,) = dbt.problems_of(shop.settings, ["shop"])
    assert next(iter(files_of.values())) in found.message
    assert "It reads: orders" in found.remedy

    report = shop.run()
    assert [type(error) for error in report.errors] == [ConfigError]
    assert report.publication is None


def test_what_another_pipeline_says_wrong_stops_it_alone(shop: ShopProject) -> None:
    folder = shop.settings.dbt / "models" / "silver" / "other"
    folder.mkdir(parents=True)
    (folder / "other_by_file.sql").write_text(BY_FILE.format({"source": "order"}))
    shop.drop("a.csv", "1,ink,2\n")
    assert shop.run().errors == ()


def test_a_test_that_refers_to_no_model_counts_as_well(shop: ShopProject) -> None:
    folder = shop.settings.dbt / "tests" / "shop"
    folder.mkdir(parents=True)
    (folder / "nothing_is_right.sql").write_text("select 1 as why")
    shop.drop("a.csv", "1,ink,2\n")
    report = shop.run()
    assert report.publication is None
    assert "nothing_is_right" in str(report.errors[0])


def test_a_mart_without_a_key_is_seen_beforehand(shop: ShopProject) -> None:
    (shop.settings.dbt / "models" / "gold" / "shop" / "extra.sql").write_text(
        "{{ config(materialized='table') }} select 1 as number"
    )
    (found,) = dbt.problems_of(shop.settings, ["shop"])
    assert "Mart extra declares no key" in found.message
    assert "dbt/models/gold/shop/extra.sql" in found.remedy
