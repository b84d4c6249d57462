"""Deliveries loaded again from where they are kept: what is meant, and what it changes."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from sluice.errors import ConfigError, RetriableError
from sluice.loading import SourceReport, load_source
from sluice.loading.kept import Selection
from sluice.loading.replay import find_deliveries, plan_of, replay
from sluice.loading.withdrawal import withdraw
from sluice.registry import Source
from sluice.registry.filters import RecordFilter
from sluice.warehouse import ledger
from sluice.warehouse.rejected_rows import rejected_files
from tests.loading.conftest import ORDERS, Shop

TODAY = datetime.now(UTC).date()
AMOUNT = {"data_type": "decimal", "precision": 12, "scale": 2}


def with_keys(**keys: Any) -> Source:
    return Source.model_validate({**ORDERS.model_dump(), **keys})


def with_amount(**keys: Any) -> Source:
    """The source with another rule for its amounts."""
    return with_keys(columns={**ORDERS.model_dump()["columns"], "amount": {**AMOUNT, **keys}})


def replayed(shop: Shop, *files: str, **days: Any) -> SourceReport:
    return replay(shop.settings, shop.source, Selection(files, **days))


def ends(report: SourceReport) -> list[tuple[str, str, str]]:
    return [(entry.file_name, entry.outcome, entry.delivery_kind) for entry in report.entries]


def test_what_is_in_bronze_is_judged_by_the_rules_of_today(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,30\n")
    shop.drop("b.csv", "3,cup,4\n")
    shop.load()
    stored = shop.stored()
    paths = shop.query("select file_name, stored_path from ops.loads order by load_id")
    shop.source = with_amount(maximum=10)

    assert ends(replayed(shop)) == [
        ("a.csv", "loaded", "same_again"),
        ("b.csv", "loaded", "same_again"),
    ]
    assert shop.rows() == [("a.csv", 1, 1, "ink"), ("b.csv", 1, 3, "cup")]
    assert shop.query("select file_name, row_number, code from ops.rejected_rows") == [
        ("a.csv", 2, "above_maximum")
    ]
    # No byte has moved, the ledger says where they are, and nothing is left to be done.
    assert shop.stored() == stored
    again = "select file_name, stored_path from ops.loads where load_id in"
    assert shop.query(f"{again} (select current_load_id from ops.files) order by 1") == paths
    assert shop.query("select count(*) from ops.loads where stored_at is null") == [(0,)]
    # The same file delivered once more is still the same.
    shop.drop("a.csv", "1,ink,2\n2,pen,30\n")
    assert shop.outcomes() == [("skipped", "same_again")]


def test_old_rows_stay_where_a_file_is_refused_now(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,30\n")
    shop.load()
    rows = shop.rows()
    shop.source = with_amount(maximum=1)

    assert ends(replayed(shop)) == [("a.csv", "rejected", "same_again")]
    assert shop.rows() == rows
    assert len(shop.stored()["archive"]) == 1
    shop.source = ORDERS
    assert ends(replayed(shop)) == [("a.csv", "loaded", "same_again")]


def test_what_was_rejected_is_loaded_once_the_registry_is_mended(shop: Shop) -> None:
    shop.source = with_amount(maximum=1)
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "2,pen,3\n")
    assert shop.outcomes() == [("rejected", "new"), ("rejected", "new")]
    shop.source = ORDERS
    shop.drop("b.csv", "2,pad,3\n")  # mended by its sender: the earlier one is no longer meant
    shop.load()
    stored = shop.stored()

    assert ends(replayed(shop)) == [
        ("a.csv", "loaded", "new"),
        ("b.csv", "loaded", "same_again"),
    ]
    assert shop.rows() == [("a.csv", 1, 1, "ink"), ("b.csv", 1, 2, "pad")]
    assert shop.stored() == stored


def test_a_rejected_correction_comes_after_what_it_corrects(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.source = with_amount(maximum=1)
    shop.drop("a.csv", "1,pen,3\n")
    assert shop.outcomes() == [("rejected", "correction")]
    shop.source = ORDERS

    assert ends(replayed(shop)) == [
        ("a.csv", "loaded", "same_again"),
        ("a.csv", "loaded", "correction"),
    ]
    assert shop.rows() == [("a.csv", 1, 1, "pen")]


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_a_rejected_file_waits_on_while_what_came_before_it_is_loaded_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, disposition: str
) -> None:
    name = "a.csv" if disposition == "append" else "b.csv"
    declared = with_keys(write_disposition=disposition)
    shop.source = declared
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.source = with_amount(maximum=1).model_copy(update={"write_disposition": disposition})
    shop.drop(name, "1,pen,3\n")
    rejected = shop.load().rejected[0].load_id
    shop.source = declared

    def cut_off(*_: Any) -> None:
        raise RetriableError("the warehouse went away")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "classify", cut_off)  # asked of those that are not in bronze
            with pytest.raises(RetriableError):
                replayed(shop)
    assert [product for *_, product in shop.rows()] == ["ink"]
    shown = rejected_files(shop.connection, "orders")
    assert [(each.load_id, each.rows_rejected) for each in shown] == [(rejected, 1)]
    assert [(of, outcome) for of, outcome, _ in ends(replayed(shop))] == [
        ("a.csv", "loaded"),
        (name, "loaded"),
    ]
    assert shop.query("select product from bronze.orders") == [("pen",)]
    assert rejected_files(shop.connection, "orders") == []
    assert len(replayed(shop).entries) == 1


def test_a_replay_that_mends_records_leaves_no_rejects(shop: Shop) -> None:
    shop.source = with_amount(maximum=10)
    shop.drop("a.csv", "1,ink,2\n2,pen,30\n")
    shop.load()
    assert [each.rows_rejected for each in rejected_files(shop.connection, "orders")] == [1]
    shop.source = ORDERS
    replayed(shop)
    assert rejected_files(shop.connection, "orders") == []


def test_what_has_come_under_another_name_by_now_is_skipped_visibly(shop: Shop) -> None:
    shop.source = with_amount(maximum=1)
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()
    shop.source = ORDERS
    shop.drop("b.csv", "1,ink,2\n")
    shop.load()
    stored = shop.stored()

    report = replayed(shop)
    assert ends(report) == [("a.csv", "skipped", "redelivery"), ("b.csv", "loaded", "same_again")]
    assert report.left == ()
    assert (len(shop.rows()), shop.stored()) == (1, stored)
    assert shop.query("select count(*) from ops.loads where stored_at is null") == [(0,)]
    assert ends(replayed(shop)) == [("b.csv", "loaded", "same_again")]


def test_files_and_days_say_which(shop: Shop) -> None:
    odd = "{{ 1 }}; drop table x.csv"
    for number, name in enumerate((odd, "b!.csv", b"\xff.csv")):
        shop.drop(name, f"{number},ink,2\n")
    shop.load()
    assert ends(replayed(shop, odd, "b!.csv")) == [
        ("b\\x21.csv", "loaded", "same_again"),
        (odd, "loaded", "same_again"),
    ]
    yesterday = TODAY - timedelta(days=1)
    found = find_deliveries(shop.settings, shop.source, Selection(first_day=yesterday))
    assert len(found) == 3
    with pytest.raises(ConfigError, match=f"can be loaded again until {yesterday}"):
        replayed(shop, last_day=yesterday)
    with pytest.raises(ConfigError, match=r"No delivery b\.csv of source orders") as error:
        replayed(shop, "b.csv")
    assert "Did you mean" in error.value.remedy
    with pytest.raises(ConfigError, match="is before the first"):
        Selection(first_day=TODAY, last_day=yesterday)


def test_what_was_withdrawn_comes_back_when_it_is_named(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "2,pen,2\n")
    shop.load()
    withdraw(shop.settings, shop.source, "a.csv")

    assert [name for name, _, _ in ends(replayed(shop))] == ["b.csv"]
    assert ends(replayed(shop, "a.csv")) == [("a.csv", "loaded", "new")]
    assert [name for name, _, _, _ in shop.rows()] == ["a.csv", "b.csv"]


def test_members_of_archives_are_read_in_their_archive(shop: Shop) -> None:
    shop.folder.mkdir(parents=True)
    with zipfile.ZipFile(shop.folder / "all.zip", "w") as archive:
        archive.writestr("one.csv", "order_id,product,amount\n1,ink,2\n")
        archive.writestr("two.csv", "order_id,product,amount\n2,pen,3\n")
    shop.load()
    stored = shop.stored()

    assert ends(replayed(shop, "all.zip!two.csv")) == [("all.zip!two.csv", "loaded", "same_again")]
    assert [product for *_, product in shop.rows()] == ["ink", "pen"]
    assert shop.stored() == stored
    assert shop.load().entries == ()


def test_parts_stay_parts(shop: Shop) -> None:
    shop.source = with_keys(on_changed_file="append")
    for product in ("ink", "pen"):
        shop.drop("a.csv", f"1,{product},2\n")
        shop.load()

    assert len(replayed(shop).entries) == 2
    assert [product for *_, product in shop.rows()] == ["ink", "pen"]
    assert shop.query("select part from ops.files where current_load_id is not null") == [
        (1,),
        (2,),
    ]


def parts(shop: Shop) -> list[tuple[Any, ...]]:
    """Part, product and file of what is in bronze."""
    return shop.query(
        "select part, product, loads.file_name from bronze.orders"
        " join ops.loads on load_id = _load_id join ops.files on current_load_id = load_id"
        " order by 1, 2"
    )


def test_every_part_of_a_withdrawn_file_comes_back_as_the_part_that_it_was(shop: Shop) -> None:
    shop.drop("a.csv", "1,old,2\n")
    shop.load()
    shop.drop("a.csv", "1,ink,2\n")  # takes the place of all before it
    shop.load()
    shop.source = with_keys(on_changed_file="append")
    for product in ("pen", "cup"):
        shop.drop("a.csv", f"1,{product},2\n")
        shop.load()
    replayed(shop)  # so that the loads' order tells nothing of the parts'
    before = parts(shop)
    assert [part for part, *_ in before] == [1, 2, 3]
    withdraw(shop.settings, shop.source, "a.csv")

    hidden = {path: path.with_name("hidden") for path in shop.settings.archive.rglob("a.csv")}
    for path, place in hidden.items():
        if "ink" in path.read_text():
            path.rename(place)
    assert [entry.outcome for entry in replayed(shop, "a.csv").entries] == ["loaded", "loaded"]
    assert parts(shop) == before[1:]
    for path, place in hidden.items():
        if place.exists():
            place.rename(path)
    report = replayed(shop, "a.csv")
    assert (len(report.entries), report.left) == (3, ())
    assert parts(shop) == before

    withdraw(shop.settings, shop.source, "a.csv")
    shop.drop("a.csv", "1,pad,2\n")  # delivered anew, what was withdrawn is not meant any more
    shop.load()
    assert len(replayed(shop, "a.csv").entries) == 1
    assert parts(shop) == [(1, "pad", "a.csv")]


def test_no_older_file_becomes_the_whole_truth(shop: Shop) -> None:
    shop.source = with_amount(maximum=1).model_copy(update={"write_disposition": "replace"})
    shop.drop("a.csv", "1,ink,2\n")
    assert shop.outcomes() == [("rejected", "new")]
    shop.source = with_keys(write_disposition="replace")
    for name in ("b.csv", "c.csv"):
        shop.drop(name, f"2,{name[0]},2\n")
        shop.load()

    assert ends(replayed(shop)) == [("c.csv", "loaded", "same_again")]
    assert [name for name, *_ in shop.rows()] == ["c.csv"]


def deliver_days(shop: Shop, *days: int) -> None:
    """Deliver a file of a replace source for each of some days, as if it had come on that day."""
    shop.source = with_keys(write_disposition="replace")
    for day in days:
        shop.drop(f"day{day}.csv", f"{day},of {day},2\n")
        (entry,) = shop.load().entries
        then = f"2026-01-0{day}"
        assert entry.stored_path
        moved = shop.settings.archive / entry.stored_path.split("/", 1)[1]
        path = entry.stored_path.replace(entry.stored_path.split("/")[2], then)
        kept = shop.settings.archive / path.split("/", 1)[1]
        kept.parent.mkdir(parents=True)
        moved.rename(kept)
        shop.connection.execute(
            "update ops.loads set stored_path = %s where load_id = %s", (path, entry.load_id)
        )


def truth(shop: Shop) -> list[str]:
    return [name for name, *_ in shop.rows()]


def test_an_older_file_that_is_named_becomes_the_whole_truth_again(shop: Shop) -> None:
    deliver_days(shop, 1, 2, 3)
    before = shop.query("select * from ops.loads order by load_id")
    found = find_deliveries(shop.settings, shop.source, Selection(("day1.csv",)))
    assert plan_of(shop.source, found) == (
        "orders: day1.csv, which came on 2026-01-01, becomes the whole truth: the rows of every"
        " other file leave bronze."
    )

    assert ends(replayed(shop, "day1.csv")) == [("day1.csv", "loaded", "redelivery")]
    assert truth(shop) == ["day1.csv"]
    # The ledger has grown by one entry, and nothing else of it has changed.
    loads = shop.query("select * from ops.loads order by load_id")
    assert loads[:-1] == before
    (newest,) = shop.query(
        "select replaces_load_id, duplicate_of_load_id, rows_replaced, stored_path from ops.loads"
        " order by load_id desc limit 1"
    )
    assert newest == (before[2][0], before[0][0], 1, before[0][loads_column(shop, "stored_path")])
    assert shop.query("select count(*) from ops.files where current_load_id is not null") == [(1,)]
    # From here on it is what a replay means, until something is said or delivered.
    assert ends(replayed(shop)) == [("day1.csv", "loaded", "same_again")]
    assert ends(replayed(shop, "day3.csv")) == [("day3.csv", "loaded", "redelivery")]
    shop.drop("day2.csv", "2,of 2,2\n")
    shop.load()
    assert truth(shop) == ["day2.csv"]


def loads_column(shop: Shop, name: str) -> int:
    description = shop.connection.execute("select * from ops.loads limit 0").description
    return [column.name for column in description or ()].index(name)


def test_when_the_truth_is_withdrawn_the_one_before_can_come_back(shop: Shop) -> None:
    deliver_days(shop, 1, 2, 3)
    withdraw(shop.settings, shop.source, "day3.csv")
    assert truth(shop) == []

    assert ends(replayed(shop)) == [("day2.csv", "loaded", "redelivery")]
    withdraw(shop.settings, shop.source, "day2.csv")
    assert ends(replayed(shop)) == [("day1.csv", "loaded", "redelivery")]
    # What was withdrawn comes back when it is named.
    assert ends(replayed(shop, "day3.csv")) == [("day3.csv", "loaded", "new")]
    assert truth(shop) == ["day3.csv"]
    withdraw(shop.settings, shop.source, "day3.csv")
    replayed(shop)
    withdraw(shop.settings, shop.source, "day1.csv")
    with pytest.raises(ConfigError, match="No delivery of source orders can be loaded again"):
        replayed(shop)


def test_days_say_which_truth(shop: Shop) -> None:
    deliver_days(shop, 1, 2, 4)
    assert ends(replayed(shop, last_day=date(2026, 1, 3))) == [("day2.csv", "loaded", "redelivery")]
    # A replay is no arrival: the newest of the days is still the newest.
    assert ends(replayed(shop, "day1.csv")) == [("day1.csv", "loaded", "redelivery")]
    assert ends(replayed(shop, last_day=date(2026, 1, 3)))[0][0] == "day2.csv"
    assert ends(replayed(shop, first_day=date(2026, 1, 2)))[0][0] == "day4.csv"
    assert ends(replayed(shop, last_day=date(2026, 1, 4))) == [("day4.csv", "loaded", "same_again")]
    with pytest.raises(ConfigError, match="can be loaded again until 2025-12-31"):
        replayed(shop, last_day=date(2025, 12, 31))


def test_earlier_bytes_of_one_name_are_said_by_their_day(shop: Shop) -> None:
    deliver_days(shop, 1)
    shop.drop("day1.csv", "1,corrected,2\n")
    shop.load()
    assert ends(replayed(shop, "day1.csv")) == [("day1.csv", "loaded", "same_again")]
    assert [product for *_, product in shop.rows()] == ["corrected"]

    report = replayed(shop, "day1.csv", last_day=date(2026, 1, 1))
    assert ends(report) == [("day1.csv", "loaded", "correction")]
    assert [product for *_, product in shop.rows()] == ["of 1"]


def test_what_was_rejected_can_be_named_as_the_truth(shop: Shop) -> None:
    shop.source = with_amount(maximum=1).model_copy(update={"write_disposition": "replace"})
    shop.drop("a.csv", "1,ink,2\n")
    assert shop.outcomes() == [("rejected", "new")]
    shop.source = with_keys(write_disposition="replace")
    shop.drop("b.csv", "2,pen,2\n")
    shop.load()
    shop.source = with_amount(maximum=1).model_copy(update={"write_disposition": "replace"})
    assert ends(replayed(shop, "a.csv")) == [("a.csv", "rejected", "new")]
    assert truth(shop) == ["b.csv"]
    shop.source = with_keys(write_disposition="replace")
    assert ends(replayed(shop, "a.csv")) == [("a.csv", "loaded", "new")]
    assert truth(shop) == ["a.csv"]


def test_one_truth_is_named_at_a_time(shop: Shop) -> None:
    deliver_days(shop, 1, 2)
    with pytest.raises(ConfigError, match="Only one file can be the whole truth"):
        replayed(shop, "day1.csv", "day2.csv")
    with pytest.raises(ConfigError, match=r"No delivery day9\.csv of source orders"):
        replayed(shop, "day9.csv")
    assert truth(shop) == ["day2.csv"]


def test_bytes_that_are_not_as_they_were_are_left_and_said(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n")
    shop.drop("b.csv", "2,pen,2\n")
    shop.load()
    rows, entries = shop.rows(), shop.query("select count(*) from ops.loads")
    (first,) = shop.settings.archive.rglob("a.csv")
    (second,) = shop.settings.archive.rglob("b.csv")
    first.unlink()
    second.write_text("order_id,product,amount\n2,pad,2\n")

    report = replayed(shop)
    assert report.entries == ()
    assert "a.csv is not there any more" in report.left[0]
    assert "holds other bytes than the ledger says" in report.left[1]
    assert (shop.rows(), shop.query("select count(*) from ops.loads")) == (rows, entries)


def test_bytes_that_were_not_kept_cannot_be_loaded_again(shop: Shop) -> None:
    shop.source = with_keys(after_load="delete")
    shop.drop("a.csv", "1,ink,2\n")
    shop.load()

    assert replayed(shop).left == ("a.csv: its bytes were not kept (after_load is delete)",)
    assert [name for name, *_ in shop.rows()] == ["a.csv"]


def test_of_a_file_of_which_a_part_is_loaded_the_same_part_is_loaded_again(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n3,ink,4\n")
    load_source(shop.settings, shop.source, record_filter=RecordFilter("orders", "product", "ink"))

    (entry,) = replayed(shop).entries
    assert (entry.rows_loaded, entry.rows_left_out, entry.filters) == (2, 1, ["product=ink"])
    assert [product for *_, product in shop.rows()] == ["ink", "ink"]
