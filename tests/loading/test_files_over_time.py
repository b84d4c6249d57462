"""What becomes of a file's rows when more arrives: policies, replacement, withdrawal."""

from __future__ import annotations

import os
from typing import Any

import pytest

from sluice.errors import ConfigError
from sluice.loading.withdrawal import find_file, withdraw
from sluice.registry import Source
from tests.loading.conftest import ORDERS, Shop


def with_keys(**keys: Any) -> Source:
    return Source.model_validate({**ORDERS.model_dump(), **keys})


def drop_all(shop: Shop, *contents: tuple[str, str]) -> list[tuple[str, str]]:
    """Deliver one after the other; how each ended."""
    ends = []
    for name, product in contents:
        shop.drop(name, f"1,{product},2\n")
        ends += shop.outcomes()
    return ends


def products(shop: Shop) -> list[tuple[str, str]]:
    return [(name, product) for name, _, _, product in shop.rows()]


def current(shop: Shop) -> list[tuple[str, int]]:
    """The files that have rows, by the ledger, and the part."""
    return shop.query(  # type: ignore[return-value]
        "select file_name, part from ops.files where current_load_id is not null order by 1, 2"
    )


def test_changed_files_are_appended_where_the_source_says_so(shop: Shop) -> None:
    shop.source = with_keys(on_changed_file="append")
    ends = drop_all(shop, ("a", "ink"), ("a", "pen"), ("a", "ink"), ("a", "pen"), ("a", "pad"))
    assert ends == [
        ("loaded", "new"),
        ("loaded", "correction"),
        ("skipped", "same_again"),
        ("skipped", "same_again"),
        ("loaded", "correction"),
    ]
    assert sorted(products(shop)) == [("a", "ink"), ("a", "pad"), ("a", "pen")]
    assert current(shop) == [("a", 1), ("a", 2), ("a", 3)]
    # Said otherwise, the next change takes the place of all of them.
    shop.source = ORDERS
    assert drop_all(shop, ("a", "cup")) == [("loaded", "correction")]
    assert products(shop) == [("a", "cup")]
    assert current(shop) == [("a", 1)]
    assert shop.query("select max(rows_replaced) from ops.loads") == [(3,)]


def test_changed_files_are_rejected_where_the_source_says_so(shop: Shop) -> None:
    shop.source = with_keys(on_changed_file="fail")
    assert drop_all(shop, ("a", "ink"), ("a", "pen"), ("a", "ink")) == [
        ("loaded", "new"),
        ("rejected", "correction"),
        ("skipped", "same_again"),
    ]
    assert products(shop) == [("a", "ink")]
    assert shop.query("select reject_code from ops.loads where outcome = 'rejected'") == [
        ("changed_file",)
    ]
    assert len(shop.stored()["rejected"]) == 1


DAY = {"day": {"data_type": "date", "from_file_name": r"(\d{4}-\d{2}-\d{2})"}}
MARCH_6, COPY, MARCH_7 = "2024-03-06.csv", "2024-03-06 (1).csv", "2024-03-07.csv"


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_equal_bytes_are_another_delivery_where_the_name_says_something_else(
    shop: Shop, disposition: str
) -> None:
    shop.source = with_keys(
        columns={**ORDERS.model_dump()["columns"], **DAY}, write_disposition=disposition
    )
    named = ((MARCH_6, "ink"), (COPY, "ink"), (MARCH_7, "ink"), (MARCH_7, "ink"))
    assert drop_all(shop, *named) == [
        ("loaded", "new"),
        ("skipped", "redelivery"),
        ("loaded", "new"),
        ("skipped", "same_again"),
    ]
    days = [day for (day,) in shop.query("select day::text from bronze.orders order by 1")]
    assert days == ["2024-03-06", "2024-03-07"][-2 if disposition == "append" else -1 :]


def test_what_names_say_is_asked_of_the_registry_as_it_is_now(shop: Shop) -> None:
    """Also of files from before a column was taken from the name, or after it was no longer."""
    assert drop_all(shop, (MARCH_6, "ink"))[0] == ("loaded", "new")
    shop.source = with_keys(columns={**ORDERS.model_dump()["columns"], **DAY})
    assert drop_all(shop, (COPY, "ink"), (MARCH_7, "ink")) == [
        ("skipped", "redelivery"),
        ("loaded", "new"),
    ]
    shop.source = with_keys()
    assert drop_all(shop, ("2024-03-08.csv", "ink")) == [("skipped", "redelivery")]


@pytest.mark.parametrize(
    ("line", "outcome"), [("1,ink,2,2024-03-01", "skipped"), ("1,ink,2,", "loaded")]
)
def test_a_name_counts_as_far_as_the_records_need_it(shop: Shop, line: str, outcome: str) -> None:
    shop.source = with_keys(columns={**ORDERS.model_dump()["columns"], **DAY})
    for name in (MARCH_6, MARCH_7):
        shop.drop(name, f"{line}\n", header="order_id,product,amount,day\n")
    assert [entry.outcome for entry in shop.load().entries] == ["loaded", outcome]


@pytest.mark.parametrize(
    ("policy", "end", "names"), [("load", "loaded", ["a", "b"]), ("fail", "rejected", ["a"])]
)
def test_known_bytes_under_a_new_name(shop: Shop, policy: str, end: str, names: list[str]) -> None:
    shop.source = with_keys(on_duplicate_file=policy)
    assert drop_all(shop, ("a", "ink"), ("b", "ink")) == [("loaded", "new"), (end, "redelivery")]
    assert [name for name, _ in products(shop)] == names
    assert drop_all(shop, ("a", "ink")) == [("skipped", "same_again")]


def test_the_newest_delivery_is_the_whole_truth(shop: Shop) -> None:
    shop.source = with_keys(write_disposition="replace")
    ends = drop_all(
        shop,
        ("monday", "ink"),
        ("tuesday", "pen"),
        ("tuesday", "pen"),
        ("copy of tuesday", "pen"),
        ("monday", "ink"),
        ("wednesday", "pen"),
    )
    assert ends == [
        ("loaded", "new"),
        ("loaded", "new"),
        ("skipped", "same_again"),
        ("skipped", "redelivery"),
        ("loaded", "redelivery"),
        ("loaded", "redelivery"),
    ]
    assert products(shop) == [("wednesday", "pen")]
    assert current(shop) == [("wednesday", 1)]
    replaced = shop.query("select rows_replaced from ops.loads where outcome = 'loaded' order by 1")
    assert replaced == [(0,), (1,), (1,), (1,)]


def test_of_several_waiting_files_the_last_written_is_the_truth(shop: Shop) -> None:
    shop.source = with_keys(write_disposition="replace")
    for age, (name, product) in enumerate([("b", "old"), ("c", "older"), ("a", "newest")]):
        path = shop.drop(name, f"1,{product},2\n")
        moment = 1_700_000_000 - age * 10 if name != "a" else 1_800_000_000
        os.utime(path, (moment, moment))
    assert [entry.file_name for entry in shop.load().entries] == ["c", "b", "a"]
    assert products(shop) == [("a", "newest")]


def test_a_rejected_truth_leaves_the_one_before(shop: Shop) -> None:
    shop.source = with_keys(write_disposition="replace", max_row_errors=0)
    drop_all(shop, ("monday", "ink"))
    shop.drop("tuesday", "x,pen,2\n")
    assert shop.outcomes() == [("rejected", "new")]
    assert products(shop) == [("monday", "ink")]


def test_a_source_that_becomes_one_of_whole_truths_drops_all_files_before(shop: Shop) -> None:
    drop_all(shop, ("a", "ink"), ("b", "pen"))
    shop.source = with_keys(write_disposition="replace")
    # The same file again is now more than the same: the others have to go.
    assert drop_all(shop, ("a", "ink")) == [("loaded", "correction")]
    assert products(shop) == [("a", "ink")]
    assert current(shop) == [("a", 1)]


def test_a_withdrawn_file_is_out_of_bronze_and_in_the_archive(shop: Shop) -> None:
    drop_all(shop, ("a", "ink"), ("b", "pen"))
    archive = shop.stored()["archive"]
    entry = withdraw(shop.settings, shop.source, "a")

    assert (entry.outcome, entry.delivery_kind, entry.rows_replaced) == (
        "withdrawn",
        "withdrawal",
        1,
    )
    assert products(shop) == [("b", "pen")]
    assert current(shop) == [("b", 1)]
    assert shop.stored()["archive"] == archive
    assert shop.query(
        "select replaces_load_id, stored_at is null from ops.loads where outcome = 'withdrawn'"
    ) == [(shop.query("select min(load_id) from ops.loads")[0][0], False)]
    shop.load()  # nothing is left to be moved


@pytest.mark.parametrize("name", ["a", "the right name"])
def test_a_withdrawn_file_delivered_again_is_new(shop: Shop, name: str) -> None:
    drop_all(shop, ("a", "ink"), ("a", "pen"))
    withdraw(shop.settings, shop.source, "a")
    assert drop_all(shop, (name, "ink")) == [("loaded", "new")]
    assert products(shop) == [(name, "ink")]
    assert drop_all(shop, ("another", "ink")) == [("skipped", "redelivery")]


def test_a_withdrawal_takes_out_every_part_of_a_file(shop: Shop) -> None:
    shop.source = with_keys(on_changed_file="append")
    drop_all(shop, ("a", "ink"), ("a", "pen"))
    assert withdraw(shop.settings, shop.source, "a").rows_replaced == 2
    assert shop.rows() == []
    assert current(shop) == []


def test_a_withdrawal_takes_out_what_it_was_asked_for_on(shop: Shop) -> None:
    drop_all(shop, ("a", "ink"))
    seen = find_file(shop.settings, shop.source, "a").newest_load_id
    drop_all(shop, ("a", "pen"))
    newest = find_file(shop.settings, shop.source, "a").newest_load_id
    with pytest.raises(ConfigError) as error:
        withdraw(shop.settings, shop.source, "a", load_id=seen)
    assert f"are of load {newest}, and the withdrawal was asked for on load {seen}" in str(
        error.value
    )
    assert products(shop) == [("a", "pen")]
    assert withdraw(shop.settings, shop.source, "a", load_id=newest).rows_replaced == 1


def test_a_name_is_found_as_the_sender_wrote_it(shop: Shop) -> None:
    shop.drop(b"a\\b \xff.csv", "1,ink,2\n")
    shop.load()
    assert find_file(shop.settings, shop.source, os.fsdecode(b"a\\b \xff.csv")).rows == 1
    assert withdraw(shop.settings, shop.source, "a\\\\b \\xff.csv").rows_replaced == 1


def test_what_cannot_be_withdrawn_says_why(shop: Shop) -> None:
    shop.source = with_keys(max_row_errors=0)
    drop_all(shop, ("2026-06.csv", "ink"), ("copy", "ink"))
    shop.drop("bad", "x,y,z\n")
    shop.load()
    withdraw(shop.settings, shop.source, "2026-06.csv")
    before = shop.query("select count(*) from ops.loads")
    for name, words in (
        ("2025-06.csv", "No file 2025-06.csv of source orders was ever delivered"),
        ("2025-06.csv", "Did you mean 2026-06.csv?"),
        ("2026-06.csv", "withdrew it already"),
        ("copy", "its bytes are those of 2026-06.csv"),
        ("bad", "it was rejected"),
    ):
        with pytest.raises(ConfigError) as error:
            withdraw(shop.settings, shop.source, name)
        assert words in str(error.value)
    assert shop.query("select count(*) from ops.loads") == before
