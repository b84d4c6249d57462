from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import Settings
from tests.systems.attribution.attribution_instance import Attribution


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Attribution:
    """A fresh instance with the system's part of the project, and no delivery yet."""
    return Attribution(settings, tmp_path / "kept")
