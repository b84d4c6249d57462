"""What a run was given: keys that its DAG does not know are refused before anything is done.

Airflow holds the parameters that a DAG declares to their schema, and hands every other key to the
tasks as it is (3.3.2): a misspelt ``files`` would load everything again.
"""

from __future__ import annotations

from collections.abc import Collection

from sluice.errors import ConfigError
from sluice.registry.problems import suggestion

# What OpenLineage's provider adds to a run that another DAG starts.
_OF_AIRFLOW = frozenset({"openlineage"})


def refuse_unknown(dag_id: str, given: Collection[str], known: Collection[str]) -> None:
    """Refuse parameters that a DAG does not declare.

    Raises:
        ConfigError: there is one; the message has it, and those that there are.
    """
    unknown = sorted({*given} - {*known} - _OF_AIRFLOW)
    if not unknown:
        return
    takes = f"takes {', '.join(sorted(known))}" if known else "takes no parameters"
    raise ConfigError(
        f"The run was given {', '.join(map(repr, unknown))}; {dag_id} {takes}. Nothing was done.",
        "\n  ".join(suggestion(key, known, kind="parameters") for key in unknown),
    )
