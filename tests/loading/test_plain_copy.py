"""Plain values: read by Arrow, they are the values that PostgreSQL reads, and follow its rules."""

from __future__ import annotations

import io
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.loading import copying
from sluice.loading.checks import find_failures
from sluice.loading.table import ensure_table
from sluice.reading.headers import Header
from sluice.registry import Source
from tests.properties import tried

Rows = list[tuple[Any, ...]]

NO_HEADER = Header((), 0, 0, "")

# Values of each type, and of none: what stands in them is changed by a character or two.
FORMS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "bigint": ({}, ["7", "-07", "9223372036854775807", "0xFF", "+9", "1_0"], "0189-+ xXFe_"),
    "decimal": (
        {"precision": 12, "scale": 2},
        ["7.25", "-0.1", "9999999999.99", ".5", "5.", "1e3", "NaN", "NaN0", "-0", "1.250"],
        "0189-+ .eE_",
    ),
    "wide": (
        {"data_type": "decimal", "precision": 38, "scale": 10},
        ["92744012750551475190945495483.7164937553", "8E35", "1.5"],
        "0189-+ .eE",
    ),
    "digits": (
        {"data_type": "decimal", "precision": 18, "scale": 18},
        ["0.123456789012345678", "1", "0"],
        "0189-.",
    ),
    "unlimited": ({"data_type": "decimal"}, ["1.50", "7", "1e400"], "0189-.e"),
    "double": (
        {},
        ["1.5", "-0", "0.1", "1e400", "1e-400", "nan", "inf", "123456789012345678.9", "4.9e-324"],
        "0189-+ .eEnaif",
    ),
    "bool": ({}, ["true", "f", "1", "0", "TRUE", "yes", "on", "tru"], "truefals10 yno"),
    "date": ({}, ["2024-02-29", "1999-02-29", "0000-01-01", "20240101", "today"], "0189-/ TBC"),
    "timestamp": (
        {},
        [
            *["2024-01-01 05:06:07.123456", "2024-01-01T05:06:07Z", "2024-01-01", "2024-01-01 05"],
            *["2024-01-01 05:06", "0000-01-01 00:00:00", "9999-12-31 23:59:59.9", "infinity"],
            *["2024-01-01 24:00:00", "2024-01-01 05:06:07+19:00", "2024-01-01 05:06:07.1234567"],
        ],
        "0189-:. TZ+now",
    ),
    "wall_clock": (
        {"data_type": "timestamp", "timezone": False},
        ["2024-01-01 05:06:07", "2024-01-01 05:06:07Z", "2024-01-01 05:06:07.5+02"],
        "0189-:. TZ+",
    ),
    "time": ({}, ["12:34", "12:34:56.5", "24:00:00", "12:34:60"], "0189:. P"),
    "json": ({}, ['"x"', "1", "{}", "[1]"], "0189[]{}"),
}


def source_with(name: str, **columns: dict[str, Any]) -> Source:
    return Source.model_validate(
        {
            "name": name,
            "description": "Values",
            "owner": "nobody",
            "dialect": {"delimiter": ",", "header": False},
            "encoding": "utf-8",
            "columns": columns,
        }
    )


def source_of(kind: str, **rules: Any) -> Source:
    declared, _, _ = FORMS[kind]
    value = {"data_type": kind, **declared, **rules}
    return source_with(f"plain_{kind}", value=value, other={"data_type": "text"})


def text_source(**rules: Any) -> Source:
    value = {"data_type": "text", **rules}
    return source_with("plain_text", value=value, other={"data_type": "text"})


@st.composite
def nearly(draw: st.DrawFn, kind: str) -> str:
    """A value of a type, or nearly one."""
    _, values, signs = FORMS[kind]
    value = draw(st.sampled_from(values))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(value)))
        put = draw(st.just("") | st.sampled_from(signs))
        value = value[:place] + put + value[place + draw(st.integers(0, 1)) :]
    return value


def written(values: list[str]) -> bytes:
    fields = [f'"{value}"' if '"' not in value and "," in value else value for value in values]
    return "".join(f"{field},x\n" for field in fields).encode()


@pytest.fixture
def connection(loader: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    loader.autocommit = True
    for kind in FORMS:
        ensure_table(loader, source_of(kind))
    ensure_table(loader, text_source())
    return loader


def load(
    connection: psycopg.Connection[Any], source: Source, data: bytes, block: int
) -> tuple[Rows, bool] | None:
    """The rows that a file of blocks of a size brings, and whether they are seen to be right.

    None where the file is refused.
    """
    with (
        patch.object(copying, "BLOCK_BYTES", block),
        connection.transaction(force_rollback=True),
    ):
        try:
            copied = copying.copy_csv(
                connection, source, ["value", "other"], NO_HEADER, io.BytesIO(data)
            )
        except DeliveryError:
            return None
        query = (
            f"select _source_row_number, value::text, other from bronze.{source.name} order by 1"
        )
        rows = connection.execute(query).fetchall()  # type: ignore[arg-type]
        assert copied.rows == len(rows)
        return rows, copied.follows_rules


@pytest.mark.parametrize("kind", FORMS)
@tried(60)
@given(data=st.data())
def test_a_value_is_what_postgresql_reads(
    connection: psycopg.Connection[Any], kind: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(nearly(kind), min_size=1, max_size=12))
    source = source_of(kind)
    judged = load(connection, source, written(values), block=1 << 20)
    plain = load(connection, source, written(values), block=data.draw(st.sampled_from([1, 40])))
    assert (plain and plain[0]) == (judged and judged[0])


RULES: list[tuple[str, dict[str, Any]]] = [
    ("bigint", {"minimum": 1, "maximum": 9}),
    ("decimal", {"minimum": 0.5}),
    ("decimal", {"maximum": "7.254"}),  # PostgreSQL rounds it to the column's scale
    ("double", {"minimum": -1, "nullable": False}),
    ("date", {"minimum": "1999-03-01", "nullable": False}),
    ("timestamp", {"minimum": "2024-01-01", "maximum": "2024-01-01 05:06:07Z"}),
    ("timestamp", {"maximum": "2024-01-01 05:06:07.123456"}),
]
TEXT_RULES: list[dict[str, Any]] = [
    {"accepted_values": ["x", "y"]},
    {"accepted_values": ["x"], "nullable": False},
    {"pattern": "[xy]"},
    {"nullable": False},
]


@pytest.mark.parametrize(("kind", "rules"), RULES)
@tried(60)
@given(data=st.data())
def test_what_is_seen_to_follow_the_rules_follows_them(
    connection: psycopg.Connection[Any], kind: str, rules: dict[str, Any], data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.just("") | nearly(kind), min_size=1, max_size=5))
    holds_to_its_word(connection, source_of(kind, **rules), values)


@pytest.mark.parametrize("rules", TEXT_RULES)
@tried(40)
@given(values=st.lists(st.sampled_from(["x", "y", "z", ""]), min_size=1, max_size=5))
def test_texts_seen_to_follow_the_rules_follow_them(
    connection: psycopg.Connection[Any], rules: dict[str, Any], values: list[str]
) -> None:
    holds_to_its_word(connection, text_source(**rules), values)


def holds_to_its_word(
    connection: psycopg.Connection[Any], source: Source, values: list[str]
) -> None:
    """Where the copy says that the rules are followed, PostgreSQL finds no failure."""
    data = written(values)
    with (
        patch.object(copying, "BLOCK_BYTES", 1),
        connection.transaction(force_rollback=True),
    ):
        try:
            copied = copying.copy_csv(
                connection, source, ["value", "other"], NO_HEADER, io.BytesIO(data)
            )
        except DeliveryError:
            return
        row = connection.execute("select ops.current_load_id()").fetchone()
        assert row is not None
        failures = find_failures(connection, source, row[0])
    assert not (copied.follows_rules and failures)


@pytest.mark.parametrize(
    ("kind", "rules", "values", "is_seen"),
    [
        ("bigint", {"minimum": 1, "maximum": 9}, ["1", "9", ""], True),
        ("bigint", {"minimum": 1}, ["0"], False),
        ("bigint", {"maximum": 9}, ["10"], False),
        ("bigint", {"nullable": False}, ["1", ""], False),
        ("timestamp", {"minimum": "2000-01-01"}, ["2000-01-01T00:00:00Z"], True),
        ("timestamp", {"minimum": "2000-01-01"}, ["1999-12-31 23:59:59.999999"], False),
        ("double", {}, ["1e3"], False),  # PostgreSQL's to read
    ],
)
def test_rules_are_looked_at_where_they_can_be(
    connection: psycopg.Connection[Any],
    kind: str,
    rules: dict[str, Any],
    values: list[str],
    is_seen: bool,
) -> None:
    found = load(connection, source_of(kind, **rules), written(values), block=1)
    assert found is not None
    assert found[1] is is_seen


def test_a_required_column_that_the_file_lacks_is_not_passed_over(
    connection: psycopg.Connection[Any],
) -> None:
    source = source_with(
        "plain_lacking",
        value={"data_type": "text"},
        other={"data_type": "text"},
        lacking={"data_type": "text", "nullable": False},
    )
    ensure_table(connection, source)
    found = load(connection, source, b"x,y\n", block=1)
    assert found == ([(1, "x", "y")], False)


def test_numbers_go_on_where_values_are_not_plain_any_more(
    connection: psycopg.Connection[Any],
) -> None:
    days = ["2024-01-01"] * 3 + ["Jan 2 2024"] + ["2024-01-03"] * 2
    found = load(connection, source_of("date"), written(days), block=22)
    assert found is not None
    rows, follows_rules = found
    assert [(row[0], row[1]) for row in rows] == [
        *[(1, "2024-01-01"), (2, "2024-01-01"), (3, "2024-01-01"), (4, "2024-01-02")],
        *[(5, "2024-01-03"), (6, "2024-01-03")],
    ]
    assert not follows_rules


def test_an_error_of_a_plain_value_names_its_line(connection: psycopg.Connection[Any]) -> None:
    data = b"2024-01-01,x\n2024-01-01,a\0b\n"
    with (
        patch.object(copying, "BLOCK_BYTES", 1),
        pytest.raises(DeliveryError, match="at line 2, column other"),
        connection.transaction(),
    ):
        copying.copy_csv(
            connection, source_of("date"), ["value", "other"], NO_HEADER, io.BytesIO(data)
        )
