"""What a source takes from the names of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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


def say_the_same(
    source: Source,
    file_name: str,
    other_name: str,
    words: Sequence[str] | None,
    file_columns: Sequence[str] | None,
) -> bool:
    """Whether two names give the same to equal bytes, by the registry as it is now.

    Args:
        source: whose deliveries they are.
        file_name: the one name.
        other_name: that of a load.
        words: what it gave to the load.
        file_columns: the names of that file's fields. A column that has come to be taken from the
            name since then is none of them.
    """
    gave = {word.partition("=")[0] for word in words or ()}
    fields = set(file_columns or ())
    asked = [
        name
        for name, column in source.columns.items()
        if column.from_file_name is not None
        and (name in gave or not fields.intersection((name, column.from_)))
    ]
    return words_of_name(source, file_name, asked) == words_of_name(source, other_name, asked)
