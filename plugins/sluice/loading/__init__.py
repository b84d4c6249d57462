"""Deliveries into bronze: one load, one transaction."""

from __future__ import annotations

from sluice.loading.loader import (
    SourceReport,
    load_delivery,
    load_source,
    make_missing_tables,
    rejection_error,
)

__all__ = ["SourceReport", "load_delivery", "load_source", "make_missing_tables", "rejection_error"]
