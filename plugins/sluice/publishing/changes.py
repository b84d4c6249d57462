"""What a publication changes, as its words go through the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MartChange:
    """What a publication changed in one mart."""

    mart: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    schema_changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """A publication that was committed.

    Attributes:
        publication_id: its id in ``ops.publications``.
        pipeline: whose marts.
        marts: what changed in each mart, by name.
        loads: how many loads it marked as published.
    """

    publication_id: int
    pipeline: str
    marts: tuple[MartChange, ...]
    loads: int
