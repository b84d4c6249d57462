"""What an export may be called: a name that the source takes, and that nothing was delivered by."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.loading.reject_names import suggest_name
from sluice.registry import Source
from tests.loading.conftest import ORDERS


def suggested(*names: str, known: tuple[str, ...] = (), **keys: Any) -> str | None:
    source = Source.model_validate({**ORDERS.model_dump(), **keys})
    loads = list(enumerate(names, start=8 - len(names)))
    return suggest_name(source, loads, lambda name: name in (*names, *known))


@pytest.mark.parametrize(
    ("file", "glob", "name"),
    [
        ("a.csv", "*", "a.rejects-7.csv"),
        ("a.jsonl", "*", "a.rejects-7.csv"),
        ("a.jsonl", "*.jsonl", "a.rejects-7.jsonl"),
        ("a", "*", "a.rejects-7.csv"),
        ("orders_2026.01.xlsx", "orders_*.xlsx", "orders_2026.01.rejects-7.xlsx"),
        ("a.csv.gz", "*.csv.gz", "a.rejects-7.csv.gz"),
        ("a_orders.csv", "*_orders.csv", "rejects-7-a_orders.csv"),
        ("a_b.csv", "a_*b.csv", "a_rejects-7b.csv"),
        ("archive.zip!in/member.csv", "*.zip", "rejects-7.zip"),
        ("archive.zip!in/member.csv", "*", "member.rejects-7.csv"),
        (r"a\x21b\\c.csv", "*", r"a!b\c.rejects-7.csv"),
        (r"a\xff.csv", "*.csv", "rejects-7.csv"),
        ("x" * 250 + ".csv", "*", "rejects-7"),
        ("a.rejects-3.csv", "*", "a.rejects-7.csv"),
        ("a.rejects-3-2.csv", "*", "a.rejects-7.csv"),
        ("orders.csv", "orders.csv", None),
    ],
)
def test_it_says_whose_it_is(file: str, glob: str, name: str | None) -> None:
    assert suggested(file, file_glob=glob) == name


def test_it_is_new() -> None:
    known = ("a.rejects-7.csv", "a.rejects-7-2.csv")
    assert suggested("a.csv", known=known) == "a.rejects-7-3.csv"


def test_the_export_of_several_files_is_named_after_the_source() -> None:
    assert suggested("a.csv", "b.csv") == "orders.rejects-7.csv"


def test_it_says_what_the_files_name_says() -> None:
    columns = {
        **ORDERS.model_dump()["columns"],
        "site": {"data_type": "text", "from_file_name": r"^([a-z]+)_"},
    }
    assert suggested("shop_1.csv", columns=columns) == "shop_1.rejects-7.csv"
    # The mark is no part of what the name says.
    columns["site"]["from_file_name"] = r"(\d)\.csv$"
    assert suggested("shop_1.csv", columns=columns) == "rejects-7-shop_1.csv"
