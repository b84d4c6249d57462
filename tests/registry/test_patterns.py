"""PostgreSQL's regular expressions, held against values as a whole."""

from __future__ import annotations

import pytest
from psycopg import Connection
from pydantic import ValidationError

from sluice.registry import Column
from sluice.registry.patterns import whole_pattern


def matches(connection: Connection, pattern: str, value: str) -> bool:
    Column.model_validate({"data_type": "text", "pattern": pattern})
    row = connection.execute("select %s ~ %s", (value, whole_pattern(pattern))).fetchone()
    return bool(row and row[0])


@pytest.mark.parametrize(
    ("pattern", "whole", "other"),
    [
        ("abc", "abc", "xabc"),
        ("a|b", "b", "ab"),
        ("a", "a", "a\n"),
        ("(?i)abc", "aBc", "xabc"),
        ("(?i)a|b", "B", "ab"),
        ("(?n)abc", "abc", "x\nabc"),
        ("(?x) a b # and no more", "ab", "abc"),
        ("(?ix)\n a b", "AB", "a b"),
    ],
)
def test_a_pattern_matches_a_value_as_a_whole(
    loader: Connection, pattern: str, whole: str, other: str
) -> None:
    assert matches(loader, pattern, whole)
    assert not matches(loader, pattern, other)


@pytest.mark.parametrize("pattern", ["***=a.c", "***:a", "(?q)a.c", "(?b)a", "(?ie)a"])
def test_what_nothing_can_be_put_around_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="as a whole"):
        Column.model_validate({"data_type": "text", "pattern": pattern})
