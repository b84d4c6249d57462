"""What a person sees in Airflow of what is late: warnings are seen, beside errors and alone."""

from __future__ import annotations

import pytest

from tests.orchestration.running_airflow import Instance, dags_by_id, wait_for

pytestmark = [pytest.mark.xdist_group("airflow"), pytest.mark.timeout(900)]

SOURCE = """\
description: Never comes.
owner: nobody
columns:
  id: {{data_type: bigint}}
freshness: {{{key}: {{count: 1, period: day}}}}
"""


def states(instance: Instance) -> tuple[str, dict[str, str]]:
    """The end of a check, and of each of its tasks."""
    wait_for(lambda: dags_by_id(instance, "sluice_freshness"))
    before = len(instance.runs("sluice_freshness"))
    instance.ask("dags/sluice_freshness/dagRuns", {"logical_date": None})
    run = instance.wait_until_idle("sluice_freshness", after=before)
    return str(run["state"]), instance.states(run)


def test_warnings_are_seen_beside_errors_and_alone(instance: Instance) -> None:
    sources = instance.settings.registry / "sources"
    late = {key: sources / f"late_{key}.yml" for key in ("warn_after", "error_after")}
    for key, path in late.items():
        path.write_text(SOURCE.format(key=key))
    try:
        assert states(instance) == (
            "failed",
            {"check": "success", "no_errors": "failed", "no_warnings": "skipped"},
        )
        late["error_after"].unlink()
        assert states(instance) == (
            "success",
            {"check": "success", "no_errors": "success", "no_warnings": "skipped"},
        )
    finally:
        for path in late.values():
            path.unlink(missing_ok=True)
        wait_for(lambda: not dags_by_id(instance, "sluice_freshness"))
