"""What the benchmarks share: an instance of their own, and the deliveries that they load."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sluice.local.airflow import stop_airflow
from sluice.local.postgres import ensure_warehouse, stop_postgres
from sluice.local.postgres_place import existing_data
from sluice.settings import PROJECT, Settings

PIPELINE, SOURCE = "engagement", "event_stream"


@contextmanager
def own_instance(**more: Any) -> Iterator[Settings]:
    """An instance in a temporary folder, on free ports; all of it is gone afterwards.

    PostgreSQL runs; Airflow is stopped at the end if somebody has started it.

    Args:
        more: further settings.
    """
    folder = Path(tempfile.mkdtemp(prefix="sluice-benchmark-"))
    folder.chmod(0o711)  # for root, PostgreSQL runs as another user
    postgres_port, airflow_port = _free_ports(2)
    settings = Settings(
        home=folder / "home",
        landing=folder / "landing",
        archive=folder / "archive",
        rejected=folder / "rejected",
        postgres_port=postgres_port,
        airflow_port=airflow_port,
        **more,
    )
    try:
        ensure_warehouse(settings)
        yield settings
    finally:
        stop_airflow(settings)
        stop_postgres(settings)
        data = existing_data(settings)
        if data is not None and not data.is_relative_to(folder):
            shutil.rmtree(data.parent)
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def engagement_samples() -> ModuleType:
    """The generator of the system ``engagement``."""
    return samples(PIPELINE)


def samples(system: str) -> ModuleType:
    """The generator of a system's deliveries; it belongs to no package."""
    name = f"{system}_samples"
    if name not in sys.modules:
        path = PROJECT / "data" / "samples" / f"{system}.py"
        specification = importlib.util.spec_from_file_location(name, path)
        if specification is None or specification.loader is None:
            raise SystemExit(f"{path} cannot be read")
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]
