from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import open_reader, parquet
from sluice.reading.records import Reader
from tests.properties import tried
from tests.reading.readers import bad_records, good_records, places, reader_of, source_of, verdicts


def written(columns: dict[str, pa.Array], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def reader(columns: dict[str, pa.Array]) -> Reader:
    return reader_of(written(columns), source_of("parquet", {"x": "text"}))


def texts(values: list[Any], type_: pa.DataType) -> list[str | None]:
    of_column = reader({"x": pa.array(values, type_)})
    assert not bad_records(of_column)
    return [fields[0] for _, fields in good_records(of_column)]


EPOCH = "1970-01-01 00:00:00"
MOMENT = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1, -(2**63), None], pa.int64(), ["1", "-9223372036854775808", None]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([0.1, 1e300, 5.0, float("inf")], pa.float64(), ["0.1", "1e+300", "5", "inf"]),
        (
            [1e10, None, -999999999999999.0, 2.0**53 - 1, 2.0**53, 1e16, -0.0, 12345678901.5],
            pa.float64(),
            [
                *("10000000000", None, "-999999999999999", "9007199254740991"),
                *("9.007199254740992e+15", "1e+16", "-0", "1.23456789015e+10"),
            ],
        ),
        ([1e12, 16777217.0], pa.float32(), ["999999995904", "16777216"]),
        ([0.1], pa.float32(), ["0.10000000149011612"]),
        ([Decimal("12.10"), Decimal("-0.01")], pa.decimal128(12, 2), ["12.10", "-0.01"]),
        ([Decimal(10) ** 60], pa.decimal256(76, 2), ["1" + "0" * 60 + ".00"]),
        ([True, False, None], pa.bool_(), ["true", "false", None]),
        (["", "é", None], pa.string(), ["", "é", None]),
        (["x"], pa.large_string(), ["x"]),
        (["x", "x", None], pa.dictionary(pa.int32(), pa.string()), ["x", "x", None]),
        ([date(2026, 12, 31), date(1, 1, 1)], pa.date32(), ["2026-12-31", "0001-01-01"]),
        ([time(23, 59, 59, 5)], pa.time64("us"), ["23:59:59.000005"]),
        ([MOMENT], pa.timestamp("us", "Europe/Berlin"), ["2026-07-01 10:30:15.123456Z"]),
        ([MOMENT.replace(tzinfo=None)], pa.timestamp("us"), ["2026-07-01 12:30:15.123456"]),
        ([-631152000000], pa.timestamp("ms"), ["1950-01-01 00:00:00.000"]),
        ([1_000_000_001_000], pa.timestamp("ns"), ["1970-01-01 00:16:40.000001"]),
        ([1001, 0], pa.timestamp("ns", "UTC"), [f"{EPOCH}.000001001Z", f"{EPOCH}.000000Z"]),
        ([1], pa.time64("ns"), ["00:00:00.000000001"]),
        ([None, None], pa.null(), [None, None]),
        ([[1, 2], [], None], pa.list_(pa.int64()), ["[1,2]", "[]", None]),
        (
            [{"a": Decimal("1.50"), "b": [date(2026, 1, 2)]}],
            None,
            ['{"a":1.50,"b":["2026-01-02"]}'],
        ),
        (
            [{"t": [1001], "u": 1}, {"t": [1000], "u": 1}],
            pa.struct({"t": pa.list_(pa.timestamp("ns", "UTC")), "u": pa.timestamp("s")}),
            [
                f'{{"t":["{EPOCH}.000001001Z"],"u":"1970-01-01T00:00:01"}}',
                '{"t":["1970-01-01T00:00:00.000001Z"],"u":"1970-01-01T00:00:01"}',
            ],
        ),
        (
            [[("k", 1)], None],
            pa.map_(pa.string(), pa.time64("ns")),
            ['{"k":"00:00:00.000000001"}', None],
        ),
        (
            [[1, None], None],
            pa.list_(pa.time64("ns"), 2),
            ['["00:00:00.000000001",null]', None],
        ),
        ([[("k", 1)]], pa.map_(pa.string(), pa.int64()), ['{"k":1}']),
        ([uuid.UUID(int=5).bytes], pa.uuid(), ["00000000-0000-0000-0000-000000000005"]),
    ],
)
def test_each_value_becomes_the_text_that_postgresql_reads(
    values: list[Any], type_: pa.DataType, expected: list[str | None]
) -> None:
    assert texts(values, type_) == expected


def test_values_without_a_text_are_rejected_alone() -> None:
    columns = {
        "name": pa.array([b"a", b"b", b"c\0", b"\xff", b"d", b"e"], pa.binary()).cast(
            pa.string(), safe=False
        ),
        "extra": pa.array([{"n": 1.0}, None, None, None, {"n": float("nan")}, {"n": 2.0}]),
    }
    of_file = reader(columns)
    assert verdicts(of_file) == [
        (3, "nul_byte", "name"),
        (4, "bad_encoding", "name"),
        (5, "not_finite", "extra"),
    ]
    assert [number for number, _ in good_records(of_file)] == [1, 2, 6]
    assert [place.number for place in places(of_file)] == [1, 2, 6]
    nul = reader({"name": pa.array(["a", "b\0c"])})
    assert verdicts(nul) == [(2, "nul_byte", "name")]
    assert json.loads(bad_records(nul)[0].place.raw) == {"name": r"b\x00c"}


def test_a_float_is_a_whole_number_only_as_far_as_it_is_exact() -> None:
    numbers = [5.0, 2.0**53 - 1, 2.0**53, -1e16, None, 1.5, float("inf")]
    columns = {"x": pa.array(numbers), "y": pa.array(numbers), "z": pa.array([2**60] * 7)}
    source = source_of("parquet", {"x": "bigint", "y": "decimal", "z": "bigint"})
    of_file = reader_of(written(columns), source)
    assert verdicts(of_file) == [(3, "not_exact", "x"), (4, "not_exact", "x")]
    assert bad_records(of_file)[0].reason == (
        "x is the float 9007199254740992.0: from 2^53 on, it may stand for another whole number."
    )
    assert [fields[0] for _, fields in good_records(of_file)] == [
        *("5", "9007199254740991", None, "1.5", "inf")
    ]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([b"\x01"], pa.binary()),
        ([b"\x01"], pa.binary(1)),
        ([timedelta(seconds=1)], pa.duration("s")),
        ([[b"\x01"]], pa.list_(pa.binary())),
    ],
)
def test_a_type_without_text_is_refused(values: list[Any], type_: pa.DataType) -> None:
    with pytest.raises(DeliveryError, match="Column 'x' holds") as caught:
        reader({"x": pa.array(values, type_)})
    assert (caught.value.code, caught.value.column) == ("wrong_type", "x")


def test_numbers_and_places_run_through_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 3)
    data = written({"x": pa.array(range(1, 11)), "y": pa.array(["a"] * 10)}, row_group_size=4)
    of_file = reader_of(data, source_of("parquet", {"x": "text"}))
    assert of_file.names == ("x", "y")
    for _ in range(2):
        assert good_records(of_file) == [(n, (str(n), "a")) for n in range(1, 11)]
    assert [json.loads(place.raw)["x"] for place in places(of_file)] == [
        str(n) for n in range(1, 11)
    ]


def test_a_file_without_rows_has_names() -> None:
    of_file = reader({"x": pa.array([], pa.int64())})
    assert of_file.names == ("x",)
    assert good_records(of_file) == []


@pytest.mark.parametrize("data", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_what_is_no_parquet_is_refused(data: bytes) -> None:
    with pytest.raises(DeliveryError, match="cannot be read as Parquet") as caught:
        reader_of(data, source_of("parquet", {"x": "text"}))
    assert caught.value.code == "bad_structure"


def test_a_damaged_file_is_refused() -> None:
    data = bytearray(written({"x": pa.array(["a" * 50] * 1000)}, compression="gzip"))
    data[10:60] = b"\xff" * 50
    with pytest.raises(DeliveryError, match="cannot be read as Parquet"):
        good_records(reader_of(bytes(data), source_of("parquet", {"x": "text"})))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    table = pa.table({"x": [f"{number:040}" for number in range(500_000)]})
    pq.write_table(table, path, use_dictionary=False, compression="none")
    del table
    before = pa.total_allocated_bytes()
    of_file = open_reader(lambda: path.open("rb"), source_of("parquet", {"x": "text"}))
    peak = rows = 0
    for batch in of_file.batches():
        rows += len(batch.numbers)
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert rows == 500_000
    assert peak < 8e6  # of a row group of 22 MB


SHAPES = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "amount": st.none() | st.decimals(-(10**9), 10**9, places=4),
        "real": st.none() | st.floats(allow_nan=False),
        "name": st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "clock": st.none() | st.times(),
    }
)
SCHEMA = pa.schema(
    {
        "whole": pa.int64(),
        "amount": pa.decimal128(20, 4),
        "real": pa.float64(),
        "name": pa.string(),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "clock": pa.time64("us"),
    }
)


@given(st.lists(SHAPES, min_size=1))
@tried(100)
def test_what_was_written_is_read(rows: list[dict[str, Any]]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), file)
    of_file = reader_of(file.getvalue(), source_of("parquet", {"x": "text"}))
    back = {
        "whole": int,
        "amount": Decimal,
        "real": float,
        "name": str,
        "day": date.fromisoformat,
        "at": datetime.fromisoformat,
        "clock": time.fromisoformat,
    }
    read = [
        {
            name: None if text is None else back[name](text)
            for name, text in zip(of_file.names, fields, strict=True)
        }
        for _, fields in good_records(of_file)
    ]
    assert read == rows
