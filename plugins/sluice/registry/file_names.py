"""What a source takes from the names of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sluice.registry.models import Source


def values_in_name(source: Source, file_name: str) -> dict[str, str | None]:
    """What a file's name gives to each column that says ``from_file_name``; None for nothing."""
    found = {
        name: re.search(column.from_file_name, file_name)
        for name, column in source.columns.items()
        if column.from_file_name is not None
    }
    return {name: match and match[1] for name, match in found.items()}


def words_of_name(source: Source, file_name: str, columns: Iterable[str]) -> list[str]:
    """What a name gives to some columns, as the ledger keeps it: ``date=2024-03-07``."""
    values = values_in_name(source, file_name)
    return [f"{name}={values.get(name) or ''}" for name in sorted(columns)]
