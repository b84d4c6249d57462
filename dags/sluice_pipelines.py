"""Every pipeline of the registry as an Airflow DAG; what the DAGs are is in sluice.orchestration.

Airflow reads this file because its text holds the words airflow and dag.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from sluice.orchestration.dags import build_dags
from sluice.settings import load_settings

# A task needs its own DAG only; the DAG processor, which has no such context, takes all of them.
_only = get_parsing_context().dag_id
globals().update(
    {f"dag_{name}": dag for name, dag in build_dags(load_settings(), only=_only).items()}
)
