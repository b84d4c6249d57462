"""Failures of PostgreSQL that pass: what the reader is told, and can do."""

from __future__ import annotations

import psycopg
import pytest

from sluice.errors import RetriableError
from sluice.warehouse.failures import retriable_failures


def test_a_full_disk_is_called_one(administrator: psycopg.Connection) -> None:
    full = "do $$ begin raise sqlstate '53100' using message = 'could not extend file'; end $$"
    with (
        pytest.raises(RetriableError, match="disk is full; while x: could not extend file") as told,
        retriable_failures("x", lock="nobody"),
    ):
        administrator.execute(full)
    assert "Make room" in told.value.remedy
