"""What Airflow is told of the page; found by the entry point ``airflow.plugins``.

Every process of Airflow imports this, each task's among them: the page itself, and what it needs,
is imported by its first request.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

PREFIX = "/sluice"

# Under this key a request's scope has the application that the page is mounted in, Airflow's own.
AIRFLOW_APP = "sluice.airflow_app"


@cache
def _app() -> Any:
    from sluice.orchestration.page.app import build_app
    from sluice.settings import load_settings

    return build_app(load_settings())


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page as an ASGI application."""
    await _app()(mounted(scope), receive, send)


def mounted(scope: Any) -> Any:
    """A request's scope that says what the page is mounted in, whose place the page takes there."""
    return {**scope, AIRFLOW_APP: scope.get("app")}


class SluicePlugin(AirflowPlugin):
    """The page, its entry in the navigation, and a tab of each pipeline's DAG."""

    name = "sluice"
    fastapi_apps = [{"app": page, "url_prefix": PREFIX, "name": "Sluice"}]  # noqa: RUF012  # as
    # Airflow declares it, like the next. No slash before an address: so it follows [api] base_url.
    external_views = [  # noqa: RUF012
        {
            "name": "Sluice",
            "href": f"{PREFIX.lstrip('/')}/",
            "destination": "nav",
            "url_route": "sluice",
            "nav_top_level": True,
        },
        {
            "name": "Publications",
            "href": f"{PREFIX.lstrip('/')}/pipelines/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "publications",
        },
    ]
