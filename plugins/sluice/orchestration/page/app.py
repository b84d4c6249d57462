"""The page as a FastAPI application: the views behind Airflow's login, and what goes wrong."""

from __future__ import annotations

import logging
from http import HTTPStatus
from pathlib import Path

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from sluice.errors import ConfigError, DeliveryError, SluiceError
from sluice.orchestration.page import actions, build_views, views
from sluice.orchestration.page.instance import Instance, ObserverRefusedError
from sluice.orchestration.page.rendering import Renderer
from sluice.settings import Settings

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

# The first that an error is; of any other, it is the warehouse that does not answer.
_STATUS: dict[type[SluiceError], int] = {
    ObserverRefusedError: 503,
    ConfigError: 409,
    DeliveryError: 422,
}
_TITLES = {
    409: "That cannot be done as it is now",
    422: "That file cannot be taken as it is",
    503: "The warehouse does not answer",
}


def build_app(settings: Settings) -> FastAPI:
    """The page of an instance, to be mounted by Airflow, whose user it asks for."""
    # Without the descriptions of its interface, which would be open to everybody.
    app = FastAPI(title="Sluice", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.instance = Instance(settings)
    app.state.render = Renderer()
    app.include_router(views.router)
    app.include_router(build_views.router)
    app.include_router(actions.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(SluiceError, _failed)
    app.add_exception_handler(psycopg.Error, _failed)
    return app


def _refused(request: Request, error: Exception) -> HTMLResponse:
    status, message = 404, "There is no such page."
    if isinstance(error, HTTPException):
        status, message = error.status_code, str(error.detail)
    elif isinstance(error, RequestValidationError):
        wrong = [each for each in error.errors() if each["loc"][0] != "path"]
        if wrong:  # a part of the path that is none of ours leads nowhere
            status = 400
            message = "\n".join(f"{each['loc'][-1]}: {each['msg']}." for each in wrong)
    return _said(request, status, message, "")


def _failed(request: Request, error: Exception) -> HTMLResponse:
    status = 503
    if isinstance(error, psycopg.errors.QueryCanceled):
        message, remedy = "The warehouse took too long over this.", "Try again in a while."
    elif isinstance(error, SluiceError):
        status = next((_STATUS[kind] for kind in _STATUS if isinstance(error, kind)), status)
        message, remedy = error.message, error.remedy
    else:
        logger.error("the page cannot be shown", exc_info=error)
        message, remedy = "The warehouse could not answer.", "The API server's log says why."
    return _said(request, status, message, remedy)


def _said(request: Request, status: int, message: str, remedy: str) -> HTMLResponse:
    response: HTMLResponse = request.app.state.render(
        request,
        "error.html",
        status=status,
        title=_TITLES.get(status) or HTTPStatus(status).phrase,
        message=message,
        remedy=remedy,
        asks_for_login=status == HTTPStatus.UNAUTHORIZED,
    )
    return response
