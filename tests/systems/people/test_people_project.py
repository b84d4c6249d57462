"""From the API to the marts; secrets nowhere; tests of the rules, which fail when they should."""

from __future__ import annotations

from datetime import date, timedelta

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.people import PeopleApi, asking, generate, moment_of
from sluice.extracting import extract_source
from sluice.registry import load_registry
from tests.systems.instance import assert_marts_equal_oracle, warnings
from tests.systems.people.people_instance import People, path_of, person

CRITICAL = {
    "rows_match_ledger_stg_users_source_ops_loads_",
    "populations_count_each_person_once",
    "dim_person_has_every_person",
    "relationships_dim_person_location_id__location_id__ref_dim_location_",
    "relationships_fct_person_registrations_location_id__location_id__ref_dim_location_",
    "relationships_fct_person_registrations_person_id__person_id__ref_dim_person_",
}


def test_what_the_api_answers_becomes_the_marts(
    system: People, administrator: psycopg.Connection
) -> None:
    """Two days of answers; on the third the API says the same again, and that is its newest."""
    source = load_registry(system.settings.project).source("users")
    days = dict(generate(5, persons=1300, days=2))
    days[max(days) + timedelta(days=1)] = days[max(days)]
    api = PeopleApi()
    with api.served():
        for day, api.records in days.items():
            extraction = extract_source(system.settings, asking(source, api.url), moment_of(day))
            assert extraction.records == len(api.records)
            assert extraction.file_name == path_of(day).partition("/")[2]
            system.keep(path_of(day), "".join(f"{line}\n" for line in api.records).encode())
            system.run()
    assert_marts_equal_oracle(administrator, system)
    kinds = administrator.execute("select delivery_kind from ops.loads order by load_id")
    assert kinds.fetchall() == [("new",)] * 3


def test_secrets_do_not_reach_the_database(
    system: People, administrator: psycopg.Connection
) -> None:
    """Neither as rows nor as rejects; and a delivery with a field that nobody knows not at all."""
    system.drop(
        path_of(date(2026, 6, 29)),
        [
            person(1),
            person(2),
            person(3, login__uuid="me"),
            person(4, location__coordinates__latitude="190"),
        ],
    )
    system.drop(path_of(date(2026, 6, 30)), [person(5, login__sha512="sha512-secret")])
    report = system.try_run()
    # Some columns are masked, so nothing of the file is said.
    assert ["has a key that the registry" in str(error) for error in report.errors] == [True]
    tables = administrator.execute(
        "select schemaname, tablename from pg_tables"
        " where schemaname in ('bronze', 'silver', 'gold_audit', 'gold', 'ops')"
    ).fetchall()
    for schema, table in tables:
        query = SQL("select record::text from {} as record").format(Identifier(schema, table))
        for (text,) in administrator.execute(query).fetchall():
            assert "-secret" not in text.replace("login.sha512", ""), f"{schema}.{table}"
    masked = administrator.execute("select password, id_value from bronze.users").fetchone()
    assert masked is not None
    assert masked[0] == "[redacted]"
    assert len(masked[1]) == 64
    rejected = administrator.execute(
        "select code from ops.rejected_rows where row_number is not null order by row_number"
    ).fetchall()
    assert {code for (code,) in rejected} >= {"pattern_mismatch", "above_maximum"}


def test_the_rules_hold_and_broken_marts_are_noticed(
    system: People, administrator: psycopg.Connection
) -> None:
    for day, records in generate(6, persons=200, days=3):
        system.drop(path_of(day), records)
    system.run()
    assert warnings(administrator).keys() >= {
        "users_are_extracted",
        "persons_are_born_before_they_register",
        "persons_have_gender_and_nationality",
    }
    statuses = system.dbt_test("unit")
    assert set(statuses.values()) == {"pass"}
    assert len(statuses) >= 6

    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "pass")
    for break_one in (
        "delete from silver.stg_users where ctid = '(0,1)'",
        "delete from gold_audit.dim_person where ctid in ('(0,2)', '(0,3)')",
        "delete from gold_audit.dim_location where ctid < '(0,9)'",
        """update gold_audit.population_by_gender set population = population + 1
        where gender = 'female'""",
    ):
        assert administrator.execute(break_one).rowcount > 0
    found = system.dbt_test("data", "tag:critical")
    assert {name: found.get(name) for name in CRITICAL} == dict.fromkeys(CRITICAL, "fail")
