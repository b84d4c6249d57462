"""Figures worked out by hand."""

from __future__ import annotations

import psycopg

from tests.systems.affiliate.affiliate_instance import Affiliate, commission
from tests.systems.instance import contents, warnings


def drop_mappings(system: Affiliate) -> None:
    system.drop_lines("deals", "deals_1.csv", "Lane,CPC,+ clicks*2 + 50", "Club,FIXED 0,+ 100")
    system.drop_lines("voluum_mapper", "brands.csv", "lane-x,Lane", "lane-y,Lane", "club,Club")
    system.drop_lines("central_mapping", "operators.csv", "Bet One;bet1,BetOne,", "Spin,SpinWin,")


def drop_first_days(system: Affiliate) -> None:
    drop_mappings(system)
    system.drop_lines(
        "routy",
        "2024-03-07.csv",
        "2024-03-07,Lane,Bet One,Austria,AT,100,10,1",
        "2024-03-07,Lane,Spin,Austria,AT,30,5,0",
        ",Club,betone,Austria,AT,40,4,0",  # the date is the file's
        "2024-03-07,Nobody,Other,Austria,AT,-3,1,0",
    )
    system.drop_lines("manual", "manual.csv", "2024-03-08,LANE,BETONE,7,,")
    system.drop_lines(
        "voluum", "2024-03-07.csv", ",lane-x,10", ",lane-y,5", ",club,9", "2024-03-08,lane-x,1"
    )
    system.drop_lines(
        "scrapers",
        "scrapers.csv",
        "2024-03-06,Lane,Bet One,Austria,500,1",
        "2024-03-07,Lane,bet1,Austria,560,2",
    )


def test_the_figures_are_those_worked_out_by_hand(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_first_days(system)
    system.run()

    # Lane, 7 March: 100 + 50 + 15 clicks * 2, and 30 + 50. Lane, 8 March: 7 + 50 + 2.
    assert commission(administrator, "web_traffic_commission_daily") == {
        ("Lane", "2024-03-07"): 260,
        ("Lane", "2024-03-08"): 59,
        ("Club", "2024-03-07"): 40,
        ("Nobody", "2024-03-07"): 0,
    }
    assert commission(administrator, "web_traffic_commission_monthly") == {
        ("BetOne", "2024-03-01"): 180 + 40 + 59,
        ("SpinWin", "2024-03-01"): 80,
        ("Other", "2024-03-01"): 0,
    }
    assert commission(administrator, "scrapers_commission_daily") == {
        ("Lane", "2024-03-06"): 500,
        ("Lane", "2024-03-07"): 60,
    }
    assert commission(administrator, "combined_commission_daily") == {
        ("Lane", "2024-03-06"): 500,
        ("Lane", "2024-03-07"): 320,
        ("Lane", "2024-03-08"): 59,
        ("Club", "2024-03-07"): 40,
        ("Nobody", "2024-03-07"): 0,
    }
    assert commission(administrator, "combined_commission_monthly") == {
        ("BetOne", "2024-03-01"): 839,
        ("SpinWin", "2024-03-01"): 80,
        ("Other", "2024-03-01"): 0,
    }
    # Somebody is told of the operator that no mapping knows, and of nothing else.
    assert set(warnings(administrator)) == {"operators_are_known_int_web_traffic_commission_"}


def test_a_corrected_routy_file_recalculates_its_days_only(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_first_days(system)
    system.run("web_traffic")
    before = places(administrator)
    system.drop_lines(
        "routy",
        "2024-03-07.csv",
        "2024-03-07,Lane,Bet One,Austria,AT,20,10,1",
        "2024-03-07,Lane,Spin,Austria,AT,30,5,0",
        "2024-03-07,Lane,Spin,Austria,AT,30,5,0",
        "2024-03-07,Club,betone,Austria,AT,41,4,0",
    )
    report = system.run("web_traffic")

    # 20 + 50; twice 30 + 50, of which one gets 15 clicks * 2. Nobody has left.
    assert commission(administrator, "web_traffic_commission_daily") == {
        ("Lane", "2024-03-07"): 260,
        ("Lane", "2024-03-08"): 59,
        ("Club", "2024-03-07"): 41,
    }
    assert commission(administrator, "web_traffic_commission_monthly") == {
        ("BetOne", "2024-03-01"): 70 + 41 + 59,
        ("SpinWin", "2024-03-01"): 190,
    }
    assert places(administrator) & before == {place for place in before if place[1] == "2024-03-08"}
    assert report.publication
    changes = {mart.mart: mart for mart in report.publication.marts}["web_traffic_commission_daily"]
    assert (changes.rows_inserted, changes.rows_updated, changes.rows_deleted) == (0, 2, 1)


def test_new_deals_recalculate_the_marketing_sources_that_they_touch(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_first_days(system)
    system.run("web_traffic")
    before = places(administrator)
    system.drop_lines("deals", "deals_2.csv", "Lane,CPC,- 90 + clicks*2 ", "Club,FIXED 0,+ 5")
    system.run("web_traffic")

    # 100 - 90 + 30; 30 - 90 and 7 - 90 + 2 are below zero.
    assert commission(administrator, "web_traffic_commission_daily") == {
        ("Lane", "2024-03-07"): 40,
        ("Lane", "2024-03-08"): 0,
        ("Club", "2024-03-07"): 40,
        ("Nobody", "2024-03-07"): 0,
    }
    assert places(administrator) & before == {place for place in before if place[0] != "lane"}


def places(connection: psycopg.Connection) -> set[tuple[str, str, str]]:
    """Where each marketing source and day is kept: a row that is written anew moves."""
    query = """
        select marketing_source_key, date::text, ctid::text
        from silver.int_web_traffic_commission
    """
    return set(connection.execute(query).fetchall())


def test_running_totals_are_taken_apart_across_late_and_corrected_files(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_mappings(system)
    system.drop_lines("scrapers", "2024-03-09.csv", ",Lane,Bet One,,150,")
    system.run("scrapers")
    assert commission(administrator, "scrapers_commission_daily") == {("Lane", "2024-03-09"): 150}
    system.drop_lines("scrapers", "2024-03-06.csv", ",lane,BETONE,,100,")  # a late file
    system.run("scrapers")
    assert commission(administrator, "scrapers_commission_daily") == {
        ("Lane", "2024-03-06"): 100,
        ("Lane", "2024-03-09"): 50,
    }
    system.drop_lines("scrapers", "2024-03-06.csv", ",Lane,BetOne,,160,", ",Lane,Spin,,9,")
    system.run("scrapers")
    assert commission(administrator, "scrapers_commission_daily") == {
        ("Lane", "2024-03-06"): 169,
        ("Lane", "2024-03-09"): -10,
    }
    assert set(warnings(administrator)) == {"int_scrapers_commission_totals_run_up"}


def test_equal_figures_of_both_are_added_and_one_alone_is_enough(
    system: Affiliate, administrator: psycopg.Connection
) -> None:
    drop_mappings(system)
    system.drop_lines("routy", "2024-03-07.csv", ",Club,BetOne,Austria,AT,80,1,0")
    system.run("web_traffic", "combined")  # scrapers has never published
    assert commission(administrator, "combined_commission_daily") == {("Club", "2024-03-07"): 80}
    system.drop_lines("scrapers", "2024-03-07.csv", ",Club,BetOne,Austria,80,1")
    system.run("scrapers", "combined")
    assert commission(administrator, "combined_commission_daily") == {("Club", "2024-03-07"): 160}
    assert commission(administrator, "combined_commission_monthly") == {
        ("BetOne", "2024-03-01"): 160
    }
    assert contents(administrator, "gold", "combined_commission_daily")[0][2:4] == (80, 80)
