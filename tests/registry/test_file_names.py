"""What a source takes from the names of its files."""

from __future__ import annotations

import pytest

from sluice.registry.delivery_names import ledger_name, member_name
from sluice.registry.file_names import say_the_same, values_in_name
from tests.reading.readers import source_of


def value(pattern: str, name: str) -> str | None:
    source = source_of("csv", {"taken": {"data_type": "text", "from_file_name": pattern}})
    return values_in_name(source, name)["taken"]


@pytest.mark.parametrize(
    ("archive", "member", "day"),
    [
        ("dump_20240101.zip", "x_20250101.csv", "20250101"),
        ("dump_20240101.zip", "x.csv", "20240101"),
        ("dump.zip", "2025_20250101/x.csv", "20250101"),
        ("dump.zip", "x.csv", None),
    ],
)
def test_a_member_is_asked_before_its_archive(archive: str, member: str, day: str | None) -> None:
    assert value(r"_(\d{8})", member_name(ledger_name(archive), member)) == day


def test_equal_members_of_two_days_are_two_deliveries() -> None:
    source = source_of("csv", {"day": {"data_type": "date", "from_file_name": r"_(\d{8})"}})
    names = [f"dump_20240101.zip!x_2025010{day}.csv" for day in (1, 2)]
    assert not say_the_same(source, *names, None, None)


@pytest.mark.parametrize("name", ["x!y", r"x\y", "x y", "ä"])
def test_a_value_is_what_the_name_says(name: str) -> None:
    assert value("(.*)[.]csv", ledger_name(f"{name}.csv")) == name
    assert value("(.*)[.]csv", member_name("a.zip", f"{name}.csv")) == name


def test_what_is_no_text_is_written_as_the_ledger_writes_it() -> None:
    assert value("(.*)[.]csv", ledger_name("a\udcff.csv")) == r"a\xff"
    assert value("(.*)[.]csv", member_name("a.zip", "a\0.csv")) == r"a\x00"


def test_a_group_that_is_not_there_gives_nothing() -> None:
    assert value(r"x(\d)?", "a1x1.zip!x.csv") == "1"
