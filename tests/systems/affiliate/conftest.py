from __future__ import annotations

from pathlib import Path

import pytest

from sluice.settings import Settings
from tests.systems.affiliate.affiliate_instance import Affiliate


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Affiliate:
    """A fresh instance with the system's part of the project, and no delivery yet."""
    return Affiliate(settings, tmp_path / "kept")
