"""Bronze into silver and the candidate gold: which loads are pending, dbt, its results."""

from __future__ import annotations

from sluice.transforming.transformation import pending_loads, transform

__all__ = ["pending_loads", "transform"]
