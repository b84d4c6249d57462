"""Words such as now and today are no times, although PostgreSQL takes them for some."""

from __future__ import annotations

import pytest

from sluice.errors import DeliveryError
from sluice.loading.relative_times import is_relative, refuse_relative
from sluice.registry import CsvDialect
from tests.loading.conftest import Shop
from tests.loading.test_rejects import columns, declare, one

TIMES = {
    "day": {"data_type": "date"},
    "sold_at": {"data_type": "timestamp"},
    "opens": {"data_type": "time"},
}
HEADER = "order_id,product,amount,day,sold_at,opens\n"
NOTE = "now or never"  # a text may say what it likes

# A line each, with the column whose value is refused; none where all is well.
LINES = (
    (f"1,{NOTE},1,2026-06-01,2026-06-01 10:00,08:00", None),
    ("2,ink,1,today,2026-06-01 10:00,08:00", "day"),
    ("3,ink,1,2026-06-01,now,08:00", "sold_at"),
    ("4,ink,1,2026-06-01,Yesterday 10:00,08:00", "sold_at"),
    ('5,"today, ink",1,2026-06-01," TOMORROW ",08:00', "sold_at"),
    ("6,ink,1,2026-06-01,2026-06-01 10:00,now", "opens"),
    ('7,"snow\ntoday",1,2026-06-01,epoch,08:00', None),
    ("8,ink,1,2026-06-01,10:00 today,08:00", "sold_at"),
)
SOUND = [int(line[0]) for line, column in LINES if column is None]


@pytest.mark.parametrize("order", [LINES, LINES[::-1]])
def test_such_a_word_is_refused_by_itself(
    shop: Shop, order: tuple[tuple[str, str | None], ...]
) -> None:
    declare(shop, columns=columns(**TIMES), max_row_errors="90%")
    shop.drop("a.csv", "".join(f"{line}\n" for line, _ in order), header=HEADER)

    entry = one(shop.load())

    assert (entry.rows_loaded, entry.rows_rejected) == (2, 6)
    assert sorted(shop.query("select order_id from bronze.orders")) == [(each,) for each in SOUND]
    found = shop.query(
        "select code, column_name, reason from ops.rejected_rows order by row_number"
    )
    assert [(code, column) for code, column, _ in found] == [
        ("wrong_type", column) for _, column in order if column
    ]
    assert all("means another time each day" in reason for _, _, reason in found)


@pytest.mark.parametrize(
    "line",
    [
        *(line for line, column in LINES if column),
        '1,"line one\nline two",1,today,"more\nend",08:00\n',  # neither line is a record
        '1,2,"a\nb, x, y",today,"c\nd",08:00\n',
    ],
)
def test_the_fast_path_lets_none_through(line: str) -> None:
    with pytest.raises(DeliveryError):
        list(refuse_relative([line.encode()], CsvDialect(), [3, 4, 5]))


@pytest.mark.parametrize("line", [line for line, column in LINES if column is None][:1])
def test_the_fast_path_leaves_texts_alone(line: str) -> None:
    parts = [f"{line}\n".encode() * 3, b"9,know,1,2026-06-01,2026-06-01 10:00,08:00\r\n"]
    assert list(refuse_relative(parts, CsvDialect(), [3, 4, 5])) == parts


def test_a_value_may_be_rescued_without_it(shop: Shop) -> None:
    contract = {"data_types": "discard_value"}
    declare(shop, columns=columns(**TIMES), schema_contract=contract)
    shop.drop("a.csv", f"{LINES[1][0]}\n{LINES[0][0]}\n", header=HEADER)

    assert one(shop.load()).rows_rejected == 0
    assert shop.query(
        "select order_id, day::text, _rescued_data from bronze.orders order by 1"
    ) == [
        (1, "2026-06-01", None),
        (2, None, {"day": "today"}),
    ]


def test_a_word_within_another_is_none_of_them() -> None:
    assert not is_relative("2026-06-01 known")
    assert is_relative("10:00 NOW")
