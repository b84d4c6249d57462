"""Templates into responses. File names, records and messages are hostile: all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sluice.errors import counted, printable
from sluice.orchestration.page.plugin import PREFIX
from sluice.pipeline.wording import ago

TEMPLATES = Path(__file__).parent / "templates"

# Nothing but our own style sheet and script, not even what a mistake in a template lets in.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Renderer:
    """The page's templates."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            ago=ago,
            node_name=_node_name,
            number=_number,
            counted=counted,
            seconds=seconds,
            utc=_utc,
        )

    def __call__(
        self, request: Request, template: str, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A template as a response, with the headers that keep strangers' scripts out."""
        # The application's own prefix, and Airflow's before it.
        base = request.scope.get("root_path", "")
        text = self._environment.get_template(template).render(
            base=base, airflow=base.removesuffix(PREFIX), **values
        )
        return HTMLResponse(text, status, HEADERS)


def _visible(value: object) -> object:
    """Control characters, which could reorder or hide what stands around them, as escapes."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _node_name(unique_id: str) -> str:
    """The name of a model or test as its author writes it, taken from dbt's id."""
    kind, _, name = unique_id.partition(".")
    name = name.partition(".")[2] or unique_id
    return name.partition(".")[0] if kind == "test" else name


def _number(value: object) -> str:
    return "" if value is None else f"{value:,}"


def seconds(value: float) -> str:
    """How long something took, in words."""
    return f"{value / 60:.1f} min" if value >= 100 else f"{value:.2f} s"


def _utc(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
