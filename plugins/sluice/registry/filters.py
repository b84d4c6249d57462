"""Which records of a source's files one run shall load: those with one value in a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sluice.errors import ConfigError
from sluice.registry.models import Source
from sluice.registry.problems import suggestion
from sluice.registry.reading import Registry

_EXAMPLE = "Write it as COLUMN=VALUE or SOURCE.COLUMN=VALUE, such as sales.date=2024-02-24."
_KEYS = ("source", "column", "equals")


@dataclass(frozen=True)
class RecordFilter:
    """A run parameter: of one source, only the records with this value are loaded.

    Attributes:
        source: whose files; those of other sources are loaded as ever.
        column: the column's name in bronze.
        equals: the value, as text that PostgreSQL reads as the column's type.
    """

    source: str
    column: str
    equals: str


def read_filter(
    registry: Registry, pipeline: str, given: str | Mapping[str, object]
) -> RecordFilter:
    """Read a filter of a pipeline's run.

    Args:
        registry: where its sources are.
        pipeline: the pipeline's name.
        given: ``sales.date=2024-02-24``, or the keys ``column``, ``equals`` and, where more than
            one source has the column, ``source``. The column goes by its name in bronze or in
            the files, in capital letters or not.

    Raises:
        ConfigError: it names no source or no column of the pipeline, or no value.
    """
    source_name, column_name, equals = _parts(given)
    sources = {name: registry.source(name) for name in registry.pipeline(pipeline).sources}
    if source_name is not None and source_name not in sources:
        raise ConfigError(
            f"The filter names source {source_name!r}, which is none of pipeline {pipeline}.",
            suggestion(source_name, sources, kind="sources"),
        )
    asked = [source for name, source in sources.items() if source_name in (None, name)]
    found = [
        (source, column) for source in asked if (column := _column(source, column_name)) is not None
    ]
    if not found:
        columns = {name for source in asked for name in source.columns}
        raise ConfigError(
            f"The filter names column {column_name!r}, which no source of pipeline {pipeline} has."
            if source_name is None
            else f"The filter names column {column_name!r}, which source {source_name} lacks.",
            suggestion(column_name, columns, kind="columns"),
        )
    if len(found) > 1:
        names = " and ".join(source.name for source, _ in found)
        raise ConfigError(
            f"The sources {names} have a column {column_name}: the filter has to say which.",
            _EXAMPLE,
        )
    source, column = found[0]
    _refuse_unfit(source, column)
    return RecordFilter(source.name, column, equals)


def _parts(given: str | Mapping[str, object]) -> tuple[str | None, str, str]:
    """Source, column and value, as they are given."""
    if isinstance(given, str):
        place, equals_sign, value = given.partition("=")
        source, dot, column = place.strip().rpartition(".")
        if not (equals_sign and column and value):
            raise ConfigError(f"{given!r} is no filter.", _EXAMPLE)
        return (source if dot else None), column, value
    return _parts_of_keys(given)


def _parts_of_keys(given: Mapping[str, object]) -> tuple[str | None, str, str]:
    unknown = sorted(map(str, given.keys() - set(_KEYS)))
    if unknown:
        raise ConfigError(
            f"The filter has an unknown key {unknown[0]!r}.",
            suggestion(unknown[0], _KEYS, kind="keys"),
        )
    source_name, column_name, value = (given.get(key) for key in _KEYS)
    if not isinstance(column_name, str) or not column_name:
        raise ConfigError("The filter names no column.", "Its keys are column and equals.")
    if isinstance(value, bool):
        value = str(value).lower()
    if value in (None, "") or not isinstance(value, str | int | float):
        raise ConfigError(
            f"The filter of column {column_name} has no value.", "Its keys are column and equals."
        )
    return (str(source_name) if source_name else None), column_name, str(value)


def _column(source: Source, name: str) -> str | None:
    """The name in bronze of the column that goes by a name; the exact one first."""
    if name in source.columns:
        return name
    folded = name.casefold()
    by_names: Iterable[tuple[str, str]] = (
        (column_name, other)
        for column_name, column in source.columns.items()
        for other in (column_name, column.from_ or column_name)
    )
    return next((column for column, other in by_names if other.casefold() == folded), None)


def _refuse_unfit(source: Source, column: str) -> None:
    if source.write_disposition == "replace":
        raise ConfigError(
            f"Files of source {source.name} cannot be loaded in part: write_disposition is replace,"
            " and a part would become the whole truth.",
            "Run without the filter.",
        )
    if source.columns[column].mask:
        others = sorted(name for name, each in source.columns.items() if not each.mask)
        raise ConfigError(
            f"Column {column} of source {source.name} is masked: a filter would write a value of it"
            " into the ledger.",
            f"Filter by another column: {', '.join(others)}."
            if others
            else "Run without the filter.",
        )
