"""What tests found: warnings by build, and the rows, whatever their queries look like."""

from __future__ import annotations

from psycopg import Connection

from sluice.transforming import warned_tests
from sluice.transforming.dbt import NodeResult
from sluice.transforming.results import ROWS_KEPT, keep_failing_rows
from tests.shop_project import ShopProject


def build(connection: Connection, *results: NodeResult, pipeline: str = "shop") -> int:
    """Record a build with these results, and keep their rows."""
    row = connection.execute(
        "insert into ops.transformations (pipeline, run_id) values (%s, 'test')"
        " returning transformation_id",
        (pipeline,),
    ).fetchone()
    assert row
    for result in results:
        connection.execute(
            "insert into ops.node_results (transformation_id, unique_id, resource_type, status,"
            " failures, message, execution_seconds) values (%s, %s, 'test', %s, %s, 'found', 0)",
            (row[0], result.unique_id, result.status, result.failures),
        )
    keep_failing_rows(connection, row[0], results)
    return int(row[0])


def result(query: str | None, status: str = "warn", name: str = "odd") -> NodeResult:
    return NodeResult(f"test.sluice.{name}.0a1b", "test", status, 3, None, "found", 0.0, query)


def rows(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select unique_id, row_number, failing_row from ops.failing_rows order by 1, 2"
    ).fetchall()


def test_rows_are_kept_as_the_newest_build_found_them(transformer: Connection) -> None:
    transformer.autocommit = True
    odd = "select '100 %s {x} 😀' as word, null::int as number -- as it is;"
    first = build(transformer, result(odd), result("select 1 as one;", name="other"))
    assert rows(transformer) == [
        ("test.sluice.odd.0a1b", 1, {"word": "100 %s {x} 😀", "number": None}),
        ("test.sluice.other.0a1b", 1, {"one": 1}),
    ]
    assert [
        (test.name, test.failures, test.rows_kept) for test in warned_tests(transformer, first)
    ] == [("odd", 3, 1), ("other", 3, 1)]

    # One passes now: what it found before stays until it finds something else.
    many = (
        "select number, repeat('x', 200000) as long"
        f" from generate_series(1, {ROWS_KEPT + 1}) as number"
    )
    second = build(transformer, result(many, "fail"), result("select 2", "pass", "other"))
    kept = rows(transformer)
    assert len(kept) == ROWS_KEPT + 1
    assert list(kept[0][2]) == ["bytes"]  # type: ignore[call-overload]
    assert kept[-1][0] == "test.sluice.other.0a1b"
    assert warned_tests(transformer, second) == []


def test_a_shared_models_test_keeps_the_rows_of_each_pipeline(transformer: Connection) -> None:
    transformer.autocommit = True
    build(transformer, result("select 1 as one"))
    build(transformer, result("select 2 as two"), pipeline="other")
    build(transformer, result("select 3 as three"))
    assert sorted(str(row[2]) for row in rows(transformer)) == ["{'three': 3}", "{'two': 2}"]


def test_rows_that_cannot_be_kept_stop_nothing(transformer: Connection) -> None:
    transformer.autocommit = True
    found = build(
        transformer,
        result("select * from silver.gone", name="a"),
        result(None, name="b"),
        result("select 1 as one", name="c"),
    )
    assert [row[0] for row in rows(transformer)] == ["test.sluice.c.0a1b"]
    assert [test.rows_kept for test in warned_tests(transformer, found)] == [0, 0, 1]


def test_a_test_that_warns_is_seen_in_the_run_and_its_rows_are_kept(
    shop: ShopProject, loader: Connection
) -> None:
    marts = shop.model("marts.yml")
    marts.write_text(
        marts.read_text().replace(
            "                values: [ink, pen, pad, cup]\n",
            "                values: [ink, pen, pad, cup]\n"
            "              config: {severity: warn}\n",
        )
    )
    shop.drop("a.csv", "1,ink,2\n2,gold,3\n3,lead,4\n")
    report = shop.run()

    assert report.errors == ()
    assert report.publication
    (warning,) = report.warnings
    assert warning.name.startswith("accepted_values_product_sales_product")
    assert (warning.failures, warning.rows_kept) == (2, 2)
    found = loader.execute(
        "select failing_row ->> 'value_field' from ops.failing_rows order by 1"
    ).fetchall()
    assert found == [("gold",), ("lead",)]
