"""Candidate into gold: one transaction, with what changed."""

from __future__ import annotations

from sluice.publishing.changes import MartChange, Publication
from sluice.publishing.publication import publish

__all__ = ["MartChange", "Publication", "publish"]
