"""What a source's entry in the registry says, in words."""

from __future__ import annotations

from sluice.registry import Column, Source

# What a source says in any case; its other keys where they are not as by default.
ALWAYS_SAID = frozenset(
    {
        "file_glob",
        "format",
        "write_disposition",
        "schema_contract",
        "on_row_error",
        "max_row_errors",
        "on_changed_file",
        "on_duplicate_file",
        "after_load",
    }
)
SAID_ELSEWHERE = frozenset({"name", "description", "owner", "columns", "path"})


def contract_lines(source: Source) -> list[tuple[str, str]]:
    """The keys of a source's entry that say how its deliveries are taken."""
    said = source.model_dump(mode="json", by_alias=True, exclude=set(SAID_ELSEWHERE))
    changed = source.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [(key, _words(said[key])) for key in said if key in ALWAYS_SAID or key in changed]


def column_lines(source: Source) -> list[dict[str, str]]:
    """Each column's name, type, rules and meaning."""
    return [_column(name, column) for name, column in source.columns.items()]


def _column(name: str, column: Column) -> dict[str, str]:
    """A column's type, and what must hold for its values, in words."""
    rules = column.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for key in ("data_type", "description", "precision", "scale"):
        rules.pop(key, None)
    return {
        "name": name,
        "type": column.postgres_type,
        "rules": _words(rules),
        "description": column.description,
    }


def _words(value: object) -> str:
    """A value of the registry on one line."""
    if isinstance(value, dict):
        said = {key: each for key, each in value.items() if each not in (None, [], {})}
        return ", ".join(f"{key}: {_words(each)}" for key, each in said.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
