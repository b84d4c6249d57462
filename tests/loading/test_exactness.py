"""Values that PostgreSQL would round, cut or guess are rejected, whichever path the file takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.loading.conftest import Shop
from tests.loading.test_rejects import columns, declare, one

AMOUNT = {"data_type": "decimal", "precision": 6, "scale": 2}
WALL_CLOCK = {"data_type": "timestamp", "timezone": False}

# The column; a value; what stands in bronze, or None and the code and words of the reject.
CASES: tuple[tuple[dict[str, Any], str, str | None, str, str], ...] = (
    (AMOUNT, "1.55", "1.55", "", ""),
    (AMOUNT, "1.5500", "1.55", "", ""),
    (AMOUNT, "1.5e1", "15.00", "", ""),
    (AMOUNT, "1.555", None, "not_exact", "more digits after the point than numeric(6,2) keeps"),
    (AMOUNT, "1e-10", None, "not_exact", "more digits after the point"),
    (AMOUNT, "0x10", None, "wrong_type", "is not written in decimal digits"),
    (
        {"data_type": "decimal", "precision": 38, "scale": 18},
        "1" * 20 + "." + "1" * 19,
        None,
        "not_exact",
        "more digits",
    ),
    (AMOUNT, "1e-1000100", None, "not_exact", "more digits after the point"),
    (AMOUNT, "0.000000", "0.00", "", ""),
    ({"data_type": "decimal"}, "1.555", "1.555", "", ""),
    ({"data_type": "decimal"}, "1_000", None, "wrong_type", "is not written in decimal digits"),
    ({"data_type": "bigint"}, " +7 ", "7", "", ""),
    ({"data_type": "bigint"}, "1_000", None, "wrong_type", "is not written in decimal digits"),
    ({"data_type": "bigint"}, "x", None, "wrong_type", "invalid input syntax for type bigint"),
    ({"data_type": "double"}, "1e5", "100000", "", ""),
    ({"data_type": "double"}, "0x1p3", None, "wrong_type", "is not written in decimal digits"),
    ({"data_type": "double"}, "NaN", None, "not_finite", "must be a finite value"),
    ({"data_type": "bool"}, "Yes", "true", "", ""),
    ({"data_type": "bool"}, "of", None, "wrong_type", "is short for a word"),
    ({"data_type": "date"}, "2026-1-2", "2026-01-02", "", ""),
    ({"data_type": "date"}, "20260102", "2026-01-02", "", ""),
    ({"data_type": "date"}, "2 Jan 2026", "2026-01-02", "", ""),
    ({"data_type": "date"}, "2026-01-02 00:00:00", "2026-01-02", "", ""),
    ({"data_type": "date"}, "2026-01-02T00:00:00.000Z", "2026-01-02", "", ""),
    ({"data_type": "date"}, "2026-01-02T00:00+01", None, "not_exact", "has a time of day"),
    ({"data_type": "date"}, "2026-01-02 23:59", None, "not_exact", "has a time of day"),
    ({"data_type": "date"}, "1/2/3", None, "wrong_type", "can be read in more than one way"),
    ({"data_type": "date"}, "01-02-03", None, "wrong_type", "can be read in more than one way"),
    ({"data_type": "date"}, "epoch", None, "wrong_type", "can be read in more than one way"),
    ({"data_type": "date"}, "Today", None, "wrong_type", "means another time each day"),
    ({"data_type": "date"}, "infinity", None, "not_finite", "must be a finite value"),
    ({"data_type": "time"}, "10:00 pm", "22:00:00", "", ""),
    ({"data_type": "time"}, "10:00+05", None, "not_exact", "has a zone"),
    ({"data_type": "time"}, "2026-01-01 10:00", None, "not_exact", "has a date"),
    ({"data_type": "time"}, "now", None, "wrong_type", "means another time each day"),
    ({"data_type": "timestamp"}, "2026-01-02T10:00:00+05:30", "2026-01-02 04:30:00+00", "", ""),
    ({"data_type": "timestamp"}, "20260102T100000", "2026-01-02 10:00:00+00", "", ""),
    ({"data_type": "timestamp"}, "2026-01-02 10:00:00.1234567", None, "not_exact", "microsecond"),
    ({"data_type": "timestamp"}, "10:00 TODAY", None, "wrong_type", "another time each day"),
    ({"data_type": "timestamp"}, "2026-01-02 10:00 IST", None, "wrong_type", "more than one way"),
    ({"data_type": "timestamp"}, "2026-01-02Z", "2026-01-02 00:00:00+00", "", ""),
    ({"data_type": "timestamp"}, "1880-01-01 00:00:00+00:53:28", "1879-12-31 23:06:32+00", "", ""),
    (WALL_CLOCK, "2026-01-02 10:00:00.123456", "2026-01-02 10:00:00.123456", "", ""),
    (WALL_CLOCK, "2026-01-02 10:00+05", None, "not_exact", "has a zone"),
    (WALL_CLOCK, "2026-01-02 10:00:00Z", None, "not_exact", "has a zone"),
    (WALL_CLOCK, "2026-01-02 10:00 PST", None, "not_exact", "has a zone"),
    ({"data_type": "json"}, "{'a': 1, 'b': {'a': 2}}", '{"a": 1, "b": {"a": 2}}', "", ""),
    ({"data_type": "json"}, "{'a': 1, 'a': 2}", None, "not_exact", "has the key 'a' twice"),
)

KINDS = [
    column
    for place, column in enumerate(row[0] for row in CASES)
    if column not in [row[0] for row in CASES[:place]]
]
NAMES = [f"value_{place}" for place in range(len(KINDS))]

# What comes before and after the cases: nothing; what the tolerant path has to find as well; and
# enough of the usual for the cases to be the exception.
SURROUNDINGS = (
    "",
    "x,y,z\n",
    "".join(f"{number},now or never,1{',' * len(KINDS)}\n" for number in range(200, 300)),
)


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("is_sound", [True, False])
def test_a_value_is_kept_as_it_is_or_rejected(shop: Shop, around: str, is_sound: bool) -> None:
    """Each case is a record, its value in the one column of its type."""
    declare(shop, columns=columns(**dict(zip(NAMES, KINDS, strict=True))), max_row_errors="90%")
    cases = [(place, case) for place, case in enumerate(CASES) if case[2] or not is_sound]
    lines = []
    for place, (column, value, *_) in cases:
        quoted = '"' + value.replace("'", '""') + '"'
        cells = [quoted if kind == column else "" for kind in KINDS]
        lines.append(f"{place},ink,1,{','.join(cells)}\n")
    header = f"order_id,product,amount,{','.join(NAMES)}\n"
    shop.drop("a.csv", around + "".join(lines) + around, header)
    entry = one(shop.load())
    assert entry.rows_loaded + entry.rows_rejected == len(lines) + 2 * around.count("\n")

    for place, (column, value, kept, code, words) in cases:
        name = NAMES[KINDS.index(column)]
        found = shop.query(f"select {name}::text from bronze.orders where order_id = {place}")
        reject = shop.query(
            "select code, column_name, reason from ops.rejected_rows"
            f" where raw_record like '{place},ink%'"
        )
        if kept is None:
            assert found == []
            assert [row[:2] for row in reject] == [(code, name)], value
            assert words in reject[0][2]
        else:
            assert (found, reject) == ([(kept,)], []), value


def test_what_would_be_changed_can_be_kept_aside(shop: Shop) -> None:
    declare(
        shop,
        columns=columns(day={"data_type": "date"}),
        schema_contract={"data_types": "discard_value"},
    )
    shop.drop("a.csv", "1,ink,1.555,today\n2,ink,1,2026-06-01\n", "order_id,product,amount,day\n")
    assert one(shop.load()).rows_rejected == 0
    assert shop.query(
        "select order_id, amount::text, day::text, _rescued_data from bronze.orders order by 1"
    ) == [(1, None, None, {"amount": "1.555", "day": "today"}), (2, "1.00", "2026-06-01", None)]


def test_an_unusual_form_costs_its_neighbours_nothing(shop: Shop) -> None:
    """A form that is unusual and exact is loaded, in whichever encoding and line ends."""
    declare(shop, encoding="latin-1")
    lines = "".join(f"{number},caf\u00e9,1e1\r\n" for number in range(50))
    path = shop.drop("a.csv", "")
    path.write_bytes(f"order_id,product,amount\r\n{lines}".encode("latin-1"))
    assert one(shop.load()).rows_loaded == 50
    query = "select distinct product, amount::text from bronze.orders"
    assert shop.query(query) == [("caf\u00e9", "10.00")]
