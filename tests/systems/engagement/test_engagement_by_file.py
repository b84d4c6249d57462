"""Incremental by file: what is touched, and what is noticed."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from data.samples.engagement import HEADER, generate
from tests.systems.engagement.engagement_instance import Engagement, places
from tests.systems.instance import assert_marts_equal_oracle, contents, csv_file

BY_FILE = (
    ("silver", "stg_event_stream"),
    ("silver", "int_user_days_by_file"),
    ("gold_audit", "fct_events"),
)


def record_load(
    connection: psycopg.Connection[Any], load_id: int, file_name: str, rows: list[str]
) -> None:
    """What the loader does in its transaction."""
    (file_id,) = connection.execute(
        "insert into ops.files (source, file_name) values ('event_stream', %s) returning file_id",
        (file_name,),
    ).fetchone() or (0,)
    connection.execute(
        """
        insert into ops.loads (
            load_id, file_id, source, file_name, content_sha256, content_bytes, outcome,
            delivery_kind, rows_loaded, started_at
        ) values (%s, %s, 'event_stream', %s, repeat('0', 64), 1, 'loaded', 'new', %s, now())
        """,
        (load_id, file_id, file_name, len(rows)),
    )
    connection.execute(
        "update ops.files set current_load_id = %s where file_id = %s", (load_id, file_id)
    )
    columns = SQL(", ").join(map(Identifier, (*HEADER, "_load_id", "_source_row_number")))
    copy = SQL("copy bronze.event_stream ({}) from stdin (format csv)").format(columns)
    with connection.cursor().copy(copy) as writer:
        for number, row in enumerate(rows, start=1):
            writer.write(f"{row},{load_id},{number}\n")


def test_loads_that_commit_out_of_order_and_withdrawn_files_are_seen(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    deliveries = dict(generate(4, users=20, days=4, rows=200))
    first, second, third, fourth = sorted(deliveries)
    system.drop(first, deliveries[first])
    system.run()
    with psycopg.connect(system.settings.warehouse.get_secret_value()) as slow:
        # A load takes its id, but another one is committed and published before it.
        (load_id,) = slow.execute("select ops.current_load_id()").fetchone() or (0,)
        system.drop(third, deliveries[third])
        system.run()
        record_load(slow, load_id, second, deliveries[second])
    system.keep(second, csv_file(HEADER, deliveries[second]))
    (newest,) = administrator.execute("select max(_load_id) from gold.fct_events").fetchone() or (
        0,
    )
    assert newest > load_id
    system.drop(fourth, deliveries[fourth])
    system.run()
    assert_marts_equal_oracle(administrator, system)

    with administrator.transaction():  # a withdrawal
        administrator.execute("delete from bronze.event_stream where _load_id = %s", (load_id,))
        administrator.execute(
            "update ops.files set current_load_id = null where file_name = %s", (second,)
        )
    del system.files[second]
    system.run()
    assert_marts_equal_oracle(administrator, system)


def test_a_correction_touches_the_rows_of_its_file_only(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    deliveries = dict(generate(5, users=30, days=8, rows=800))
    for name, rows in deliveries.items():
        system.drop(name, rows)
    system.run()
    before = {table: places(administrator, *table) for table in BY_FILE}
    corrected = sorted(deliveries)[3]
    (load_id,) = administrator.execute(
        "select current_load_id from ops.files where file_name = %s", (corrected,)
    ).fetchone() or (0,)
    system.drop(corrected, deliveries[corrected][:-7])
    report = system.run()

    for table in BY_FILE:
        untouched = {place for place in before[table] if place[0] != load_id}
        assert untouched < places(administrator, *table), table
    changes = {mart.mart: mart for mart in report.publication.marts} if report.publication else {}
    # event_id is the same for the same record number: seven are gone, none is new.
    assert changes["fct_events"].rows_deleted == 7
    assert changes["fct_events"].rows_inserted == 0
    rows_read = administrator.execute(
        """
        select rows_affected from ops.node_results
        where unique_id = 'model.sluice.fct_events' order by transformation_id desc limit 1
        """
    ).fetchone()
    assert rows_read == (len(deliveries[corrected]) - 7,)


def test_a_changed_model_is_rebuilt_in_full_with_those_below_it(
    system: Engagement, administrator: psycopg.Connection
) -> None:
    row = "2026-05-01 10:00:00,anna,like,,,web,,"
    system.drop("a.csv", [row])
    system.run()
    assert "unknown" in contents(administrator, "gold", "fct_events")[0]
    model = system.settings.dbt / "models/silver/engagement/stg_event_stream.sql"
    model.write_text(model.read_text().replace("'unknown'", "'nowhere'"))
    system.run()
    for mart in ("fct_events", "dim_users", "user_retention"):
        assert "nowhere" in contents(administrator, "gold", mart)[0]
    # From the rebuild on, the model is incremental again.
    before = {table: places(administrator, *table) for table in BY_FILE}
    system.drop("b.csv", [row.replace("anna", "ben")])
    system.run()
    for table in BY_FILE:
        assert before[table] < places(administrator, *table)

    model.write_text(model.read_text().replace("{'source': 'event_stream'}", "{}"))
    (error,) = system.try_run().errors
    assert "stg_event_stream is incremental by file but does not say of what" in str(error)
