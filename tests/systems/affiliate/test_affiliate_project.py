"""The dbt project: its unit tests, and data tests that fail or warn when they should."""

from __future__ import annotations

import psycopg

from tests.systems.affiliate.affiliate_instance import Affiliate


def drop_dirt(system: Affiliate) -> None:
    """One record, at least, for each warning."""
    system.drop_lines(
        "deals",
        "1.csv",
        "Lane,CPC,+ clicks*2",
        "Club,CPA,+ 100 from May on",
        "LANE,CPC,+ clicks*3",
    )
    system.drop_lines("voluum_mapper", "1.csv", "lane,Club", "Lane,Lane")
    system.drop_lines("central_mapping", "1.csv", "b1,BetOne,", "b1,SpinWin,")
    system.drop_lines("routy", "routy.csv", "2024-03-07,Lane,New,,,1,1,1", ",Lane,BetOne,,,1,1,1")
    # The name has no such day: of its records, the one without a date is rejected.
    system.drop_lines(
        "routy", "routy_2024-02-31.csv", ",Lane,BetOne,,,5,1,1", "2024-03-07,Lane,BetOne,,,1,1,1"
    )
    system.drop_lines("manual", "manual.csv", ",Lane,BetOne,1,1,1")
    system.drop_lines("voluum", "voluum.csv", "2024-03-08,lane,1", "2024-03-08,other,1", ",lane,1")
    system.drop_lines(
        "scrapers",
        "scrapers.csv",
        "2024-03-07,Lane,New,,9,1",
        "2024-03-08,Lane,New,,8,1",
        ",Lane,New,,8,1",
    )


def test_the_rules_hold_and_dirt_and_broken_marts_are_noticed(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_dirt(system)
    system.run()
    rejects = administrator.execute("select code, column_name from ops.rejected_rows").fetchall()
    assert rejects == [("out_of_range", "date")]

    statuses = system.dbt_test("unit")
    assert set(statuses.values()) == {"pass"}
    assert len(statuses) == 8

    statuses = system.dbt_test("data")
    assert {name for name, status in statuses.items() if status == "warn"} == {
        "accepted_values_int_operators_is_ambiguous__False__False",
        "accepted_values_stg_deals_records__False__1",
        "accepted_values_stg_voluum_mapper_records__False__1",
        "int_scrapers_commission_totals_run_up",
        "not_null_stg_manual_date",
        "not_null_stg_routy_date",
        "not_null_stg_scrapers_date",
        "not_null_stg_voluum_date",
        "operators_are_known_int_scrapers_totals_",
        "operators_are_known_int_web_traffic_commission_",
        (
            "paid_clicks_have_an_event_web_traffic_commission_daily_"
            "ref_int_marketing_source_clicks___ref_stg_deals___ref_int_marketing_sources_"
        ),
        "relationships_stg_voluum_voluum_brand_key__voluum_brand_key__ref_stg_voluum_mapper_",
        "stg_deals_formulas_can_be_read",
    }
    assert {status for status in statuses.values() if status != "warn"} == {"pass"}

    for break_one in (
        "update silver.int_web_traffic_commission set events = 2",
        "update gold_audit.web_traffic_commission_daily set commission = commission + 1",
        "update gold_audit.scrapers_commission_daily set commission = commission + 1",
        "update gold_audit.combined_commission_monthly set commission = commission + 1",
        "insert into silver.stg_deals select * from silver.stg_deals",
        "insert into silver.stg_voluum_mapper select * from silver.stg_voluum_mapper",
        "insert into silver.int_operators select * from silver.int_operators",
        (
            "insert into silver.int_web_traffic_source_days"
            " select * from silver.int_web_traffic_source_days"
        ),
        "insert into silver.int_scrapers_source_days select * from silver.int_scrapers_source_days",
    ):
        assert administrator.execute(break_one).rowcount > 0
    statuses = system.dbt_test("data")
    failed = {name for name, status in statuses.items() if status == "fail"}
    assert {name for name in failed if not name.startswith("unique")} == {
        "events_are_all_there_int_web_traffic_commission_ref_int_web_traffic_source_days_",
        "agrees_by_month_web_traffic_commission_monthly_ref_web_traffic_commission_daily_",
        "agrees_by_month_scrapers_commission_monthly_ref_scrapers_commission_daily_",
        "agrees_by_month_combined_commission_monthly_ref_combined_commission_daily_",
    }
    assert len([name for name in failed if name.startswith("unique")]) == 5
