"""``sluice notify``."""

from __future__ import annotations

from typing import Annotated

import typer

from sluice.cli.output import console, errors_console, failures_explained, print_error
from sluice.errors import ConfigError
from sluice.local.postgres import ensure_warehouse
from sluice.notifying import Told, send_test, tell
from sluice.registry import Registry, read_registry
from sluice.settings import Settings, load_settings


def notify(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to each of its addresses.")
    ] = False,
) -> None:
    """Tell people what they have not been told yet of a pipeline, here, without Airflow.

    Addresses come from the variables AIRFLOW_CONN_... of the connections that the registry names;
    those that are kept in Airflow are tested there: by the DAG sluice_notify.
    """
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        told = _tell(settings, registry, pipeline, test=test)
    for title in told.titles:
        console.print(f"sent: {title}", markup=False)
    if not told.titles and not told.problems:
        console.print(f"{pipeline}: there is nothing to tell")
    for problem in told.problems:
        print_error(problem)
    if told.problems:
        errors_console.print(
            "Connections that are kept in Airflow are not seen from here: trigger the DAG"
            " sluice_notify there."
        )
        raise typer.Exit(1)


def _tell(settings: Settings, registry: Registry, pipeline: str, *, test: bool) -> Told:
    if not registry.pipeline(pipeline).notify:
        raise ConfigError(
            f"Pipeline {pipeline} tells nobody.",
            f"Name a connection in notify of registry/pipelines/{pipeline}.yml; see"
            " docs/notify.md.",
        )
    if test:
        return send_test(settings, registry, pipeline)
    ensure_warehouse(settings)
    return tell(settings, registry, [pipeline])
