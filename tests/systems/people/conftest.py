from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import Settings
from tests.systems.people.people_instance import People


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> People:
    """A fresh instance with the system's part of the project, and no delivery yet."""
    return People(settings, tmp_path / "kept")
