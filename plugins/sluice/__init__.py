"""Sluice: files in a landing zone become tested marts in PostgreSQL, exactly once."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("sluice")
