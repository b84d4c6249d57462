"""Whether a source has something to hide."""

from __future__ import annotations

from sluice.registry.models import Source


def has_masks(source: Source) -> bool:
    """Whether a column is masked: nothing of its files is then shown as it stands there."""
    return any(column.mask for column in source.columns.values())
