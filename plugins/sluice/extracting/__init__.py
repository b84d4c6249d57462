"""Fetching a delivery from an HTTP API: records in, one file in the landing zone out."""

from __future__ import annotations

from sluice.extracting.extraction import Extraction, delivery_name, extract_source

__all__ = ["Extraction", "delivery_name", "extract_source"]
