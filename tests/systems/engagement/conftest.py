from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import PROJECT, Settings
from tests.systems.engagement.engagement_instance import Engagement


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Engagement:
    """A fresh instance with the project's own registry and dbt project, and no delivery yet."""
    return Engagement(settings.model_copy(update={"project": PROJECT}), tmp_path / "kept")
