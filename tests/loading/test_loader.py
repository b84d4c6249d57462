"""The four cases of a delivery, rejections, and the promises about rows and bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sluice.errors import ConfigError, RetriableError
from sluice.landing import content
from sluice.landing.content import DeliveryContent
from sluice.loading import attempt
from sluice.loading import loader as loader_module
from sluice.registry import Source
from sluice.warehouse.connections import source_lock_key
from tests.loading.conftest import HEADER, ORDERS, Shop


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_new_delivery_is_loaded_and_archived(shop: Shop) -> None:
    shop.drop("a.csv", '1,"ink, blue",2.50\n2,"say ""hi""\non two lines",\n3,,0\n')

    assert shop.outcomes() == [("loaded", "new")]
    assert shop.rows() == [
        ("a.csv", 1, 1, "ink, blue"),
        ("a.csv", 2, 2, 'say "hi"\non two lines'),
        ("a.csv", 3, 3, None),
    ]
    (path,) = shop.query("select stored_path from ops.loads where stored_at is not null")[0]
    assert path.startswith("archive/orders/")
    assert (shop.settings.archive.parent / path).read_text().startswith(HEADER)
    assert not list(shop.folder.iterdir())


def test_the_same_file_again_is_skipped_visibly(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.drop("a.csv", "1,ink,2\n")

    assert shop.outcomes() == [("skipped", "same_again")]
    assert len(shop.rows()) == 1
    assert shop.query("select outcome, delivery_kind from ops.loads order by load_id") == [
        ("loaded", "new"),
        ("skipped", "same_again"),
    ]


def test_a_correction_replaces_the_rows_of_its_file_only(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    shop.drop("b.csv", "9,cup,1\n")
    shop.load()
    shop.drop("a.csv", "1,ink,2\n2,pencil,3\n3,pad,1\n")

    assert shop.outcomes() == [("loaded", "correction")]
    assert shop.rows() == [
        ("a.csv", 1, 1, "ink"),
        ("a.csv", 2, 2, "pencil"),
        ("a.csv", 3, 3, "pad"),
        ("b.csv", 1, 9, "cup"),
    ]
    assert shop.query("select rows_loaded, rows_replaced from ops.loads order by load_id")[-1] == (
        3,
        2,
    )


def test_a_correction_of_equal_size_is_seen_by_its_bytes(shop: Shop) -> None:
    path = shop.drop("a.csv", "1,ink,2\n")
    times = path.stat()
    shop.load()
    os.utime(shop.drop("a.csv", "1,pen,2\n"), ns=(times.st_atime_ns, times.st_mtime_ns))

    assert shop.outcomes() == [("loaded", "correction")]
    assert shop.rows() == [("a.csv", 1, 1, "pen")]


def test_a_correction_back_to_earlier_bytes_is_a_correction(shop: Shop) -> None:
    for product in ("ink", "pen", "ink"):
        shop.drop("a.csv", f"1,{product},2\n")
        shop.load()
    assert shop.rows() == [("a.csv", 1, 1, "ink")]


def test_known_bytes_under_a_new_name_are_skipped(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.drop("copy of a.csv", "1,ink,2\n")

    assert shop.outcomes() == [("skipped", "redelivery")]
    assert len(shop.rows()) == 1
    # Even when a correction has taken their place since: they are known for ever.
    shop.drop("a.csv", "1,pen,2\n")
    shop.drop("old a.csv", "1,ink,2\n")
    assert shop.outcomes() == [("loaded", "correction"), ("skipped", "redelivery")]


def test_equal_bytes_in_one_run_are_loaded_once(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "1,ink,2\n")
    assert shop.outcomes() == [("loaded", "new"), ("skipped", "redelivery")]


@pytest.mark.parametrize(
    ("header", "rows", "code", "words"),
    [
        (HEADER, "x,ink,2\n", "wrong_type", "line 2): order_id: invalid input syntax"),
        (HEADER, "1,ink\n", "ragged_row", "line 2"),
        (HEADER, "1,ink,2,3\n", "ragged_row", "4 fields"),
        (HEADER, '1,"ink,2\n', "bad_quotes", "never closed"),
        (HEADER, "99999999999999999999,ink,2\n", "out_of_range", "out of range"),
        (HEADER, "1,ink,99999999999\n", "out_of_range", "numeric field overflow"),
        (HEADER, "1,in\0k,2\n", "nul_byte", "NUL"),
        (HEADER, ",ink,2\n", "missing_value", "order_id is missing"),
        (HEADER, "2,pen,-1\n3,,-2\n", "below_minimum", "None of the 2 records"),
        ("order_id,product\n", "1,ink\n", "missing_column", "'amount'"),
        ("order_id,product,amount,tax\n", "1,ink,2,3\n", "unknown_column", "'tax'"),
        ("order_id,product,product\n", "1,ink,2\n", "duplicate_column", "'product'"),
        ("", "", "no_header", "empty"),
    ],
)
def test_a_bad_delivery_is_rejected_whole_with_its_reason(
    shop: Shop, header: str, rows: str, code: str, words: str
) -> None:
    shop.drop("bad.csv", rows, header)
    shop.drop("good.csv", "5,cup,1\n")
    report = shop.load()

    assert [entry.outcome for entry in report.entries] == ["rejected", "loaded"]
    assert report.rejected[0].reject_code == code
    assert words in str(report.rejected[0].reject_reason)
    assert [row[0] for row in shop.rows()] == ["good.csv"]
    assert shop.stored()["rejected"] == [sha256(header + rows)]
    assert shop.stored()["landing"] == []


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("bigint", "NaN"),
        ("bigint", "-inf"),
        ("decimal", "NaN"),
        ("decimal", "-Infinity"),
        ("double", "nan"),
        ("double", "inf"),
        ("date", "infinity"),
        ("timestamp", "-infinity"),
    ],
)
def test_what_is_not_finite_is_rejected(shop: Shop, data_type: str, value: str) -> None:
    columns = {**ORDERS.model_dump()["columns"], "amount": {"data_type": data_type}}
    assert_not_finite(shop, columns, value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", " -inf "])
def test_what_is_not_finite_is_rejected_as_that_with_a_precision_too(
    shop: Shop, value: str
) -> None:
    assert_not_finite(shop, ORDERS.model_dump()["columns"], value)


def test_a_year_before_the_first_is_told_as_that(shop: Shop) -> None:
    columns = {**ORDERS.model_dump()["columns"], "amount": {"data_type": "date"}}
    shop.source = Source.model_validate({**ORDERS.model_dump(), "columns": columns})
    shop.drop("bad.csv", "1,ink,-0005-01-01\n")
    assert "'-0005-01-01' is before the year 1" in str(shop.load().rejected[0].reject_reason)


def assert_not_finite(shop: Shop, columns: dict[str, Any], value: str) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), "columns": columns})
    shop.drop("bad.csv", f"1,ink,{value}\n")
    assert shop.load().rejected[0].reject_code == "not_finite"


def test_a_file_that_two_sources_take_is_refused_by_both(shop: Shop) -> None:
    other = Source.model_validate(
        {**ORDERS.model_dump(), "name": "others", "path": "orders", "file_glob": "a*"}
    )
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "2,pen,2\n")
    report = loader_module.load_source(shop.settings, shop.source, [shop.source, other])
    assert [entry.file_name for entry in report.entries] == ["b.csv"]


def test_what_a_file_says_cannot_forge_lines_of_a_log(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.drop("a\n\x1b[31mFORGED.csv", '"x\n\x1b[2Jy",ink,2\n')
    shop.load()
    assert "FORGED" in caplog.text
    assert "\x1b" not in caplog.text
    assert not any(line.startswith("FORGED") for line in caplog.text.splitlines())
    assert "\x1b" not in str(shop.query("select reject_reason from ops.loads")[0][0])


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    ((load_id,),) = shop.query("select load_id from ops.loads")
    shop.connection.execute("update ops.loads set stored_at = null")
    for path in shop.settings.archive.rglob("a.csv"):
        path.unlink()
    os.mkfifo(shop.folder / f".sluice-{load_id}")
    shop.drop("b.csv", "2,pen,2\n")
    assert shop.outcomes() == [("loaded", "new")]


def test_bad_utf8_is_rejected(shop: Shop) -> None:
    path = shop.drop("bad.csv", "")
    path.write_bytes(HEADER.encode() + b"1,\xff\xfe,2\n")
    assert shop.load().rejected[0].reject_code == "bad_encoding"


def test_a_rejected_correction_leaves_the_rows_that_were_there(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.drop("a.csv", "x,ink,2\nx,,\n")

    assert shop.outcomes() == [("rejected", "correction")]
    assert shop.rows() == [("a.csv", 1, 1, "ink")]


def test_a_rejected_file_loads_once_the_registry_is_mended(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,-2\n")
    assert shop.outcomes() == [("rejected", "new")]
    columns = {**ORDERS.model_dump()["columns"], "amount": {"data_type": "decimal"}}
    shop.source = Source.model_validate({**ORDERS.model_dump(), "columns": columns})
    shop.connection.execute("drop table bronze.orders")
    shop.drop("a.csv", "1,ink,-2\n")
    assert shop.outcomes() == [("loaded", "new")]


@pytest.mark.parametrize(
    ("csv", "text"),
    [
        ({"delimiter": ";"}, "order_id;product;amount\n1;ink;2\n"),
        ({"quote": "'"}, "order_id,product,amount\n1,'a,b',2\n"),
        ({"escape": "\\"}, 'order_id,product,amount\n1,"a\\"b",2\n'),
        ({}, "\ufefforder_id,product,amount\r\n1,ink,2\r\n"),
        ({}, "amount,order_id,product\n2,1,ink\n"),
        ({}, "order_id,product,amount\n1,ink,2"),
    ],
)
def test_declared_dialects_and_orders_of_columns_load(
    shop: Shop, csv: dict[str, str], text: str
) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), "dialect": csv})
    shop.drop("a.csv", text, header="")
    assert shop.outcomes() == [("loaded", "new")]
    assert shop.query("select order_id, amount from bronze.orders") == [(1, 2)]


def test_latin_1_is_read_as_declared(shop: Shop) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), "encoding": "latin-1"})
    shop.drop("a.csv", "").write_bytes(HEADER.encode() + b"1,caf\xe9,2\n")
    shop.load()
    assert shop.query("select product from bronze.orders") == [("café",)]


def test_a_header_alone_is_a_delivery_without_rows(shop: Shop) -> None:
    shop.drop("a.csv", "")
    assert shop.outcomes() == [("loaded", "new")]
    assert shop.rows() == []


def test_row_numbers_start_at_one_for_every_file(shop: Shop) -> None:
    for name in ("a.csv", "b.csv"):
        shop.drop(name, "".join(f"{name == 'a.csv':d}{n},x,1\n" for n in range(2500)))
    shop.load()
    numbers = shop.query(
        "select _load_id, min(_source_row_number), max(_source_row_number),"
        " count(distinct _source_row_number) from bronze.orders group by 1"
    )
    assert [row[1:] for row in numbers] == [(1, 2500, 2500)] * 2


def test_a_column_that_the_registry_gains_is_added(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    columns = {**ORDERS.model_dump()["columns"], "paid": {"data_type": "bool"}}
    shop.source = Source.model_validate({**ORDERS.model_dump(), "columns": columns})
    shop.drop("b.csv", "2,pen,3,true\n", header="order_id,product,amount,paid\n")

    assert shop.outcomes() == [("loaded", "new")]
    assert shop.query("select order_id, paid from bronze.orders order by 1") == [
        (1, None),
        (2, True),
    ]


def test_a_changed_type_is_an_error_that_says_what_to_do(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    columns = {**ORDERS.model_dump()["columns"], "product": {"data_type": "bigint"}}
    shop.source = Source.model_validate({**ORDERS.model_dump(), "columns": columns})
    with pytest.raises(ConfigError) as error:
        shop.load()
    assert "alter table bronze.orders alter column product type bigint" in error.value.remedy


def test_a_file_that_changes_while_it_is_read_is_left_and_loads_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.drop("a.csv", "1,ink,2\n")
    chunks = DeliveryContent.chunks

    def growing(self: DeliveryContent) -> Iterator[bytes]:
        yield from chunks(self)
        with path.open("a") as file:
            file.write("2,pen,3\n")

    with monkeypatch.context() as patch:
        patch.setattr(content.DeliveryContent, "chunks", growing)
        report = shop.load()
    assert report.entries == ()
    assert "changed while it was read" in report.left[0]
    assert shop.query("select count(*) from ops.loads") == [(0,)]
    assert shop.outcomes() == [("loaded", "new")]
    assert len(shop.rows()) == 2


def test_a_new_file_put_in_place_before_the_move_is_a_delivery_of_its_own(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    store = loader_module.storing.store

    def late(*arguments: object) -> None:
        replacement = shop.drop(".new", "1,pen,3\n")
        replacement.rename(shop.folder / "a.csv")
        store(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(loader_module.storing, "store", late)
        assert shop.outcomes() == [("loaded", "new")]
    assert shop.outcomes() == [("loaded", "correction")]
    assert shop.rows() == [("a.csv", 1, 1, "pen")]


def test_a_new_file_taken_by_an_interrupted_move_is_given_back(shop: Shop) -> None:
    """Killed between the renaming and the look at what was renamed: the worst moment of all."""
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    ((load_id,),) = shop.query("select load_id from ops.loads")
    shop.connection.execute("update ops.loads set stored_at = null")
    for path in shop.settings.archive.rglob("a.csv"):
        path.unlink()
    shop.drop("a.csv", "1,pen,3\n").rename(shop.folder / f".sluice-{load_id}")

    assert shop.outcomes() == [("loaded", "correction")]
    assert shop.rows() == [("a.csv", 1, 1, "pen")]


def test_two_loaders_at_once_load_each_file_once(shop: Shop) -> None:
    for number in range(20):
        shop.drop(f"{number}.csv", f"{number},x,1\n" * 50)
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(shop.load())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(len(report.entries) for report in reports) == [0, 20]
    assert len(shop.rows()) == 1000


def test_a_busy_source_is_an_error_to_retry(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    impatient = shop.settings.model_copy(update={"lock_timeout_seconds": 1})
    shop.connection.execute("select pg_advisory_lock(%s)", (source_lock_key("orders"),))
    with pytest.raises(RetriableError, match="Another load of source orders"):
        loader_module.load_source(impatient, shop.source)
    assert shop.stored()["landing"]


def test_a_connection_that_is_cut_is_an_error_to_retry(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.drop("a.csv", "1,ink,2\n")

    def cut(connection: psycopg.Connection, *_: object, **__: object) -> None:
        pid = connection.info.backend_pid
        shop.connection.execute("select pg_terminate_backend(%s)", (pid,))
        connection.execute("select 1")

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "find_failures", cut)
        with pytest.raises(RetriableError, match="went away"):
            shop.load()
    assert shop.outcomes() == [("loaded", "new")]
    assert len(shop.rows()) == 1


def test_load_ids_go_on_above_those_of_a_restored_database(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.connection.execute("alter table ops.files drop constraint files_current_load_id_fkey")
    shop.connection.execute("update ops.files set current_load_id = 10 ^ 12")
    shop.connection.execute("update bronze.orders set _load_id = 10 ^ 12")
    shop.connection.execute("update ops.loads set load_id = 10 ^ 12")
    shop.drop("b.csv", "2,pen,3\n")
    shop.drop("c.csv", "3,pad,3\n")

    assert shop.outcomes() == [("loaded", "new")] * 2
    ids = shop.query("select distinct _load_id from bronze.orders order by 1")
    assert ids[0] == (10**12,)
    assert len(ids) == 3
    assert shop.query("select load_id from ops.loads order by 1") == ids


def test_file_content_and_names_are_data(shop: Shop) -> None:
    name = "'; drop table bronze.orders; --.csv"
    shop.drop(name, '1,"\'); drop schema ops cascade; --",2\n')
    assert shop.outcomes() == [("loaded", "new")]
    assert shop.rows() == [(name, 1, 1, "'); drop schema ops cascade; --")]


def test_a_deleted_after_load_source_keeps_no_file(shop: Shop) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), "after_load": "delete"})
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("bad.csv", "x,ink,2\n")
    shop.load()
    stored = shop.stored()
    assert (stored["landing"], stored["archive"], len(stored["rejected"])) == ([], [], 1)
