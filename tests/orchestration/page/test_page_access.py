"""Who may see the page: nobody without a login, and nobody what Airflow keeps from them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from sluice.orchestration.page import actions, build_views, views
from sluice.orchestration.page.app import build_app
from sluice.orchestration.page.plugin import SluicePlugin
from sluice.settings import Settings
from tests.orchestration.page.conftest import Ledger, Users

ROUTES = [
    route
    for router in (views.router, build_views.router, actions.router)
    for route in router.routes
    if isinstance(route, APIRoute)
]
VIEWS = [(method, route.path) for route in ROUTES for method in route.methods]
VALUES = {
    "load_id": "1",
    "build_id": "1",
    "name": "orders",
    "node": "model.sluice.x",
    "dag_id": "sluice_replay",
    "run_id": "x",
}


@pytest.mark.parametrize(("method", "path"), VIEWS)
@pytest.mark.parametrize("token", [None, "forged"])
def test_no_view_is_open_to_strangers(
    page: TestClient, method: str, path: str, token: str | None
) -> None:
    page.cookies.clear()
    if token:
        page.cookies["_token"] = token
    response = page.request(
        method, path.format(**VALUES), headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert response.status_code == (403 if token else 401)
    assert "orders" not in response.text


def test_nothing_but_views_and_their_style_is_served(
    settings: Settings, page: TestClient, users: Users
) -> None:
    paths = {route.path for route in build_app(settings).routes}  # type: ignore[attr-defined]
    assert paths == {*(route.path for route in ROUTES), "/static"}
    page.cookies.clear()
    for name in ("style.css", "page.js"):
        assert page.get(f"/static/{name}").status_code == 200
    assert page.get("/static/../app.py").status_code == 404
    assert page.post("/").status_code == 405


def test_who_is_not_logged_in_is_told_where_to(page: TestClient) -> None:
    page.cookies.clear()
    assert "Log in to Airflow" in page.get("/").text


def test_a_user_sees_the_sources_of_readable_dags_only(
    page: TestClient, users: Users, ledger: Ledger
) -> None:
    hidden = ledger.deliver("secret.csv", "1,ink,2\n", source="stock")
    build = ledger.build(pipeline="other")
    users.reads = {"shop"}
    for path in (
        "/sources/stock",
        f"/loads/{hidden}",
        f"/loads/{hidden}/rejects.csv",
        f"/builds/{build}",
        "/pipelines/other",
        "/pipelines/other/nodes/model.sluice.x",
        "/loads/999999",
        "/loads/0",
        "/loads/9223372036854775808",
    ):
        response = page.get(path)
        assert response.status_code == 404, path
        assert "secret" not in response.text
    assert "stock" not in page.get("/").text
    assert "other" not in page.get("/publications").text
    users.reads = set()
    assert page.get("/").status_code == 403


@pytest.mark.parametrize("path", ["/", "/sources/orders", "/publications", "/sources/none"])
def test_every_answer_forbids_what_is_not_ours(page: TestClient, path: str) -> None:
    headers = page.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'self'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_download_has_the_same_headers(page: TestClient, ledger: Ledger) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\nx,ink,2\n")
    headers = page.get(f"/loads/{load_id}/rejects.csv").headers
    assert "content-security-policy" in headers
    assert headers["x-content-type-options"] == "nosniff"


def test_airflow_is_told_of_the_page() -> None:
    (app,) = SluicePlugin.fastapi_apps
    views: list[dict[str, Any]] = SluicePlugin.external_views
    assert app["url_prefix"] == "/sluice"
    assert {view["destination"]: view["href"] for view in views} == {
        "nav": "sluice/",
        "dag": "sluice/pipelines/{DAG_ID}",
    }
