"""A registry without a database, for what Airflow makes of it; a home for Airflow's own import."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.local.airflow_config import airflow_environment
from sluice.settings import Settings
from tests.orchestration.running_airflow import instance  # noqa: F401  # a fixture

# Airflow makes its home when it is imported, in the user's own if nothing is said.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="sluice-tests-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

SOURCE = """\
description: {name} come from somebody. They are many.
owner: {name}-team
file_glob: "*.csv"
columns:
  id: {{data_type: bigint}}
"""
PIPELINE = """\
description: What of it? More.
owner: analysts
tags: [zebra, apple]
sources: [{sources}]
"""


class RegistryFiles:
    """Writes a registry below a project folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        for kind in ("sources", "pipelines"):
            (settings.registry / kind).mkdir(parents=True)

    def source(self, name: str, text: str = SOURCE) -> None:
        (self.settings.registry / "sources" / f"{name}.yml").write_text(text.format(name=name))

    def pipeline(self, name: str, *sources: str) -> None:
        """A pipeline of these sources, which are written as well."""
        for source in sources:
            self.source(source)
        text = PIPELINE.format(sources=", ".join(sources))
        (self.settings.registry / "pipelines" / f"{name}.yml").write_text(text)

    def drop(self, source: str, name: str) -> Path:
        path = self.settings.landing / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id\n1\n")
        return path


@pytest.fixture
def registry_files(tmp_path: Path) -> RegistryFiles:
    """An empty registry in a project of its own; deliveries settle at once."""
    settings = Settings(
        project=tmp_path / "project",
        home=tmp_path / "home",
        landing=tmp_path / "landing",
        settle_seconds=0,
        poll_seconds=0.02,
    )
    settings.landing.mkdir()
    return RegistryFiles(settings)


@pytest.fixture
def as_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], None]:
    """Set the environment that tells tasks and triggers which instance they belong to."""

    def set_variables(settings: Settings) -> None:
        for name, value in airflow_environment(settings).items():
            if name.startswith("SLUICE_"):
                monkeypatch.setenv(name, value)

    return set_variables
