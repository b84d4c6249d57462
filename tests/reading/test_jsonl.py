from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import json_records, lines
from tests.properties import tried
from tests.reading.readers import (
    bad_records,
    good_records,
    opener_of,
    places,
    reader_of,
    small_batches,
    source_of,
    verdicts,
)

COLUMNS = {"id": "bigint", "name": "text", "amount": "decimal", "is_new": "bool"}


def read(
    text: str | bytes, columns: dict[str, Any] = COLUMNS, **keys: Any
) -> list[tuple[Any, ...]]:
    data = text.encode() if isinstance(text, str) else text
    reader = reader_of(data, source_of("jsonl", columns, **keys))
    assert not bad_records(reader)
    return [fields for _, fields in good_records(reader)]


def refused(text: str | bytes, columns: dict[str, Any] = COLUMNS, **keys: Any) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    return verdicts(reader_of(data, source_of("jsonl", columns, **keys)))


@pytest.mark.parametrize(
    "number",
    ["12.10", "0", "-0", "-0.0", "1e400", "1E-7", "123456789012345678901234567890", "9" * 5000],
)
def test_a_number_keeps_its_text(number: str) -> None:
    lines_of_it = f'{{"amount": {number}}}\n' * 3
    assert read(lines_of_it, {"amount": "decimal"}) == [(number,)] * 3


def test_missing_key_and_null_are_missing_and_an_empty_string_is_not() -> None:
    assert read('{"id": 1, "name": ""}\n{"id": null, "name": null}\n{}\n') == [
        ("1", "", None, None),
        (None, None, None, None),
        (None, None, None, None),
    ]


def test_members_come_in_any_order_and_kind() -> None:
    assert read('{"is_new": true, "id": 1}\n{"id": "2", "is_new": "no"}\n{"id": 3.0}') == [
        ("1", None, None, "true"),
        ("2", None, None, "no"),
        ("3.0", None, None, None),
    ]


def test_objects_are_opened_where_the_registry_has_columns_below() -> None:
    columns = {
        "city": {"data_type": "text", "from": "address.city"},
        "zip": {"data_type": "text", "from": "address.at.zip"},
        "extra": "json",
        "tags": "text",
    }
    record = '{"address": {"city": "Köln", "at": {"zip": 50667}}, "extra": {"a": [1.50, "x"]},'
    assert read(
        record + ' "tags": [1.0,  "b"]}\n{"address": null}\n{"address.city": "Bonn"}\n', columns
    ) == [
        ("Köln", "50667", '{"a": [1.50, "x"]}', '[1.0,  "b"]'),
        (None, None, None, None),
        ("Bonn", None, None, None),
    ]


def test_a_json_column_takes_json_text() -> None:
    lines_of_it = (
        '{"extra": "a\\"b"}\n{"extra": 1.50}\n{"extra": false}\n{"extra": null}\n{"extra": [] }'
    )
    assert read(lines_of_it, {"extra": "json"}) == [
        ('"a\\"b"',),
        ("1.50",),
        ("false",),
        (None,),
        ("[]",),
    ]


def test_a_column_may_take_a_whole_object_and_another_a_part_of_it() -> None:
    columns = {"a": "json", "b": {"data_type": "text", "from": "a.b"}}
    assert read('{"a": {"b": 1, "c": 2}}\n{"a": 5}\n', columns) == [
        ('{"b": 1, "c": 2}', "1"),
        ("5", None),
    ]


def test_a_scalar_where_an_object_is_opened_is_unknown() -> None:
    columns = {"city": {"data_type": "text", "from": "address.city"}}
    assert refused(
        '{"address": "Bonn"}\n', columns, schema_contract={"new_columns": "discard_row"}
    ) == [(1, "unknown_value", "address")]


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        ("[1]", "bad_structure", None),
        ("5", "bad_structure", None),
        ('{"id": 1', "bad_structure", None),
        ('{"id": 1} x', "bad_structure", None),
        ('{"id": 01}', "bad_structure", None),
        ('{"id": 1,}', "bad_structure", None),
        ('{"id": NaN}', "bad_structure", None),
        ('{"amount": -Infinity}', "bad_structure", None),
        ('{"id": 1, "id": 2}', "bad_structure", None),
        ('{"id": 1, "\\u0069d": 1}', "bad_structure", None),
        ('{"name": "a\tb"}', "bad_structure", None),
        ('{"name": "a\\qb"}', "bad_structure", None),
        ('{"name": "a\\u0000b"}', "nul_byte", "name"),
        ('{"name": "a\0b"}', "nul_byte", None),
        ('{"name": "\\ud800"}', "bad_encoding", "name"),
        ('{"name": ' + "[" * 300 + "]" * 300 + "}", "bad_structure", None),
        ('{"name": ' + "[" * 100_000 + "}", "bad_structure", None),
    ],
)
def test_a_bad_line_is_rejected_alone(line: str, code: str, column: str | None) -> None:
    text = '{"id": 1, "name": "a"}\n' + line + '\n{"id": 3, "name": "c"}\n'
    reader = reader_of(text.encode(), source_of("jsonl", COLUMNS))
    assert verdicts(reader) == [(2, code, column)]
    assert [number for number, _ in good_records(reader)] == [1, 3]
    (bad,) = bad_records(reader)
    assert bad.place.raw == line
    assert (bad.place.line, bad.place.offset) == (2, 23)
    assert bad.reason.endswith(".")


def test_a_bad_byte_costs_only_its_record() -> None:
    data = b'{"name": "a"}\n{"name": "b\xff"}\r\n\n  \n{"name": "\xc3\xa9"}'
    reader = reader_of(data, source_of("jsonl", COLUMNS))
    assert verdicts(reader) == [(2, "bad_encoding", None)]
    assert bad_records(reader)[0].place.raw == '{"name": "b\\xff"}'
    assert good_records(reader) == [(1, (None, "a", None, None)), (3, (None, "é", None, None))]
    assert [(place.number, place.line, place.offset) for place in places(reader)] == [
        (1, 1, 0),
        (3, 5, 34),
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"]
)
def test_encodings(encoding: str) -> None:
    declared = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "cp1252": "windows-1252"}
    data = '{"name": "é"}\n{"name": "ü"}\n'.encode(encoding)
    source = source_of("jsonl", COLUMNS, encoding=declared.get(encoding, encoding))
    assert [fields[1] for _, fields in good_records(reader_of(data, source))] == ["é", "ü"]


def test_damaged_utf_16_costs_only_its_record() -> None:
    data = '{"name": "a"}\n{"name": "X"}\n{"name": "b"}\n'.encode("utf-16")
    data = data.replace("X".encode("utf-16-le"), b"\x00\xd8") + b"{"
    reader = reader_of(data, source_of("jsonl", COLUMNS, encoding="utf-16"))
    assert [(number, fields[1]) for number, fields in good_records(reader)] == [(1, "a"), (3, "b")]
    assert [code for _, code, _ in verdicts(reader)] == ["bad_encoding", "bad_encoding"]


def test_freeze_refuses_an_unknown_key_wherever_it_is() -> None:
    text = '{"id": 1}\n' * 5 + '{"id": 1, "color": null}\n'
    with pytest.raises(DeliveryError) as caught:
        refused(text)
    assert (caught.value.code, caught.value.record, caught.value.column) == (
        "unknown_column",
        6,
        "color",
    )


def test_discard_row_rejects_only_a_value() -> None:
    text = '{"id": 1, "color": null}\n{"id": 2, "color": "red"}\n{"id": 3}\n'
    source = source_of("jsonl", COLUMNS, schema_contract={"new_columns": "discard_row"})
    reader = reader_of(text.encode(), source)
    assert verdicts(reader) == [(2, "unknown_value", "color")]
    assert bad_records(reader)[0].fields == ("2", None, None, None)
    assert [number for number, _ in good_records(reader)] == [1, 3]


@pytest.mark.parametrize("mode", ["evolve", "discard_value"])
def test_unknown_keys_are_names_wherever_they_first_are(mode: str) -> None:
    columns = {"id": "bigint", "city": {"data_type": "text", "from": "address.city"}}
    text = (
        '{"id": 1}\n' * 500
        + 'broken\n{"id": 2, "address": {"zip": 5, "city": "B"}, "color": {"a": 1}}\n'
    )
    source = source_of("jsonl", columns, schema_contract={"new_columns": mode})
    reader = reader_of(text.encode(), source)
    assert reader.names == ("id", "address.city", "address.zip", "color")
    assert good_records(reader)[0] == (1, ("1", None, None, None))
    assert good_records(reader)[-1] == (502, ("2", "B", "5", '{"a": 1}'))
    assert [number for number, _, _ in verdicts(reader)] == [501]


def test_keys_that_are_data_are_refused() -> None:
    text = "\n".join(json.dumps({f"key{number}": 1}) for number in range(600))
    source = source_of("jsonl", COLUMNS, schema_contract="evolve")
    with pytest.raises(DeliveryError, match="more than 500 keys"):
        reader_of(text.encode(), source)


def test_snake_case_names() -> None:
    columns = {"user_id": "text", "order_no": {"data_type": "text", "from": "OrderNo"}}
    text = '{"userId": 1, "OrderNo": 2}\n{"user_id": 3}\n'
    assert read(text, columns, column_names="snake_case") == [("1", "2"), ("3", None)]
    both = '{"userId": 1, "user_id": 2}\n'
    assert refused(both, columns, column_names="snake_case") == [(1, "bad_structure", "user_id")]


def test_a_record_over_the_cap_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "RECORD_BYTES", 1000)
    monkeypatch.setattr(lines, "SHOWN_BYTES", 10)
    long = json.dumps({"name": "x" * 5000})
    text = f'{{"id": 1}}\n{long}\n{{"id": 3}}\n{long}'
    for size in (64, 700):
        with small_batches(monkeypatch, size):
            reader = reader_of(text.encode(), source_of("jsonl", COLUMNS))
            assert [(n, c) for n, c, _ in verdicts(reader)] == [(2, "too_long"), (4, "too_long")]
            assert [number for number, _ in good_records(reader)] == [1, 3]
            assert {bad.place.raw for bad in bad_records(reader)} == {'{"name": "'}
            assert [bad.place.line for bad in bad_records(reader)] == [2, 4]


KEYS = st.sampled_from(["id", "name", "amount", "is_new"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers().map(str) | st.decimals(allow_nan=False, allow_infinity=False).map(str)
ESCAPED = st.sampled_from(
    ['"a\\u00e9\\n\\/"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\ud800"', "01", "x"]
)
VALUES = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    NUMBERS,
    ESCAPED,
    st.sampled_from(["true", "false", "null", "[1, 2]", '{"a": {}}']),
)
MEMBERS = st.lists(st.tuples(KEYS, VALUES), max_size=5) | st.fixed_dictionaries(
    {}, optional={"id": NUMBERS, "name": TEXTS.map(json.dumps), "amount": NUMBERS}
).map(lambda members: list(members.items()))


@given(records=st.lists(MEMBERS, max_size=12), spaces=st.booleans(), data=st.data())
@tried(200)
def test_the_template_changes_no_result(
    records: list[list[tuple[str, str]]],
    spaces: bool,
    data: st.DataObject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comma, colon = (", ", ": ") if spaces else (",", ":")
    written = [
        "{" + comma.join(f'"{key}"{colon}{value}' for key, value in members) + "}"
        for members in records
    ]
    text = "".join(line + data.draw(st.sampled_from(["\n", "\r\n", "\n\n"])) for line in written)
    source = source_of("jsonl", COLUMNS)
    with small_batches(monkeypatch, data.draw(st.sampled_from([16, 80, 1 << 20]))):
        fast = reader_of(text.encode(), source)
        seen = (good_records(fast), verdicts(fast), list(places(fast)))
        with monkeypatch.context() as patch:
            patch.setattr(json_records, "make_template", lambda *_: None)
            slow = reader_of(text.encode(), source)
            assert (good_records(slow), verdicts(slow), list(places(slow))) == seen
    good, bad, _ = seen
    assert sorted([n for n, _ in good] + [n for n, _, _ in bad]) == list(range(1, len(records) + 1))
    for number, fields in good:
        expected = dict(records[number - 1])
        for name, field in zip(COLUMNS, fields, strict=True):
            assert field == _meant(expected.get(name, "null"))


def _meant(written: str) -> str | None:
    value = json.loads(written, parse_float=str, parse_int=str)
    if isinstance(value, bool):
        return written
    return value if value is None or isinstance(value, str) else written


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A tenth of the file in memory would already be more than the batch that may be there."""
    import tracemalloc

    line = json.dumps({"id": 1, "name": "x" * 80, "amount": 12.5, "is_new": True}) + "\n"
    path = tmp_path / "large.jsonl"
    path.write_text(line * 400_000)
    from sluice.reading import open_reader

    reader = open_reader(lambda: path.open("rb"), source_of("jsonl", COLUMNS))
    tracemalloc.start()
    try:
        assert sum(len(batch.numbers) for batch in reader.batches()) == 400_000
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_pieces_of_any_size() -> None:
    from sluice.reading import open_reader

    text = '\ufeff{"id": 1, "name": "é"}\n{"id": 2}\n'.encode()
    reader = open_reader(opener_of(text, trickles=True), source_of("jsonl", COLUMNS))
    assert [fields[0] for _, fields in good_records(reader)] == ["1", "2"]
