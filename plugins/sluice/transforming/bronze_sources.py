"""The dbt sources of bronze, written from the registry and held to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sluice.registry import Registry

SOURCES_FILE = Path("models/bronze/_sources.yml")

HEADER = "# Written from registry/sources/ by `./sluice check --fix`; edit those files instead.\n"

LOAD_COLUMNS = (
    {"name": "_load_id", "data_type": "bigint", "description": "The load that brought the row."},
    {
        "name": "_source_row_number",
        "data_type": "bigint",
        "description": "The record's number in its file; the first after the header is 1.",
    },
)


def bronze_sources_yaml(registry: Registry) -> str:
    """The text of ``models/bronze/_sources.yml``: the same for the same registry."""
    tables = [
        {
            "name": source.name,
            "description": source.description,
            "columns": [
                {
                    "name": name,
                    "data_type": column.postgres_type,
                    **({"description": column.description} if column.description else {}),
                }
                for name, column in source.columns.items()
            ]
            + list(LOAD_COLUMNS),
        }
        for source in registry.sources.values()
    ]
    content: dict[str, Any] = {
        "version": 2,
        "sources": [
            {"name": "bronze", "description": "Rows as delivered.", "tables": tables},
        ],
    }
    return HEADER + yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, width=100)


class _PlainDumper(yaml.SafeDumper):
    """Writes each value out, never as a reference to an equal one."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True
