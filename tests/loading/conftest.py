"""A source of orders, its landing folder, and a look at what became of its files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from psycopg import Connection

from sluice.loading import SourceReport, copying, load_source
from sluice.registry import Source
from sluice.settings import Settings

ORDERS = Source.model_validate(
    {
        "name": "orders",
        "description": "Orders of the shop.",
        "owner": "shop",
        "columns": {
            "order_id": {"data_type": "bigint", "nullable": False},
            "product": {"data_type": "text"},
            "amount": {"data_type": "decimal", "precision": 12, "scale": 2, "minimum": 0},
        },
    }
)

HEADER = "order_id,product,amount\n"


@dataclass
class Shop:
    """Drops deliveries of orders and looks at bronze, ledger and folders."""

    settings: Settings
    connection: Connection
    source: Source = ORDERS

    @property
    def folder(self) -> Path:
        return self.settings.landing / "orders"

    def drop(self, name: str | bytes, rows: str, header: str = HEADER) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / os.fsdecode(name)
        path.write_text(header + rows, newline="")
        return path

    def load(self) -> SourceReport:
        return load_source(self.settings, self.source)

    def outcomes(self) -> list[tuple[str, str]]:
        return [(entry.outcome, entry.delivery_kind) for entry in self.load().entries]

    def query(self, text: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(text).fetchall()  # type: ignore[arg-type]

    def rows(self) -> list[tuple[Any, ...]]:
        """What is in bronze: file name, row number, order_id, product."""
        return self.query(
            "select file_name, _source_row_number, order_id, product from bronze.orders"
            " join ops.loads on load_id = _load_id order by 1, 2"
        )

    def stored(self) -> dict[str, list[str]]:
        """The sha256 of every file in each area."""
        areas = {
            "landing": self.settings.landing,
            "archive": self.settings.archive,
            "rejected": self.settings.rejected,
        }
        return {
            area: sorted(
                hashlib.sha256(path.read_bytes()).hexdigest()
                for path in folder.rglob("*")
                if path.is_file()
            )
            for area, folder in areas.items()
        }


@pytest.fixture
def shop(settings: Settings, loader: Connection) -> Shop:
    loader.autocommit = True
    return Shop(settings, loader)


@pytest.fixture(autouse=True, scope="module")
def _blocks_of_a_record() -> Iterator[None]:
    """Files as small as those of the tests would be one block."""
    with patch.object(copying, "BLOCK_BYTES", 1):
        yield
