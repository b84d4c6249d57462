"""Bronze into silver and the candidate gold: which loads are pending, dbt, its results."""

from __future__ import annotations

from sluice.transforming.results import TestWarning, warned_tests
from sluice.transforming.transformation import pending_loads, pending_publications, transform

__all__ = [
    "TestWarning",
    "pending_loads",
    "pending_publications",
    "transform",
    "warned_tests",
]
