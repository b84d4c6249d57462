"""The registry: YAML files that say which sources and pipelines there are."""

from __future__ import annotations

from sluice.registry.formats import VARIANT_SUFFIX, CsvDialect, SchemaContract, ValueRules
from sluice.registry.models import Column, DataType, Pipeline, Source
from sluice.registry.problems import Problem
from sluice.registry.reading import (
    Registry,
    json_schema,
    load_registry,
    read_registry,
    registry_error,
)

__all__ = [
    "VARIANT_SUFFIX",
    "Column",
    "CsvDialect",
    "DataType",
    "Pipeline",
    "Problem",
    "Registry",
    "SchemaContract",
    "Source",
    "ValueRules",
    "json_schema",
    "load_registry",
    "read_registry",
    "registry_error",
]
