"""A source that asks a server of the test's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sluice.extracting import Extraction, extract_source
from sluice.registry import Source
from sluice.settings import Settings
from tests.http_api import HttpApi, http_api

__all__ = ["http_api"]

MOMENT = datetime(2026, 6, 30, 6, 0, 0, tzinfo=UTC)
FILE_NAME = "users_20260630T060000Z.jsonl"


@dataclass
class Fetching:
    """A source that is fetched from the server, and the landing zone that it is delivered into."""

    settings: Settings
    api: HttpApi

    def source(self, **extract: Any) -> Source:
        """A source whose extraction says this beside the address, and waits for nothing."""
        block = {"url": self.api.url, "data_selector": "results", "backoff_seconds": 0, **extract}
        return Source.model_validate(
            {
                "name": "users",
                "description": "Users of an API.",
                "owner": "test",
                "format": "jsonl",
                "columns": {"id": {"data_type": "bigint"}},
                "extract": block,
            }
        )

    def extract(self, **extract: Any) -> Extraction:
        return extract_source(self.settings, self.source(**extract), MOMENT)

    @property
    def folder(self) -> Path:
        assert isinstance(self.settings.landing, Path)
        return self.settings.landing / "users"

    def landed(self) -> list[str]:
        """The names of all files in the landing folder, hidden ones as well."""
        return sorted(path.name for path in self.folder.glob("*")) if self.folder.exists() else []

    def lines(self) -> list[str]:
        """The lines of the delivery."""
        return (self.folder / FILE_NAME).read_text().splitlines()


@pytest.fixture
def fetching(tmp_path: Path, http_api: HttpApi) -> Fetching:
    return Fetching(Settings(home=tmp_path / "home", landing=tmp_path / "landing"), http_api)
