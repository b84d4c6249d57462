"""The DAG of a pipeline that reads others: woken by what they publish."""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetAny

from sluice.orchestration.dags import build_dags
from tests.orchestration.conftest import RegistryFiles

READING = "description: All of it.\nowner: analysts\nreads: [shop, web]\n{sources}"


def build(files: RegistryFiles, sources: str = "") -> Any:
    files.pipeline("shop", "orders")
    files.pipeline("web", "visits")
    for pipeline in ("shop", "web"):
        folder = files.settings.dbt / "models" / "gold" / pipeline
        folder.mkdir(parents=True)
        (folder / f"{pipeline}_sales.sql").touch()
    path = files.settings.registry / "pipelines" / "both.yml"
    path.write_text(READING.format(sources=sources))
    return build_dags(files.settings)["both"]


def woken_by(dag: Any) -> set[str]:
    schedule = dag.timetable.asset_condition
    assert isinstance(schedule, AssetAny)
    return {asset.uri for asset in schedule.objects}


def test_without_sources_it_transforms_what_others_publish(registry_files: RegistryFiles) -> None:
    dag = build(registry_files)
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "sense": {"transform"},
        "transform": {"publish"},
        "publish": set(),
    }
    assert woken_by(dag) == {
        "sluice://gold/shop_sales",
        "sluice://gold/web_sales",
        "sluice://pending/both",
    }
    assert "Runs when shop has published or web has published, or by hand." in dag.doc_md


def test_with_sources_it_is_woken_by_deliveries_as_well(registry_files: RegistryFiles) -> None:
    dag = build(registry_files, "sources: [orders]\n")
    assert woken_by(dag) == {
        "sluice://landing/orders",
        "sluice://gold/shop_sales",
        "sluice://gold/web_sales",
        "sluice://pending/both",
    }
    assert "load.orders" in dag.task_ids
