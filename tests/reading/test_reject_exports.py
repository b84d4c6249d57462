"""What an export puts before a value is taken off again, and an export is known by its columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading.reject_exports import EXPORT_COLUMNS, find_dialect, neutral, restored

BEGINNINGS = st.text(st.sampled_from("'=+-@\t\r\n5.,e\uff1da"), max_size=8)


@given(BEGINNINGS | st.text(max_size=8))
def test_every_value_comes_back_and_none_is_a_formula(value: str) -> None:
    shown = neutral(value)
    assert restored(shown) == value
    assert shown == value or shown == "'" + value
    assert shown is not None
    is_number = shown.lstrip("+-")[:1].isdigit()
    assert is_number or not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize(("value", "shown"), [("-5.2", "-5.2"), ("+1e5", "+1e5"), ("-a", "'-a")])
def test_a_number_is_no_formula(value: str, shown: str) -> None:
    assert neutral(value) == shown
    assert (neutral(None), restored(None), neutral("")) == (None, None, "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_export_is_known_whatever_separates_it(delimiter: str, mark: str) -> None:
    names = delimiter.join(["order_id", '"a;b,""c"""', *EXPORT_COLUMNS])
    dialect = find_dialect(f"{mark}{names}\r\n1".encode())
    assert dialect is not None
    assert dialect.delimiter == delimiter


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"order_id,product\n1,_reject_file\n",
        b"order_id,_reject_\n",
        b"_reject_files\n",
        b'"order_id,_reject_file\n',
        b"PAR1_reject_file\xff\x00",
    ],
)
def test_nothing_else_is_one(head: bytes) -> None:
    assert find_dialect(head) is None
