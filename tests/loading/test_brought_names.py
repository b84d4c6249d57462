"""Columns that deliveries bring: each holds what one name in the files stands for, over time."""

from __future__ import annotations

import pytest

from sluice.registry import Source
from tests.loading.conftest import HEADER, ORDERS, Shop


def evolving(shop: Shop, **keys: object) -> None:
    shop.source = Source.model_validate(
        {**ORDERS.model_dump(), "schema_contract": {"new_columns": "evolve"}, **keys}
    )


def bring(shop: Shop, *names: str) -> list[str]:
    """Deliver a file for each name; how each ended."""
    ends = []
    for number, name in enumerate(names, start=1):
        header = f"{HEADER.strip()},{name}\n"
        shop.drop(f"{number}.csv", f"{number},ink,1,of {name}\n", header=header)
        ends += [entry.reject_code or entry.outcome for entry in shop.load().entries]
    return ends


def new_columns(shop: Shop) -> list[str]:
    query = """
        select attname from pg_attribute where attrelid = 'bronze.orders'::regclass
        and attnum > 5 and not attisdropped order by attnum
    """
    return [name for (name,) in shop.query(query)]


@pytest.mark.parametrize(
    "names", [("Имя", "Город"), ("価格", "数量"), ("Größe", "Grüße"), ("é", "è"), ("ราคา", "ราค")]
)
@pytest.mark.parametrize("dialect", [{}, "auto"])
def test_names_of_other_letters_are_other_columns(
    shop: Shop, names: tuple[str, str], dialect: object
) -> None:
    evolving(shop, dialect=dialect)
    assert bring(shop, *names) == ["loaded", "loaded"]
    one, other = new_columns(shop)
    assert (one, other) == (names[0].lower(), names[1].lower())
    query = f'select "{one}", "{other}" from bronze.orders order by order_id'
    assert shop.query(query) == [(f"of {names[0]}", None), (None, f"of {names[1]}")]


def test_names_of_nothing_but_signs_are_other_columns(shop: Shop) -> None:
    evolving(shop)
    assert bring(shop, "-", "%", "x", "€") == ["loaded"] * 4
    assert len(new_columns(shop)) == 4


@pytest.mark.parametrize(
    "names", [("Foo Bar", "foo_bar", "FooBar"), ("Net (EUR)", "net [eur]"), ("É", "e\u0301")]
)
def test_names_that_are_spelled_alike_are_one_column(shop: Shop, names: tuple[str, ...]) -> None:
    evolving(shop)
    assert bring(shop, *names) == ["loaded"] * len(names)
    assert len(new_columns(shop)) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("Sales ($)", "Sales (%)"),
        ("Tax", "Ta."),
        ("a+b", "axb"),
        ("", "Column 4"),
        ("1", "column1"),
    ],
)
def test_names_that_only_signs_tell_apart_do_not_share_a_column(
    shop: Shop, names: tuple[str, str]
) -> None:
    evolving(shop)
    ends = bring(shop, *names)
    (last,) = shop.query("select reject_reason from ops.loads order by load_id desc limit 1")[0]
    if len(new_columns(shop)) == 1:
        assert ends == ["loaded", "duplicate_column"]
        assert repr(names[0]) in last
        assert repr(names[1]) in last
        assert "`from`" in last
    else:
        assert ends == ["loaded", "loaded"]


def test_a_column_that_was_there_before_is_taken_as_it_is(shop: Shop) -> None:
    evolving(shop)
    bring(shop, "Sales ($)")
    shop.connection.execute("comment on column bronze.orders.salesx is 'Ours.'")
    assert bring(shop, "Sales (%)") == ["loaded"]
    shop.connection.execute("comment on column bronze.orders.salesx is null")
    assert bring(shop, "Sales (€)", "Sales ($)") == ["loaded", "duplicate_column"]
