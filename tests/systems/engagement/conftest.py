from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import Settings
from tests.systems.engagement.engagement_instance import Engagement


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Engagement:
    """A fresh instance with the system's part of the project, and no delivery yet."""
    return Engagement(settings, tmp_path / "kept")
