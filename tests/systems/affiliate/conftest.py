from __future__ import annotations

import shutil

import pytest

from data.samples.affiliate import HEADERS
from sluice.settings import PROJECT, Settings
from tests.systems.affiliate.affiliate_instance import MODEL_FOLDERS, PIPELINES, Affiliate


@pytest.fixture
def system(settings: Settings) -> Affiliate:
    """A fresh instance with the system's part of the project, and no delivery yet.

    The other systems' models are left out: they would be parsed before each build.
    """
    entries = [f"sources/{source}.yml" for source in HEADERS]
    entries += [f"pipelines/{pipeline}.yml" for pipeline in PIPELINES]
    for entry in entries:
        shutil.copy(PROJECT / "registry" / entry, settings.registry / entry)
    for file_name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / "dbt" / file_name, settings.dbt / file_name)
    for folder in ("macros", "tests/generic", "models/bronze", "models/ops", *MODEL_FOLDERS):
        shutil.copytree(PROJECT / "dbt" / folder, settings.dbt / folder)
    return Affiliate(settings)
