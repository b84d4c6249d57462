"""Candidate into gold: one transaction, with what changed."""

from __future__ import annotations

from sluice.publishing.publication import MartChange, Publication, publish

__all__ = ["MartChange", "Publication", "publish"]
