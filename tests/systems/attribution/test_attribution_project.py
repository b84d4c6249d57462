"""Unit tests of the rules; data tests that fail, or warn and keep rows, when they should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.attribution import generate
from tests.systems.attribution.attribution_instance import Attribution
from tests.systems.instance import warnings

CRITICAL = {
    "rows_match_ledger_fct_sessions_source_ops_loads_",
    "channel_attribution_counts_each_registration_once",
    "dim_user_has_every_session",
    "registrations_are_in_their_window",
    "relationships_fct_registrations_channel_id__channel_id__ref_dim_channel_",
    "relationships_fct_registrations_user_id__user_id__ref_dim_user_",
}


def test_the_rules_hold_and_broken_marts_are_noticed(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    for name, rows in generate(6, users=300, days=5):
        system.drop(name, rows)
    system.run()

    statuses = system.dbt_test("unit")
    assert set(statuses.values()) == {"pass"}
    assert len(statuses) >= 7

    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "pass")
    for break_one in (
        "delete from gold_audit.fct_sessions where ctid = '(0,1)'",
        "delete from gold_audit.dim_user where registrations > 0",
        """update gold_audit.fct_registrations set channel_id = 7, session_at = null
        where ctid = '(0,1)'""",
        """update gold_audit.fct_registrations set channel_id = 1
        where channel_id = 4 and hours_to_registration > 3""",
        """update gold_audit.channel_attribution set registrations = registrations + 1
        where channel = 'DIRECT'""",
    ):
        assert administrator.execute(break_one).rowcount > 0
    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "fail")


def test_business_tests_warn_publish_and_keep_the_rows(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    """Eight usual days and a short one, of weeks ago: with all that a business test looks for."""
    end = (datetime.now(UTC) - timedelta(days=20)).date()
    for name, rows in generate(8, users=400, days=9, end_date=end):
        system.drop(name, rows[:5] if end.isoformat() in name else rows)
    day = f"{end.isoformat()} 12:00:00"
    system.drop("sessions/more.csv", [f"anna,{day},true,EMAIL"] * 3)
    system.drop("conversions/more.csv", [f"ben,{day}"] * 2 + [f"ben,{end.isoformat()} 13:00:00"])
    report = system.run()
    assert report.publication is not None

    expected = {
        "sessions_are_recent",
        "registrations_are_recent",
        "registrations_have_a_session",
        "sessions_are_delivered_once",
        "registrations_are_delivered_once",
        "users_register_once",
        "sessions_volume_is_usual",
    }
    found = warnings(administrator)
    assert found.keys() >= expected
    for name, failures in found.items():
        kept = administrator.execute(
            SQL("select * from {}").format(Identifier("gold_audit", name))
        ).fetchall()
        assert len(kept) == failures > 0, name
    kept = administrator.execute(
        "select user_id, medium, records from gold_audit.sessions_are_delivered_once"
    ).fetchall()
    assert ("anna", "EMAIL", 3) in kept


def test_business_tests_pass_where_there_is_nothing_to_tell(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    before = now - timedelta(hours=1)
    for number in range(9):
        system.drop(
            f"sessions/{number}.csv",
            [f"user-{number}-{row},{before.isoformat()},true,PAID SEARCH" for row in range(25)],
        )
        system.drop(
            f"conversions/{number}.csv",
            [f"user-{number}-{row},{now.isoformat()}" for row in range(25)],
        )
    system.run()
    found = administrator.execute(
        "select distinct status from ops.node_results where resource_type = 'test'"
    ).fetchall()
    assert found == [("pass",)]
