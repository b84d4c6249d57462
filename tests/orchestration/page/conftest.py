"""The page over a ledger with a history, and the users who ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.api_fastapi.app import _AuthManagerState
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from jwt import InvalidTokenError

from sluice.loading import load_source, make_missing_tables
from sluice.orchestration.page.app import build_app
from sluice.orchestration.page.plugin import PREFIX, mounted
from sluice.registry import Registry, load_registry
from sluice.settings import Settings

SOURCE = """\
description: Orders <b>of</b> the shop.
owner: shop
columns:
  order_id: {data_type: bigint, nullable: false}
  product: {data_type: text}
  amount: {data_type: decimal, precision: 12, scale: 2, minimum: 0}
"""
PIPELINE = "description: What sells.\nowner: shop\nsources: [{source}]\n"


class Users(SimpleAuthManager):
    """Airflow's side: one known token, and the DAGs that its bearer may read."""

    token = "token of a user who is logged in"

    def __init__(self) -> None:
        super().__init__()
        self.reads: set[str] = {"shop", "other"}
        self.reads_all = False
        self.may_start = True
        self.name = "ann"

    async def get_user_from_token(self, token: str) -> SimpleAuthManagerUser:
        if token != self.token:
            raise InvalidTokenError("not ours")
        return SimpleAuthManagerUser(username=self.name, role="viewer")

    def get_authorized_dag_ids(self, **_: Any) -> set[str]:
        return self.reads

    def is_authorized_dag(self, *, method: str, **_: Any) -> bool:
        return self.reads_all if method == "GET" else self.may_start

    def generate_jwt(self, user: Any, *, expiration_time_in_seconds: int = 0) -> str:
        assert 0 < expiration_time_in_seconds <= 60
        return f"{user.username}'s"


class Airflow:
    """Stands in for the interface by which runs are started and read."""

    def __init__(self, users: Users) -> None:
        self.users = users
        self.runs: dict[str, dict[str, Any]] = {}

    def mount(self, page: FastAPI) -> FastAPI:
        """The application with the page in it, as Airflow mounts it."""
        app = FastAPI()

        async def mounted_page(scope: Any, receive: Any, send: Any) -> None:
            await page(mounted(scope), receive, send)

        app.mount(PREFIX, mounted_page)
        app.post("/api/v2/dags/{dag_id}/dagRuns", status_code=201)(self.start)
        app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}")(self.read)
        return app

    async def start(self, dag_id: str, request: Request) -> dict[str, Any]:
        body = await request.json()
        if not self.users.may_start:
            raise HTTPException(403, "Forbidden")
        if body["dag_run_id"] in self.runs:
            raise HTTPException(409, "there")
        name = request.headers["authorization"].removeprefix("Bearer ").removesuffix("'s")
        run = {"dag_id": dag_id, "state": "queued", "triggering_user_name": name, **body}
        self.runs[body["dag_run_id"]] = run
        return run

    async def read(self, dag_id: str, run_id: str) -> dict[str, Any]:
        if self.runs.get(run_id, {}).get("dag_id") != dag_id:
            raise HTTPException(404, "no such run")
        return self.runs[run_id]


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Users:
    manager = Users()
    monkeypatch.setattr(_AuthManagerState, "instance", manager)
    return manager


@pytest.fixture
def registry(settings: Settings) -> Registry:
    """Two pipelines of a source each, with nothing delivered."""
    for pipeline, source in (("shop", "orders"), ("other", "stock")):
        (settings.registry / "sources" / f"{source}.yml").write_text(SOURCE)
        entry = settings.registry / "pipelines" / f"{pipeline}.yml"
        entry.write_text(PIPELINE.format(source=source))
    return load_registry(settings.project)


@pytest.fixture
def airflow(users: Users) -> Airflow:
    return Airflow(users)


@pytest.fixture
def page(
    settings: Settings, registry: Registry, users: Users, airflow: Airflow
) -> Iterator[TestClient]:
    """The page as Airflow mounts it, asked by a user who is logged in."""
    app = airflow.mount(build_app(settings))
    cookies = {"_token": users.token}
    with TestClient(app, base_url=f"http://testserver{PREFIX}", cookies=cookies) as client:
        yield client


class Ledger:
    """Writes a history: deliveries that are really loaded, and builds as dbt would report them."""

    def __init__(self, settings: Settings, registry: Registry, transformer: Any) -> None:
        self.settings = settings
        self.registry = registry
        self.transformer = transformer

    def deliver(self, name: str, rows: str, source: str = "orders") -> int:
        """Drop a file and load it; the load's id."""
        folder = Path(str(self.settings.landing)) / source
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("order_id,product,amount\n" + rows)
        declared = self.registry.source(source)
        report = load_source(self.settings, declared, self.registry.sources_beside([source]))
        return report.entries[-1].load_id

    def build(
        self, *nodes: tuple[Any, ...], pipeline: str = "shop", status: str = "passed", **more: Any
    ) -> int:
        """Note a build with its nodes' results; its id."""
        row = self.transformer.execute(
            """
            insert into ops.transformations (pipeline, run_id, status, message, ended_at)
            values (%s, %s, %s, %s, clock_timestamp()) returning transformation_id
            """,
            (pipeline, more.get("run_id", "manual__1"), status, more.get("message")),
        ).fetchone()
        for unique_id, *result in nodes:
            self.transformer.execute(
                "insert into ops.node_results values (%s, %s, %s, %s, %s, %s, %s, %s)",
                (row[0], unique_id, unique_id.partition(".")[0], *result),
            )
        self.transformer.commit()
        return int(row[0])

    def publish(self, build: int, load_ids: tuple[int, ...] = (), pipeline: str = "shop") -> int:
        """Note that a build was published; the publication's id."""
        row = self.transformer.execute(
            """
            insert into ops.publications (pipeline, transformation_id) values (%s, %s)
            returning publication_id
            """,
            (pipeline, build),
        ).fetchone()
        self.transformer.execute(
            """
            insert into ops.published_marts
            values (%s, 'product_sales', 1234, 56, 7, array['column size: added'])
            """,
            row,
        )
        for load_id in load_ids:
            self.transformer.execute(
                "insert into ops.published_loads values (%s, %s, %s)", (pipeline, load_id, *row)
            )
        self.transformer.commit()
        return int(row[0])


@pytest.fixture
def ledger(
    settings: Settings,
    registry: Registry,
    loader: psycopg.Connection[Any],
    transformer: psycopg.Connection[Any],
) -> Ledger:
    make_missing_tables(loader, registry.sources.values())
    loader.commit()
    return Ledger(settings, registry, transformer)
