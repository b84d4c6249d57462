"""Every record of a file gets its own verdict, with its place, a code and a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.loading import SourceReport, load_source
from sluice.loading.masks import masks_of
from sluice.loading.progress import Progress
from sluice.registry import Source
from sluice.settings import Settings
from tests.loading.conftest import ORDERS, Shop

BAD = """x,ink,1
2,pencil
3,pen,-1
4,"cup,5
5,pad,99999999999
,mug,6
7,ok,7
8,fine,8
"""


def declare(shop: Shop, **keys: Any) -> None:
    """Let the source say something else."""
    shop.source = Source.model_validate({**shop.source.model_dump(), **keys})


def columns(**changes: dict[str, Any]) -> dict[str, Any]:
    """The columns of orders, some of them saying more."""
    declared = ORDERS.model_dump()["columns"]
    return {name: {**column, **changes.get(name, {})} for name, column in declared.items()} | {
        name: column for name, column in changes.items() if name not in declared
    }


def rejects(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.query(
        "select row_number, line_number, byte_offset, code, column_name, raw_record"
        " from ops.rejected_rows order by load_id, row_number"
    )


def one(report: SourceReport) -> Any:
    (entry,) = report.entries
    return entry


def test_each_bad_record_is_explained_and_takes_no_other_along(shop: Shop) -> None:
    shop.drop("a.csv", BAD)
    entry = one(shop.load())

    assert (entry.outcome, entry.rows_loaded, entry.rows_rejected) == ("loaded", 2, 6)
    assert shop.query("select _source_row_number, product from bronze.orders order by 1") == [
        (7, "ok"),
        (8, "fine"),
    ]
    assert rejects(shop) == [
        (1, 2, 24, "wrong_type", "order_id", "x,ink,1"),
        (2, 3, 32, "ragged_row", None, "2,pencil"),
        (3, 4, 41, "below_minimum", "amount", "3,pen,-1"),
        (4, 5, 50, "bad_quotes", "product", '4,"cup,5'),
        (5, 6, 59, "out_of_range", "amount", "5,pad,99999999999"),
        (6, 7, 77, "missing_value", "order_id", ",mug,6"),
    ]
    reasons = [
        row[0] for row in shop.query("select reason from ops.rejected_rows order by row_number")
    ]
    assert '"x"' in reasons[0]
    assert "2 fields" in reasons[1]
    assert "'-1.00'" in reasons[2]


def test_rules_that_only_the_fast_path_sees_are_explained_from_the_file(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,1\n2,pen,-1\n3,pad,2\n4,cup,-2\n")
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 2)
    assert [row[0:2] + row[5:] for row in rejects(shop)] == [(2, 3, "2,pen,-1"), (4, 5, "4,cup,-2")]


@pytest.mark.parametrize("bad", ["", "x,pen,0"], ids=["fast path", "tolerant path"])
def test_every_kind_of_rule_holds_on_both_paths(shop: Shop, bad: str) -> None:
    declare(
        shop,
        columns=columns(
            product={"nullable": False, "accepted_values": ["ink", "pen"], "pattern": "[a-z]+"},
            amount={"nullable": False, "minimum": 0, "maximum": 9},
            day={"data_type": "date"},
        ),
    )
    rows = [
        "1,ink,1,",
        "2,pad,1,",
        "3,,1,",
        "4,ink,NaN,",
        "5,pen,10,",
        "6,pen,,",
        "7,ink,1,infinity",
    ]
    shop.drop(
        "a.csv",
        "\n".join([*rows, bad + "," if bad else "8,ink,9,2026-01-01"]) + "\n",
        header="order_id,product,amount,day\n",
    )
    one(shop.load())
    expected = [
        (2, "not_accepted"),
        (3, "missing_value"),
        (4, "above_maximum"),
        (5, "above_maximum"),
        (6, "missing_value"),
        (7, "not_finite"),
    ]
    assert [(row[0], row[3]) for row in rejects(shop)] == expected + (
        [(8, "wrong_type")] if bad else []
    )


def test_a_value_stands_once_in_a_file_where_the_column_is_unique(shop: Shop) -> None:
    declare(shop, columns=columns(order_id={"unique": True}))
    shop.drop("a.csv", "1,a,-1\n1,b,2\n1,c,3\n2,d,4\n")
    one(shop.load())
    # The first one breaks a rule, so it is nobody's predecessor.
    assert shop.query("select product from bronze.orders order by 1") == [("b",), ("d",)]
    assert [(row[0], row[3]) for row in rejects(shop)] == [(1, "below_minimum"), (3, "not_unique")]


def test_one_bad_record_refuses_the_delivery_where_the_source_says_fail(shop: Shop) -> None:
    declare(shop, on_row_error="fail")
    shop.drop("a.csv", "1,ink,1\nx,pen,2\n")
    entry = one(shop.load())
    assert (entry.outcome, entry.reject_code, entry.reject_record) == ("rejected", "wrong_type", 2)
    assert entry.reject_reason.startswith("Record 2 (line 3): order_id: invalid input syntax")
    assert shop.query("select count(*) from bronze.orders") == [(0,)]
    assert [row[0] for row in rejects(shop)] == [2]


@pytest.mark.parametrize(
    ("limit", "outcome"), [(2, "loaded"), (1, "rejected"), ("40%", "loaded"), ("39.9%", "rejected")]
)
def test_more_rejects_than_allowed_reject_the_delivery(
    shop: Shop, limit: int | str, outcome: str
) -> None:
    declare(shop, max_row_errors=limit)
    shop.drop("a.csv", "1,a,1\nx,b,2\n3,c,3\n4,d\n5,e,5\n")
    entry = one(shop.load())
    assert entry.outcome == outcome
    assert entry.rows_rejected == len(rejects(shop)) == 2
    if outcome == "rejected":
        assert entry.reject_code == "too_many_rejects"
        assert "1 wrong_type, 1 ragged_row" in entry.reject_reason
        assert shop.query("select count(*) from bronze.orders") == [(0,)]


@pytest.mark.parametrize("limit", [1, "30%"])
def test_too_many_rejects_have_one_code_whatever_theirs(shop: Shop, limit: int | str) -> None:
    declare(shop, max_row_errors=limit)
    shop.drop("a.csv", "1,a,1\nx,b,2\n3,c,3\ny,d,4\n5,e,5\n")
    entry = one(shop.load())
    assert (entry.outcome, entry.reject_code) == ("rejected", "too_many_rejects")
    assert "2 wrong_type" in entry.reject_reason


@pytest.mark.parametrize(
    ("rows", "code"), [("x,b,2\ny,d,4\n", "wrong_type"), ("x,b,2\n4,d\n", "too_many_rejects")]
)
def test_a_file_without_a_good_record_has_the_code_that_they_share(
    shop: Shop, rows: str, code: str
) -> None:
    shop.drop("a.csv", rows)
    assert one(shop.load()).reject_code == code


def test_what_types_do_not_take_can_be_kept_aside(shop: Shop) -> None:
    declare(shop, schema_contract={"data_types": "discard_value", "new_columns": "discard_value"})
    shop.drop(
        "a.csv", "1,ink,1.5,gift\n2,pen,cheap,\n3,pad,2,\n", header="order_id,product,amount,note\n"
    )
    assert one(shop.load()).rows_rejected == 0
    kept = shop.query("select order_id, amount::text, _rescued_data from bronze.orders order by 1")
    assert kept == [
        (1, "1.50", {"note": "gift"}),
        (2, None, {"amount": "cheap"}),
        (3, "2.00", None),
    ]


def test_a_required_value_that_its_type_does_not_take_is_named(shop: Shop) -> None:
    declare(shop, schema_contract={"data_types": "discard_value"})
    shop.drop("a.csv", "1,ink,1\nx,pen,cheap\n")
    assert one(shop.load()).rows_rejected == 1
    assert rejects(shop)[0][3:5] == ("wrong_type", "order_id")


def test_what_types_do_not_take_can_have_a_column_of_its_own(shop: Shop) -> None:
    declare(shop, schema_contract="evolve")
    shop.drop("a.csv", "1,ink,1.5\n2,pen,cheap\n3,pad,2\n")
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (3, 0)
    assert "they are no numeric(12,2)" in (entry.notes or [])[-1]
    assert "has been added" in (entry.notes or [])[-1]
    shop.drop("b.csv", "4,cup,dear\n")
    assert "has been added" not in (one(shop.load()).notes or [])[-1]
    kept = shop.query(
        "select order_id, amount::text, amount__v_text, _rescued_data from bronze.orders order by 1"
    )
    assert kept == [
        (1, "1.50", None, None),
        (2, None, "cheap", None),
        (3, "2.00", None, None),
        (4, None, "dear", None),
    ]


def test_a_bad_value_refuses_the_delivery_where_types_are_frozen(shop: Shop) -> None:
    declare(shop, schema_contract={"data_types": "freeze"})
    shop.drop("a.csv", "1,ink,1\n2,pen,cheap\n")
    entry = one(shop.load())
    assert (entry.outcome, entry.reject_code, entry.reject_record) == ("rejected", "wrong_type", 2)


def test_new_columns_come_as_text_where_the_contract_lets_them(shop: Shop) -> None:
    declare(shop, schema_contract="evolve")
    shop.drop("a.csv", "1,ink,1\n")
    shop.drop("b.csv", "2,blue,red\n", header="order_id,Gift Colour,product\n")
    report = shop.load()
    assert [entry.outcome for entry in report.entries] == ["loaded", "loaded"]
    assert any("gift_colour" in note for note in report.entries[1].notes)
    assert shop.query(
        "select order_id, product, amount, gift_colour from bronze.orders order by 1"
    ) == [
        (1, "ink", shop.query("select 1.00::numeric(12,2)")[0][0], None),
        (2, "red", None, "blue"),
    ]


def test_a_value_in_an_unknown_column_rejects_its_record(shop: Shop) -> None:
    declare(shop, schema_contract={"new_columns": "discard_row"})
    shop.drop("a.csv", "1,ink,1,\n2,pen,2,x\n", header="order_id,product,amount,note\n")
    assert one(shop.load()).rows_loaded == 1
    assert [(row[0], row[3], row[4]) for row in rejects(shop)] == [(2, "unknown_value", "note")]


def test_masked_values_reach_neither_bronze_nor_the_rejects(shop: Shop) -> None:
    declare(
        shop,
        columns=columns(product={"mask": "hash"}, email={"data_type": "text", "mask": "redact"}),
    )
    rows = "1,SECRET,1,a@b.org\n2,SECRET,2,\nx,SECRET,3,a@b.org\n4,SECRET\n"
    shop.drop("a.csv", rows, header="order_id,product,amount,email\n")
    assert one(shop.load()).rows_rejected == 2

    bronze = shop.query("select order_id, product, email from bronze.orders order by 1")
    assert bronze[0][1] == bronze[1][1]
    assert len(bronze[0][1]) == 64
    assert [row[2] for row in bronze] == ["[redacted]", None]
    everything = json.dumps(shop.query("select r::text from ops.rejected_rows r"))
    assert "SECRET" not in everything
    assert "a@b.org" not in everything
    assert bronze[0][1] in everything


def test_only_a_hash_needs_the_secret_of_the_installation(tmp_path: Path) -> None:
    source = Source.model_validate(
        {
            "name": "people",
            "description": "People.",
            "owner": "shop",
            "columns": {"mail": {"data_type": "text", "mask": "redact"}},
        }
    )
    # The secrets of a container cannot be added to.
    home = tmp_path / "a file"
    home.write_text("")

    assert masks_of(Settings(home=home), source)["mail"]("a@b.org") == "[redacted]"


def test_values_are_read_as_the_source_writes_them(shop: Shop) -> None:
    declare(
        shop,
        values={"null_values": ["n/a"], "decimal_separator": ",", "thousands_separator": "."},
        dialect={"delimiter": ";"},
    )
    shop.drop("a.csv", "1;n/a;1.234,50\n2;ink;1,23,4\n", header="order_id;product;amount\n")
    one(shop.load())
    assert shop.query("select order_id, product, amount::text from bronze.orders") == [
        (1, None, "1234.50")
    ]
    assert [(row[0], row[3], row[4]) for row in rejects(shop)] == [(2, "wrong_type", "amount")]


def test_many_rejects_are_all_kept(shop: Shop) -> None:
    declare(shop, max_row_errors="90%")
    rows = "".join(f"{n},ink,{'x' if n % 3 else n}\n" for n in range(1, 30_001))
    shop.drop("a.csv", rows)
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (10_000, 20_000)
    assert shop.query("select count(*) from ops.rejected_rows") == [(20_000,)]
    assert shop.query(
        "select count(*) from bronze.orders where order_id <> _source_row_number"
    ) == [(0,)]


def test_a_record_that_ends_the_whole_copy_is_found(shop: Shop) -> None:
    declare(shop, columns=columns(product={"data_type": "json"}))
    deep = "[" * 20_000 + "]" * 20_000
    rows = "".join(f"{n},{deep if n == 50 else n},{'x' if n == 60 else 1}\n" for n in range(1, 101))
    shop.drop("a.csv", rows)
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (98, 2)
    assert [row[0] for row in rejects(shop)] == [50, 60]
    assert shop.query("select raw_is_cut from ops.rejected_rows order by row_number") == [
        (True,),
        (False,),
    ]


def test_a_value_that_ends_the_question_about_it_is_found(shop: Shop) -> None:
    """It stands beside a value that PostgreSQL would change, so it is asked about beforehand."""
    declare(shop, columns=columns(product={"data_type": "json"}), max_row_errors="100%")
    deep = "[" * 20_000 + "]" * 20_000
    shop.drop("a.csv", f"1,{{}},1\n2,{deep},1.555\n3,{{}},1.555\n4,{{}},1\n")
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 2)
    assert [(row[0], row[3], row[4]) for row in rejects(shop)] == [
        (2, "wrong_type", "product"),
        (3, "not_exact", "amount"),
    ]


def test_a_rule_is_held_against_a_record_with_deep_json(shop: Shop) -> None:
    """Other statements than COPY have less room for it."""
    declare(shop, columns=columns(product={"data_type": "json", "nullable": False}))
    deepest, too_deep = 1000, 100_000
    while too_deep - deepest > 1:
        depth = (deepest + too_deep) // 2
        text = "[" * depth + "]" * depth
        try:
            shop.connection.execute("select pg_input_is_valid(%s, 'jsonb')", (text,))
            deepest = depth
        except psycopg.errors.StatementTooComplex:
            too_deep = depth
    lines = "".join(
        f"{n},{'[' * each + ']' * each},-1\n"
        for n, each in enumerate(range(too_deep - 25, too_deep + 25), start=1)
    )
    shop.drop("a.csv", f"{lines}99,1,1\n")
    entry = one(shop.load())
    assert (entry.rows_loaded, entry.rows_rejected) == (1, 50)


def test_a_load_tells_how_far_it_is(shop: Shop) -> None:
    told: list[Progress] = []
    shop.drop("a.csv", "".join(f"{n},ink,{'x' if n % 100 == 0 else 1}\n" for n in range(1, 60_001)))
    declare(shop, max_row_errors="5%")
    load_source(shop.settings, shop.source, tell=told.append)
    last = told[-1]
    assert last.bytes_read == last.bytes_total > 600_000
    assert (last.rows, last.rejects) == (59_400, 600)
    assert "100% of 0.7 MB, 59,400 rows, 600 rejects" in str(last)


def test_a_column_comes_from_the_files_name_where_a_record_has_none(shop: Shop) -> None:
    declare(
        shop,
        columns=columns(
            day={"data_type": "date", "nullable": False, "from_file_name": r"(\d{4}-\d{2}-\d{2})"}
        ),
    )
    shop.drop("2024-03-07.csv", "1,ink,1\n")
    shop.drop("x.csv", "2,pen,1,2024-03-08\n3,pad,1,\n", header="order_id,product,amount,day\n")
    assert [entry.rows_loaded for entry in shop.load().entries] == [1, 1]
    days = shop.query("select order_id, day::text from bronze.orders order by 1")
    assert days == [(1, "2024-03-07"), (2, "2024-03-08")]
    assert [(row[0], row[3], row[4]) for row in rejects(shop)] == [(2, "missing_value", "day")]
