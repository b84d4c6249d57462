from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import PROJECT, Settings
from tests.systems.attribution.attribution_instance import Attribution


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Attribution:
    """A fresh instance with the project's own registry and dbt project, and no delivery yet."""
    return Attribution(settings.model_copy(update={"project": PROJECT}), tmp_path / "kept")
