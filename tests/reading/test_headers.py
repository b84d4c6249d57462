"""Names in files, and the columns that they feed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.errors import DeliveryError
from sluice.reading.headers import (
    Header,
    Mapping,
    field_names,
    map_columns,
    read_header,
)
from sluice.registry import CsvDialect, Source
from tests.reading.csv_files import dialect_of
from tests.reading.readers import source_of

COLUMNS = {
    "order_id": {"data_type": "bigint", "nullable": False},
    "product": "text",
    "amount": "decimal",
}


def orders(**keys: Any) -> Source:
    return source_of("csv", COLUMNS, **keys)


def mapped(names: list[str], **keys: Any) -> Mapping:
    return map_columns(names, orders(**keys))


def refused(names: list[str], source: Source | None = None, **keys: Any) -> tuple[str, str | None]:
    with pytest.raises(DeliveryError) as raised:
        map_columns(names, source or orders(**keys))
    return raised.value.code, raised.value.column


def test_fields_feed_columns_by_name_in_any_order() -> None:
    assert mapped(["amount", "order_id", "product"]) == Mapping(
        columns=("amount", "order_id", "product"), positions=(0, 1, 2)
    )


def test_from_names_the_field() -> None:
    columns = {"order_id": {"data_type": "bigint", "from": "Bestellung Nr."}, "product": "text"}
    source = source_of("csv", columns)
    assert map_columns(["product", "Bestellung Nr."], source).columns == ("product", "order_id")
    assert refused(["product", "order_id"], source) == ("missing_column", "order_id")
    assert field_names(source) == ("Bestellung Nr.", "product")
    for names in (field_names(source), tuple(source.columns)):
        assert map_columns(names, source) == Mapping(("order_id", "product"), (0, 1))


def test_snake_case_where_the_registry_says_so() -> None:
    names = ["Order ID", "product", "AMOUNT"]
    assert mapped(names, column_names="snake_case").columns == ("order_id", "product", "amount")
    assert refused(names) == ("missing_column", "order_id")
    both = ["Order ID", "order_id", "product", "amount"]
    assert refused(both, column_names="snake_case") == ("duplicate_column", "order_id")


@pytest.mark.parametrize("contract", ["freeze", "evolve", "discard_value", "discard_row"])
def test_a_name_stands_only_once(contract: str) -> None:
    names = ["order_id", "product", "amount", "x", "x"]
    assert refused(names, schema_contract=contract) == ("duplicate_column", "x")


def test_missing_columns() -> None:
    assert refused(["order_id", "product"]) == ("missing_column", "amount")
    left_out = mapped(["product", "order_id"], schema_contract="evolve")
    assert left_out == Mapping(("product", "order_id"), (0, 1), missing=("amount",))
    assert refused(["product", "amount"], schema_contract="evolve") == (
        "missing_column",
        "order_id",
    )


def test_a_header_of_which_nothing_is_known_is_not_all_missing() -> None:
    source = source_of("csv", {"product": "text", "amount": "decimal"}, schema_contract="evolve")
    assert refused(["article", "price"], source) == ("missing_column", "product")
    assert map_columns(["article", "amount"], source).missing == ("product",)


def test_what_the_file_name_gives_is_not_expected_in_a_header() -> None:
    columns = {"day": {"data_type": "date", "from_file_name": "(.*)[.]csv"}}
    source = source_of("csv", columns, schema_contract="evolve")
    assert map_columns(["a", "b"], source).missing == ("day",)
    source = source_of("csv", {**columns, "product": "text"}, schema_contract="evolve")
    assert refused(["a", "b"], source) == ("missing_column", "product")


def remedy(name: str, source: Source) -> str:
    with pytest.raises(DeliveryError) as refusal:
        map_columns([name], source)
    return refusal.value.remedy


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_named(delimiter: str) -> None:
    header = delimiter.join(["order_id", "product"])
    named = f"dialect: {{delimiter: {json.dumps(delimiter)}}}"
    columns = {"order_id": "bigint", "product": "text"}
    assert named in remedy(header, source_of("csv", columns))
    spelled = source_of("csv", columns, column_names="snake_case")
    assert named in remedy(delimiter.join(["Order ID", "Product"]), spelled)
    assert "dialect" not in remedy(header, source_of("jsonl", columns))
    assert "dialect" not in remedy("order_id and product", source_of("csv", columns))


def test_a_line_that_is_quoted_as_a_whole_is_told_as_that() -> None:
    source = source_of("csv", {"order_id": "bigint", "product": "text"})
    assert "quoted as a whole" in remedy("order_id,product", source)


KNOWN = ["order_id", "product", "amount"]


def test_new_columns() -> None:
    names = ["Net Price", *KNOWN, ""]
    assert refused(names) == ("unknown_column", "Net Price")
    evolved = mapped(names, schema_contract="evolve")
    assert evolved.new == ((0, "net_price"), (4, "column_5"))
    assert evolved.columns == tuple(KNOWN)
    assert evolved.positions == (1, 2, 3)
    rescued = mapped(names, schema_contract="discard_value")
    assert rescued.rescued == ((0, "Net Price"), (4, "column_5"))
    forbidden = mapped(names, schema_contract="discard_row")
    assert forbidden.forbidden == ((0, "Net Price"), (4, "column_5"))
    assert not any(one.is_plain for one in (evolved, rescued, forbidden))
    assert mapped(KNOWN).is_plain


@pytest.mark.parametrize(
    "names", [[*KNOWN, "Amount"], [*KNOWN, "Net", "net"], [*KNOWN, "net ", "net"]]
)
def test_a_new_column_does_not_get_the_name_of_another(names: list[str]) -> None:
    assert refused(names, schema_contract="evolve")[0] == "duplicate_column"


@pytest.mark.parametrize("name", ["ctid", "xmin"])
def test_a_new_column_is_no_system_column(name: str) -> None:
    assert mapped([*KNOWN, name], schema_contract="evolve").new == ((3, f"column_{name}"),)


@pytest.mark.parametrize(
    ("head", "keys", "header"),
    [
        (b"a,b\n1,2\n", {}, Header(("a", "b"), 4, 1, "\n")),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", {}, Header(("a", "b"), 8, 1, "\r\n")),
        (b'"a\n1","b ""2"""\r1,2\r', {}, Header(("a\n1", 'b "2"'), 16, 2, "\r")),
        (b"a,b", {}, Header(("a", "b"), 3, 0, "")),
        (
            b"x\n\n#y\na;b\n1;2\n",
            {"skip_lines": 2, "comment": "#", "delimiter": ";"},
            Header(("a", "b"), 10, 4, "\n"),
        ),
        (b"x\n1,2\n", {"skip_lines": 1, "header": False}, Header((), 2, 1, "")),
        (b"a,b,\n", {"trailing_delimiter": True}, Header(("a", "b"), 5, 1, "\n")),
    ],
)
def test_a_header(head: bytes, keys: dict[str, Any], header: Header) -> None:
    assert read_header(head, dialect_of(**keys), "utf-8", is_whole_file=True) == header


def test_a_header_must_end_within_the_head() -> None:
    for head in (b"a,b", b'"a\n', b"", b"a\r"):
        with pytest.raises(DeliveryError) as raised:
            read_header(head, dialect_of(), "utf-8", is_whole_file=False)
        assert raised.value.code == "no_header"
    with pytest.raises(DeliveryError, match="3 lines"):
        read_header(
            b"x\ny\nz", dialect_of(skip_lines=3, header=False), "utf-8", is_whole_file=False
        )


def test_a_nul_byte_in_the_header_refuses_the_file() -> None:
    with pytest.raises(DeliveryError, match="NUL byte") as caught:
        read_header(b"a,\0\n1,2\n", dialect_of(), "utf-8", is_whole_file=True)
    assert caught.value.code == "nul_byte"


@pytest.mark.parametrize("header", [" ", ",,", '""', ' ,"  "'])
def test_a_header_of_nothing_but_spaces_is_none(header: str) -> None:
    with pytest.raises(DeliveryError, match="names no column") as caught:
        read_header(f"{header}\n1,2\n".encode(), dialect_of(), "utf-8", is_whole_file=True)
    assert caught.value.code == "no_header"


@pytest.mark.parametrize(
    ("text", "count"), [("a,b\n1,2\n", 2), ("a,b\n1,2", 2), ("x\n" * 9, 9), ("a\r\nb\r\n", 2)]
)
def test_a_file_that_ends_within_the_lines_to_pass_over_says_how_many_it_has(
    text: str, count: int
) -> None:
    dialect = CsvDialect(delimiter=",", skip_lines=9)
    with pytest.raises(
        DeliveryError, match=f"only {count} lines, and skip_lines passes over 9"
    ) as caught:
        read_header(text.encode(), dialect, "utf-8", is_whole_file=True)
    assert caught.value.code == "no_header"
