"""The command-line program as a user runs it: a process of its own, settings in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from sluice.settings import Settings

Sluice = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sluice(settings: Settings) -> Sluice:
    """Runs ``sluice ARGUMENTS`` for the test's instance."""
    environment = {
        **os.environ,
        "SLUICE_PROJECT": str(settings.project),
        "SLUICE_HOME": str(settings.home),
        "SLUICE_LANDING": str(settings.landing),
        "SLUICE_ARCHIVE": str(settings.archive),
        "SLUICE_REJECTED": str(settings.rejected),
        "SLUICE_SETTLE_SECONDS": "0",
        "SLUICE_WAREHOUSE": settings.warehouse.get_secret_value(),
        "COLUMNS": "200",
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sluice.cli.main", *arguments],
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
