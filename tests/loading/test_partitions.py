"""Partitions of a bronze table: made as data arrives, right wherever a row lies."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import date
from typing import Any
from unittest.mock import Mock

import pytest
from psycopg import Connection
from psycopg.errors import LockNotAvailable

from sluice.errors import ConfigError
from sluice.loading import load_source, partitions
from sluice.loading.table import ensure_table
from sluice.loading.withdrawal import withdraw
from sluice.registry import Source
from sluice.registry.filters import RecordFilter
from tests.loading.conftest import Shop

HEADER = "order_id,day\n"


def source(every: str = "month", data_type: str = "date", **keys: Any) -> Source:
    given: dict[str, Any] = {
        "name": "orders",
        "description": "-",
        "owner": "-",
        "columns": {
            "order_id": {"data_type": "bigint", "nullable": False},
            "day": {"data_type": data_type},
        },
        "partition_by": {"column": "day", "every": every},
        **keys,
    }
    return Source.model_validate({key: value for key, value in given.items() if value is not None})


def places(shop: Shop) -> dict[str, list[int]]:
    """The orders in each partition, by its name without the source's."""
    rows = shop.query(
        "select tableoid::regclass::text, array_agg(order_id order by order_id)"
        " from bronze.orders group by 1"
    )
    return {name.rpartition("orders_")[2]: orders for name, orders in rows}


def test_partitions_come_with_the_data_and_null_and_odd_dates_have_a_place(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", "1,2024-02-24\n2,\n3,2024-03-01\n4,0001-01-01\n5,9999-12-31\n", HEADER)
    assert shop.outcomes() == [("loaded", "new")]
    assert places(shop) == {"2024_02": [1], "2024_03": [3], "default": [2, 4, 5]}
    # Numbers are those of the file, corrections and withdrawals are as ever.
    shop.drop("a.csv", "1,2024-04-01\n2,2024-02-01\n", HEADER)
    shop.drop("b.csv", "7,2024-02-29\n", HEADER)
    assert shop.outcomes() == [("loaded", "correction"), ("loaded", "new")]
    assert shop.query("select _source_row_number, order_id from bronze.orders order by 2") == [
        (1, 1),
        (2, 2),
        (1, 7),
    ]
    assert places(shop) == {"2024_04": [1], "2024_02": [2, 7]}
    withdraw(shop.settings, shop.source, "a.csv")
    assert places(shop) == {"2024_02": [7]}


def test_what_the_first_records_do_not_show_is_moved_after_the_load(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.loading.loader.make_expected", lambda *_: None)
    shop.source = source("day")
    shop.drop("a.csv", "1,2024-02-28\n2,2024-02-29\n3,2024-02-28\n4,\n", HEADER)
    shop.load()
    assert places(shop) == {"2024_02_28": [1, 3], "2024_02_29": [2], "default": [4]}
    (load_id,) = shop.query("select load_id from ops.loads")[0]
    assert shop.query("select distinct _load_id from bronze.orders") == [(load_id,)]


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_moments_are_divided_by_days_of_utc_in_every_format(shop: Shop, file_format: str) -> None:
    shop.source = source("year", "timestamp", format=file_format)
    shop.folder.mkdir(parents=True)
    moments = ["2023-12-31T23:30:00-01:00", "2023-12-31T23:59:59.999999Z"]
    if file_format == "csv":
        shop.drop("a", "".join(f"{n},{moment}\n" for n, moment in enumerate(moments)), HEADER)
    elif file_format == "jsonl":
        lines = [f'{{"order_id": {n}, "day": "{moment}"}}\n' for n, moment in enumerate(moments)]
        shop.drop("a", "".join(lines), "")
    else:
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table({"order_id": range(len(moments)), "day": moments})
        parquet.write_table(table, shop.folder / "a")
    shop.load()
    assert places(shop) == {"2024": [0], "2023": [1]}


def test_a_reader_of_the_table_holds_up_no_load(
    shop: Shop, administrator: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads holds a lock that a new partition would wait for; the next load makes up for it."""
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
    shop.source = source()
    shop.drop("a.csv", "1,2024-02-24\n", HEADER)
    shop.load()
    shop.drop("b.csv", "2,2024-03-24\n", HEADER)
    with administrator.transaction():
        administrator.execute("select from bronze.orders")
        assert shop.outcomes() == [("loaded", "new")]
        assert administrator.execute("select count(*) from bronze.orders").fetchone() == (2,)
    assert places(shop) == {"2024_02": [1], "default": [2]}
    shop.load()
    assert places(shop) == {"2024_02": [1], "2024_03": [2]}


def test_only_what_is_new_in_the_default_partition_is_looked_at(shop: Shop) -> None:
    shop.source = source()
    shop.drop("a.csv", "1,\n", HEADER)
    shop.load()
    shop.query(
        "insert into bronze.orders (_load_id, order_id, day)"
        " values (1, 2, '2024-02-24') returning 1"
    )
    shop.drop("b.csv", "3,\n", HEADER)
    shop.load()
    assert places(shop) == {"default": [1, 2, 3]}


def test_what_was_not_moved_because_of_a_kill_or_readers_is_moved_by_a_later_load(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.source = source()
    with monkeypatch.context() as patched:
        patched.setattr("sluice.loading.loader.make_expected", lambda *_: None)
        for month, error in enumerate((KeyboardInterrupt, LockNotAvailable, LockNotAvailable), 1):
            patched.setattr(partitions, "_make_all", Mock(side_effect=error))
            shop.drop(f"{month}.csv", f"{month},2024-0{month}-24\n", HEADER)
            with suppress(KeyboardInterrupt):
                shop.load()
    assert places(shop) == {"default": [1, 2, 3]}
    shop.load()
    assert places(shop) == {"2024_01": [1], "2024_02": [2], "2024_03": [3]}


def test_partitions_that_are_attached_are_not_looked_through(
    shop: Shop, loader: Connection
) -> None:
    """Readers would wait meanwhile."""
    shop.source = source(partition_by=None)
    shop.drop("a.csv", "1,2024-02-24\n2,2024-03-24\n3,\n", HEADER)
    shop.load()
    shop.source = source()
    ensure_table(loader, shop.source)
    told: list[str | None] = []
    loader.add_notice_handler(lambda notice: told.append(notice.message_primary))
    loader.execute("set client_min_messages = debug1")
    partitions.spread(loader, shop.source)
    assert places(shop) == {"2024_02": [1], "2024_03": [2], "default": [3]}
    for name in ("_orders_2024_02", "_orders_2024_03"):
        implied = f'partition constraint for table "{name}" is implied by existing constraints'
        assert implied in told
        later = told[told.index(implied) :]
        assert not any(str(message).startswith("building index") for message in later)
    assert any(str(message).startswith("building index") for message in told)  # before
    assert shop.query("select conname from pg_constraint where conname like '%time%'") == []


def test_there_is_an_end_to_how_many_are_made(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(partitions, "MOST_PARTITIONS", 3)  # the default one counts
    shop.source = source("day")
    shop.drop("a.csv", "".join(f"{n},2024-02-0{n}\n" for n in range(1, 6)), HEADER)
    with caplog.at_level(logging.WARNING):
        shop.load()
    assert places(shop) == {"2024_02_01": [1], "2024_02_02": [2], "default": [3, 4, 5]}
    assert "for 3 more: their records stay in the default one" in caplog.text


def test_a_table_that_is_there_is_divided_where_it_stands(
    shop: Shop, transformer: Connection
) -> None:
    shop.source = source(partition_by=None)
    shop.drop("a.csv", "1,2024-02-24\n2,2024-03-24\n", HEADER)
    shop.load()
    shop.source = source()
    shop.drop("b.csv", "3,2024-03-25\n4,\n", HEADER)
    shop.load()
    assert places(shop) == {"2024_02": [1], "2024_03": [2, 3], "default": [4]}
    assert shop.query(
        "select file_name, _source_row_number from bronze.orders join ops.loads"
        " on load_id = _load_id order by order_id"
    ) == [
        ("a.csv", 1),
        ("a.csv", 2),
        ("b.csv", 1),
        ("b.csv", 2),
    ]
    assert transformer.execute("select count(*) from bronze.orders").fetchone() == (4,)
    transformer.rollback()
    # Each partition has its index, and one only.
    indexes = shop.query(
        "select tablename, count(*), max(indexdef) from pg_indexes"
        " where schemaname = 'bronze' and tablename like '_orders%' group by 1 order by 1"
    )
    assert [(name, count) for name, count, _ in indexes] == [
        ("_orders_2024_02", 1),
        ("_orders_2024_03", 1),
        ("_orders_default", 1),
    ]
    assert all("USING brin (_load_id) WITH (autosummarize='on')" in text for *_, text in indexes)
    # Without the key again, it stays as it is, and loads go on.
    shop.source = source(partition_by=None)
    shop.drop("c.csv", "5,2024-03-26\n6,2024-04-01\n", HEADER)
    shop.load()
    assert places(shop) == {"2024_02": [1], "2024_03": [2, 3, 5], "default": [4, 6]}
    # A shorter time later is for what has no partition yet.
    shop.source = source("day")
    shop.load()
    assert places(shop)["2024_04_01"] == [6]


def test_what_would_go_wrong_with_an_older_table_is_an_error(
    shop: Shop, administrator: Connection
) -> None:
    shop.source = source(partition_by=None)
    shop.drop("a.csv", "1,2024-02-24\n", HEADER)
    shop.load()
    administrator.execute("create view silver.of_orders as select * from bronze.orders")
    shop.source = source()
    with pytest.raises(ConfigError, match=r"silver\.of_orders reads it"):
        shop.load()
    administrator.execute("drop view silver.of_orders")
    shop.load()
    columns = {
        "order_id": {"data_type": "bigint"},
        "day": {"data_type": "date"},
        "paid": {"data_type": "date"},
    }
    shop.source = source(columns=columns, partition_by={"column": "paid"})
    with pytest.raises(ConfigError, match=r"is divided by RANGE \(day\)"):
        shop.load()


@pytest.mark.parametrize("name", ["timestamp", "end"])
def test_a_column_may_be_named_like_a_keyword(shop: Shop, name: str) -> None:
    columns = {"order_id": {"data_type": "bigint"}, name: {"data_type": "date"}}
    shop.source = source(columns=columns, partition_by={"column": name})
    for number in (1, 2):
        shop.drop(f"{number}.csv", f"{number},2024-02-24\n", f"order_id,{name}\n")
        assert shop.outcomes() == [("loaded", "new")]
    assert places(shop) == {"2024_02": [1, 2]}


def test_rules_duplicates_and_filters_work_in_partitions(shop: Shop) -> None:
    columns = {
        "order_id": {"data_type": "bigint", "unique": True},
        "day": {"data_type": "date", "nullable": False, "minimum": date(2024, 1, 1)},
    }
    shop.source = source(columns=columns)
    shop.drop("a.csv", "1,2024-02-24\n1,2024-03-24\n2,\n3,2023-01-01\n4,2024-03-24\n", HEADER)
    shop.load()
    assert places(shop) == {"2024_02": [1], "2024_03": [4]}
    assert shop.query("select row_number, code from ops.rejected_rows order by 1") == [
        (2, "not_unique"),
        (3, "missing_value"),
        (4, "below_minimum"),
    ]
    shop.drop("b.csv", "7,2024-05-01\n8,2024-06-01\n", HEADER)
    load_source(
        shop.settings, shop.source, record_filter=RecordFilter("orders", "day", "2024-06-01")
    )
    assert places(shop) == {"2024_02": [1], "2024_03": [4], "2024_06": [8]}


def test_partition_by_is_checked() -> None:
    for keys, reason in (
        ({"partition_by": {"column": "order_id"}}, "order_id is bigint"),
        ({"partition_by": {"column": "other"}}, "other is no column"),
        ({"name": "o" * 52}, "51 characters"),
    ):
        with pytest.raises(ValueError, match=reason):
            source(**keys)
    assert source(name="o" * 51).partition_by is not None
