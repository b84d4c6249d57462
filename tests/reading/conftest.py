"""What the tests of the readers share."""

from __future__ import annotations

import pytest

from sluice.reading import csv_pass, lines


@pytest.fixture(params=["whole", "in small pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files small enough to think about go through every path that large ones do."""
    if request.param != "whole":
        monkeypatch.setattr(lines, "BATCH_BYTES", 5)
        monkeypatch.setattr(csv_pass, "BATCH_BYTES", 20)
    return str(request.param)
