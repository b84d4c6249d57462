"""What a changed file touches, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.systems.attribution.attribution_instance import Attribution, places
from tests.systems.instance import assert_marts_equal_oracle

SESSIONS = "sessions/sessions_2026-03-01.csv"
OTHER_SESSIONS = "sessions/sessions_2026-03-02.csv"
CONVERSIONS = "conversions/conversions_2026-03-02.csv"
USERS = [f"user-{number:03d}" for number in range(200)]


def channels_of(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = connection.execute(
        """
        select user_id, channel
        from gold.fct_registrations
        inner join gold.dim_channel using (channel_id)
        """
    )
    return dict(rows.fetchall())


def test_only_the_users_of_a_changed_file_are_calculated_anew(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    system.drop(SESSIONS, [f"{user},2026-03-01 12:00:00,false,DIRECT" for user in USERS])
    # user-199 has registered earlier, so later sessions say nothing about it.
    system.drop(
        CONVERSIONS,
        [f"{user},2026-03-02 12:00:00" for user in USERS[:199]]
        + [f"{USERS[199]},2026-03-01 13:00:00"],
    )
    system.run()
    assert set(channels_of(administrator).values()) == {"DIRECT"}
    before = {
        table: places(administrator, table, "user_id")
        for table in ("fct_registrations", "dim_user")
    }
    system.drop(
        OTHER_SESSIONS,
        [f"{user},2026-03-02 11:30:00,true,PAID SEARCH" for user in (USERS[3], USERS[199])],
    )
    report = system.run()

    after = {table: places(administrator, table, "user_id") for table in before}
    moved = {
        table: {user for user in USERS if before[table][user] != after[table][user]}
        for table in before
    }
    assert moved == {"fct_registrations": {USERS[3]}, "dim_user": {USERS[3], USERS[199]}}
    changes = {mart.mart: mart for mart in report.publication.marts} if report.publication else {}
    assert changes["fct_registrations"].rows_updated == 1
    assert changes["dim_user"].rows_updated == 2
    assert channels_of(administrator)[USERS[3]] == "PAID SEARCH"
    assert_marts_equal_oracle(administrator, system)

    system.withdraw(OTHER_SESSIONS)
    system.run()
    assert set(channels_of(administrator).values()) == {"DIRECT"}
    assert_marts_equal_oracle(administrator, system)


def test_changes_wait_until_a_build_gets_as_far_as_the_model(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    """A file comes and is corrected while every build breaks off after stg_sessions."""
    system.drop(SESSIONS, ["anna,2026-03-02 11:00:00,true,PAID SEARCH"])
    system.drop(CONVERSIONS, [f"{user},2026-03-02 12:00:00" for user in ("anna", "ben", "carl")])
    system.run()
    for user in ("ben", "carl"):
        system.drop(SESSIONS, [f"{user},2026-03-02 11:00:00,true,PAID SEARCH"])
        for table in ("fct_registrations", "dim_user"):
            administrator.execute(f"alter table gold_audit.{table} owner to postgres")
        assert system.try_run().publication is None
        for table in ("fct_registrations", "dim_user"):
            administrator.execute(f"alter table gold_audit.{table} owner to sluice_transformer")
        assert channels_of(administrator)["anna"] == "PAID SEARCH"
    system.run()
    assert channels_of(administrator) == {
        "anna": "UNATTRIBUTED",
        "ben": "UNATTRIBUTED",
        "carl": "PAID SEARCH",
    }
    assert_marts_equal_oracle(administrator, system)


def test_a_changed_rule_attributes_everything_anew(
    system: Attribution, administrator: psycopg.Connection
) -> None:
    system.drop(SESSIONS, ["anna,2026-03-02 08:00:00,true,PAID SEARCH"])
    system.drop(CONVERSIONS, ["anna,2026-03-02 12:00:00"])
    system.run()
    assert channels_of(administrator) == {"anna": "OTHERS"}
    rules = system.settings.dbt / "seeds/attribution/attribution_channels.csv"
    rules.write_text(rules.read_text().replace("3 hours", "4 hours"))
    system.run()
    assert channels_of(administrator) == {"anna": "PAID SEARCH"}
