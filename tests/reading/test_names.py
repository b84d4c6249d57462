"""Names in files as names of columns."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading.headers import map_columns
from sluice.reading.names import SPOKEN, column_name, snake_case, spelling
from sluice.registry.models import SYSTEM_COLUMNS
from tests.reading.readers import source_of

WORDS = st.text(st.characters(categories=["L", "M", "Nd"]), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("order_id", "order_id"),
        ("OrderID", "order_id"),
        ("orderId", "order_id"),
        ("Order ID", "order_id"),
        ("  Order - Id ", "order_id"),
        ("order.id", "order_id"),
        ("HTTPServer", "http_server"),
        ("a__b", "a_b"),
        ("Net (EUR)", "net_eurx"),
        ("Sales ($)", "salesx"),
        ("1st", "_1st"),
        ("a+b*c@d|e", "axbxcadle"),
        ("", ""),
    ],
)
def test_snake_case_is_dlts(name: str, normalised: str) -> None:
    assert snake_case(name) == normalised
    assert snake_case(snake_case(name)) == snake_case(name)


@given(st.text(st.characters(max_codepoint=126), max_size=20))
def test_snake_case_of_ascii_is_dlts(name: str) -> None:
    words = re.sub(r"[^a-zA-Z0-9_]+", "_", name.strip().translate(SPOKEN))
    words = re.sub(r"([^_])([A-Z][a-z]+)", r"\1_\2", words)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()
    words = "_" + words if words[:1].isdigit() else words
    stripped = words.rstrip("_")
    dlts = re.sub(r"_+", "_", stripped + "x" * (len(words) - len(stripped)))
    assert snake_case(name) == (dlts if any(map(str.isalnum, name)) else "")


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("Größe (cm)", "größe_cmx"),
        ("été", "été"),
        ("e\u0301te\u0301", "été"),
        ("Имя клиента", "имя_клиента"),
        ("価格", "価格"),
        ("ราคา", "ราคา"),
        ("मूल्य", "मूल्य"),
        ("m²", "m²"),
        ("-", ""),
        ("%", ""),
        ("+", ""),
        ("|", ""),
        ("€", ""),
    ],
)
def test_unlike_dlts_it_keeps_every_script_and_makes_no_letters_of_signs(
    name: str, normalised: str
) -> None:
    assert snake_case(name) == normalised
    assert snake_case(normalised) == normalised


@given(st.text(max_size=80))
def test_snake_case_is_the_same_again(name: str) -> None:
    assert snake_case(snake_case(name)) == snake_case(name)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_a_new_column_can_be_one_of_a_table(name: str) -> None:
    column = column_name(name)
    assert column[0].isalpha()
    assert len(column.encode()) <= 63
    assert column not in SYSTEM_COLUMNS
    assert column == column.lower()
    assert unicodedata.is_normalized("NFC", column)


@given(st.lists(WORDS, unique_by=spelling, min_size=2, max_size=4))
def test_names_of_other_letters_are_other_columns(names: list[str]) -> None:
    assert len({column_name(name) for name in names}) == len(names)


def test_names_that_differ_in_their_end_only_are_other_columns() -> None:
    long = "価" * 40
    names = [long + end for end in ("a", "b", "")]
    assert len({column_name(name) for name in names}) == 3
    assert all(column_name(name).startswith("価" * 18 + "_") for name in names)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("Foo Bar", "foo_bar", True),
        ("FooBar", "foo-bar", True),
        ("Net (EUR)", "net [eur]", True),
        ("Größe", "GRÖßE", True),
        ("e\u0301", "É", True),
        ("Sales ($)", "Sales (%)", False),
        ("Tax", "Ta.", False),
        ("a+b", "axb", False),
        ("Größe", "Grüße", False),
        ("-", "%", False),
        ("", "column 5", False),
    ],
)
def test_what_is_spelled_alike_is_one_column(one: str, other: str, is_one: bool) -> None:
    assert (spelling(one) == spelling(other)) is is_one


def test_a_declared_column_is_fed_by_no_other_letters_and_by_no_signs() -> None:
    columns = {"id": "bigint", "x": "text", "gr_e": "text"}
    contract = {"missing_columns": "evolve", "new_columns": "discard_value"}
    source = source_of("csv", columns, column_names="snake_case", schema_contract=contract)
    for name in ("Имя", "-", "%", "é", "Größe", "+"):
        assert map_columns(["ID", name], source).columns == ("id",)
    assert map_columns(["ID", " X"], source).columns == ("id", "x")
