"""The dbt project: no warnings, its unit tests, and data tests that fail when they should."""

from __future__ import annotations

import psycopg

from data.samples.engagement import generate
from sluice.settings import PROJECT
from tests.systems.engagement.engagement_instance import Engagement


def test_the_project_parses_without_a_warning_or_deprecation(system: Engagement) -> None:
    system.settings = system.settings.model_copy(update={"project": PROJECT})
    outcome = system.dbt_command("--warn-error", "parse", "--no-partial-parse")
    assert outcome.exception is None
    assert outcome.success


def test_the_rules_hold_and_broken_marts_are_noticed(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    for name, rows in generate(6, users=30, days=10, rows=500):
        system.drop(name, rows)
    system.run()

    statuses = system.dbt_test("unit")
    assert set(statuses.values()) == {"pass"}
    assert len(statuses) >= 12
    assert set(system.dbt_test("data").values()) == {"pass"}

    for break_one in (
        "delete from gold_audit.fct_events where ctid = '(0,1)'",
        "update gold_audit.fct_events set miles_amount = 1 where event_type = 'like'",
        "update gold_audit.user_growth_daily set churned_users = churned_users + 1",
        "update gold_audit.user_growth_weekly set retained_users = retained_users + 1",
        "update gold_audit.user_growth_monthly set active_users = 0 where active_users > 0",
        "update silver.int_cohorts set cohort_size = cohort_size + 1",
        "update gold_audit.user_interactions set share = share / 2 where event_type = 'share'",
        "update gold_audit.user_retention set d7_retained = cohort_size + 1",
    ):
        assert administrator.execute(break_one).rowcount > 0
    assert system.dbt_test("data") == {
        "rows_match_ledger_fct_events_source_ops_loads_": "fail",
        "fct_events_has_miles_where_miles_move": "warn",
        "adds_up_to_rows_int_cohorts_cohort_size__ref_dim_users___country": "fail",
        "growth_adds_up_user_growth_daily_": "fail",
        "growth_adds_up_user_growth_weekly_": "fail",
        "growth_adds_up_user_growth_monthly_": "fail",
        "sums_to_one_user_interactions_share__country__event_type": "fail",
        "user_retention_keeps_no_more_than_came": "fail",
    }
