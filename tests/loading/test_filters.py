"""A part of a file by a column's value: what is loaded, what the ledger says, what comes later."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest

from sluice.errors import ConfigError
from sluice.loading import SourceReport, load_source
from sluice.registry import Source
from sluice.registry.filters import RecordFilter
from tests.loading.conftest import ORDERS, Shop

HEADER = "Day,id,amount\n"
COLUMNS = {
    "day": {"data_type": "date", "from": "Day"},
    "id": {"data_type": "bigint", "nullable": False},
    "amount": {"data_type": "decimal", "minimum": 0},
}


def source(**keys: Any) -> Source:
    given = {"name": "orders", "description": "-", "owner": "-", "columns": COLUMNS, **keys}
    return Source.model_validate(given)


def load(shop: Shop, value: str | None = None, column: str = "day") -> SourceReport:
    wanted = None if value is None else RecordFilter("orders", column, value)
    return load_source(shop.settings, shop.source, record_filter=wanted)


def outcome(report: SourceReport) -> tuple[str, str]:
    (entry,) = report.entries
    return entry.outcome, entry.delivery_kind


def loaded(shop: Shop) -> list[tuple[Any, ...]]:
    """File, number and id of each row in bronze; the ledger has to agree with them."""
    assert (
        shop.query(
            """
            select rows_loaded, (select count(*) from bronze.orders where _load_id = load_id)
            from ops.files join ops.loads on load_id = current_load_id
            where rows_loaded <> (select count(*) from bronze.orders where _load_id = load_id)
            """
        )
        == []
    )
    return shop.query(
        "select file_name, _source_row_number, id from bronze.orders"
        " join ops.loads on load_id = _load_id order by 1, 2"
    )


def test_a_value_that_no_question_can_be_asked_about_is_judged(shop: Shop) -> None:
    columns = {"id": {"data_type": "bigint"}, "day": {"data_type": "json"}}
    shop.source = source(columns=columns)
    deep = "[" * 20_000 + "]" * 20_000
    shop.drop("a.csv", f"1,{deep}\n2,7\n3,8\n", header="id,day\n")
    (entry,) = load(shop, "7").entries
    assert (entry.rows_loaded, entry.rows_rejected, entry.rows_left_out) == (1, 1, 1)
    with pytest.raises(ConfigError, match="is no jsonb"):
        load(shop, deep)


ROWS = "2024-02-24,1,10\n2024-02-25,2,20\n,3,30\n2024-2-24,4,40\n"


@pytest.mark.parametrize("path", ["plain", "compressed", "jsonl"])
def test_only_the_wanted_records_are_loaded_and_the_ledger_says_so(shop: Shop, path: str) -> None:
    shop.source = source(format="jsonl" if path == "jsonl" else "csv")
    lines = [row.split(",") for row in ROWS.splitlines()]
    text = HEADER + ROWS
    if path == "jsonl":
        text = "".join(
            json.dumps({"Day": day or None, "id": int(number), "amount": int(amount)}) + "\n"
            for day, number, amount in lines
        )
    content = text.encode()
    shop.folder.mkdir(parents=True)
    (shop.folder / "a").write_bytes(gzip.compress(content) if path == "compressed" else content)

    # Compared as dates, and the ledger has the value as PostgreSQL writes it.
    assert outcome(load(shop, "24 February 2024")) == ("loaded", "new")
    assert loaded(shop) == [("a", 1, 1), ("a", 4, 4)]
    assert shop.query(
        "select filters, rows_loaded, rows_rejected, rows_left_out from ops.loads"
    ) == [(["day=2024-02-24"], 2, 0, 2)]
    assert not list(shop.folder.iterdir())


def test_what_is_left_out_is_not_judged_and_what_cannot_be_told_is(shop: Shop) -> None:
    shop.source = source(max_row_errors=4)
    shop.drop(
        "a.csv",
        "2024-02-24,1,1\n2024-02-24,2,-1\n2024-02-24,x,1\nsomeday,4,1\n2024-02-24,5\n"
        + "2024-02-25,x,-1\n" * 10,
        HEADER,
    )
    assert outcome(load(shop, "2024-02-24")) == ("loaded", "new")
    assert loaded(shop) == [("a.csv", 1, 1)]
    assert shop.query("select rows_loaded, rows_rejected, rows_left_out from ops.loads") == [
        (1, 4, 10)
    ]
    assert shop.query("select row_number, code from ops.rejected_rows order by 1") == [
        (2, "below_minimum"),
        (3, "wrong_type"),
        (4, "wrong_type"),
        (5, "ragged_row"),
    ]


def test_a_file_of_which_nothing_is_wanted_stays_where_it_is(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", ROWS, HEADER)
    shop.drop("b.csv", "2024-03-01,9,1\n", HEADER)
    report = load(shop, "2024-03-01")
    assert [entry.file_name for entry in report.entries] == ["b.csv"]
    assert "a.csv has day=2024-03-01" in report.left[0]
    assert [path.name for path in shop.folder.iterdir()] == ["a.csv"]
    assert outcome(load(shop)) == ("loaded", "new")
    assert len(loaded(shop)) == 5


def test_the_same_file_again_extends_what_was_loaded_and_takes_nothing_out(shop: Shop) -> None:
    """The same bytes with the same filter, another one, another column's, and none."""
    shop.source = source()
    steps: list[tuple[str | None, str, tuple[str, str], int, list[str] | None]] = [
        ("2024-02-24", "day", ("loaded", "new"), 2, ["day=2024-02-24"]),
        ("2024-02-24", "day", ("skipped", "same_again"), 2, ["day=2024-02-24"]),
        ("20.0", "amount", ("loaded", "extension"), 3, ["amount=20.0", "day=2024-02-24"]),
        ("2024-02-24", "day", ("skipped", "same_again"), 3, ["day=2024-02-24"]),
        (None, "day", ("loaded", "extension"), 4, None),
        (None, "day", ("skipped", "same_again"), 4, None),
        ("2024-02-25", "day", ("skipped", "same_again"), 4, ["day=2024-02-25"]),
    ]
    for value, column, expected, rows, filters in steps:
        shop.drop("a.csv", ROWS, HEADER)
        assert outcome(load(shop, value, column)) == expected
        assert len(loaded(shop)) == rows
        newest = "select filters from ops.loads order by load_id desc limit 1"
        assert shop.query(newest) == [(filters,)]
    assert shop.query("select sum(rows_replaced) from ops.loads") == [(5,)]


def test_members_of_an_archive_that_stays_are_extended_by_the_next_filter(shop: Shop) -> None:
    shop.source = source()
    shop.folder.mkdir(parents=True)
    with zipfile.ZipFile(shop.folder / "all.zip", "w") as archive:
        archive.writestr("one.csv", HEADER + ROWS)
        archive.writestr("two.csv", HEADER + "2024-03-01,9,1\n")
    for value, expected, rows in (
        ("2024-02-24", [("loaded", "new")], 2),
        ("2024-02-24", [], 2),
        ("2024-02-25", [("loaded", "extension")], 3),
        ("2024-02-24", [], 3),
    ):
        report = load(shop, value)
        assert [(entry.outcome, entry.delivery_kind) for entry in report.entries] == expected
        assert (len(loaded(shop)), len(report.left)) == (rows, 1)
        assert [path.name for path in shop.folder.iterdir()] == ["all.zip"]
    assert [entry.delivery_kind for entry in load(shop).entries] == ["extension", "new"]
    assert len(loaded(shop)) == 5
    # Every entry says where the archive is.
    assert not list(shop.folder.iterdir())
    assert shop.query(
        "select count(*), count(stored_at), count(stored_path), count(distinct stored_path)"
        " from ops.loads"
    ) == [(4, 4, 4, 2)]


def test_a_correction_is_as_wide_as_what_it_corrects(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", ROWS, HEADER)
    load(shop, "2024-02-24")
    shop.drop("a.csv", ROWS + "2024-02-26,5,1\n", HEADER)
    assert outcome(load(shop, "2024-02-26")) == ("loaded", "correction")
    assert [number for _, number, _ in loaded(shop)] == [1, 4, 5]

    shop.drop("a.csv", ROWS, HEADER)
    load(shop)
    shop.drop("a.csv", "2024-02-24,1,1\n2024-03-01,7,1\n", HEADER)
    assert outcome(load(shop, "2024-02-24")) == ("loaded", "correction")
    assert loaded(shop) == [("a.csv", 1, 1), ("a.csv", 2, 7)]


def test_known_bytes_under_another_name_are_skipped_as_far_as_they_are_known(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", ROWS, HEADER)
    load(shop, "2024-02-24")
    shop.drop("b.csv", ROWS, HEADER)
    assert outcome(load(shop, "2024-02-24")) == ("skipped", "redelivery")
    shop.drop("b.csv", ROWS, HEADER)
    (entry,) = load(shop).entries
    assert (entry.outcome, entry.reject_code) == ("rejected", "known_in_part")
    shop.drop("a.csv", ROWS, HEADER)
    load(shop)
    shop.drop("b.csv", ROWS, HEADER)
    assert outcome(load(shop)) == ("skipped", "redelivery")
    assert len(loaded(shop)) == 4


def test_parts_of_an_appended_file_have_their_own_filters(shop: Shop) -> None:
    shop.source = source(on_changed_file="append")
    for rows in (ROWS, ROWS + "2024-02-24,5,1\n"):
        shop.drop("a.csv", rows, HEADER)
        load(shop, "2024-02-24")
    shop.drop("a.csv", ROWS, HEADER)
    assert outcome(load(shop)) == ("loaded", "extension")
    assert shop.query(
        "select part, rows_loaded, filters from ops.files join ops.loads"
        " on load_id = current_load_id order by 1"
    ) == [(1, 4, None), (2, 3, ["day=2024-02-24"])]


@pytest.mark.parametrize(
    ("keys", "value", "rows"),
    [
        ({"schema_contract": "discard_value"}, "2024-02-24", [1, 4]),
        ({"values": {"null_values": ["2024-2-24"]}}, "2024-02-24", [1]),
        (
            {
                "schema_contract": {"missing_columns": "evolve"},
                "columns": {
                    **COLUMNS,
                    "month": {"data_type": "text", "from_file_name": r"_(\d+)\."},
                },
            },
            "02",
            [1, 2, 3, 4, 5],
        ),
    ],
)
def test_the_value_is_the_one_that_bronze_would_have(
    shop: Shop, keys: Mapping[str, Any], value: str, rows: list[int]
) -> None:
    shop.source = source(**keys)
    shop.drop("orders_02.csv", ROWS + "not a day,5,1\n", HEADER)
    column = "month" if value == "02" else "day"
    load(shop, value, column)
    expected = [number for number in rows if not (number == 5 and column == "month")]
    assert [number for _, number, _ in loaded(shop)] == expected


def test_a_value_that_is_none_of_the_column_stops_before_anything_is_touched(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", ROWS, HEADER)
    with pytest.raises(ConfigError, match="'tuesday', which is no date"):
        load(shop, "tuesday")
    assert [path.name for path in shop.folder.iterdir()] == ["a.csv"]


def test_another_sources_filter_is_none_of_this_ones(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    other = RecordFilter("returns", "product", "pen")
    report = load_source(shop.settings, ORDERS, record_filter=other)
    assert [entry.rows_loaded for entry in report.entries] == [1]
