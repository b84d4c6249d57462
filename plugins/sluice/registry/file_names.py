"""What a source takes from the names of its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from sluice.registry.delivery_names import own_names
from sluice.registry.models import Source


def values_in_name(source: Source, file_name: str) -> dict[str, str | None]:
    """What a file's name gives to each column that says ``from_file_name``; None for nothing.

    Args:
        source: whose file.
        file_name: its name as the ledger writes it. Of a member of an archive, its own name is
            looked at first, then its archive's.
    """
    names = own_names(file_name)
    return {
        name: _value(column.from_file_name, names)
        for name, column in source.columns.items()
        if column.from_file_name is not None
    }


def _value(pattern: str, names: Sequence[str]) -> str | None:
    matches = (re.search(pattern, name) for name in names)
    value = next((match[1] for match in matches if match and match[1] is not None), None)
    if value is None:
        return None
    # What of a name is no text is written as the ledger writes it.
    text = os.fsencode(value).decode("utf-8", errors="backslashreplace")
    return text.replace("\0", r"\x00")


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
