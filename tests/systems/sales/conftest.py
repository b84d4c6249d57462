from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import Settings
from tests.systems.sales.sales_instance import Sales


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Sales:
    """A fresh instance with the system's part of the project, and no delivery yet."""
    return Sales(settings, tmp_path / "kept")
