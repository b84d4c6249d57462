"""Figures and moments in words, the same wherever a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime


def ago(moment: object) -> str:
    """How long ago a moment was, in words; ``never`` for what is none."""
    if not isinstance(moment, datetime):
        return "never"
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{max(seconds, 0)} s ago"
