from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import json_scanner, lines, open_reader
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

COLUMNS = {"id": "bigint", "name": "text"}


def read(text: str, path: str = "", **keys: Any) -> list[tuple[int, tuple[str | None, ...]]]:
    reader = reader_of(text.encode(), source_of("json", COLUMNS, json={"path": path}, **keys))
    assert not bad_records(reader)
    return good_records(reader)


RECORDS = [(1, ("1.50", "a")), (2, (None, "b]"))]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[{"id": 1.50, "name": "a"}, {"name": "b]"}]', ""),
        (' [\n  {\n    "id": 1.50,\n    "name": "a"\n  },\n  {"name":"b]"}\n]\n', ""),
        (
            (
                '{"x": {"items": 1}, "data": {"n": "[", "items": [{"id": 1.50, "name": "a"},'
                '{"name": "b]"}], "z": [[1], {}]}, "y": null}'
            ),
            "data.items",
        ),
    ],
)
def test_the_records_of_an_array(text: str, path: str) -> None:
    assert read(text, path) == RECORDS
    reader = open_reader(
        opener_of(text.encode(), trickles=True), source_of("json", COLUMNS, json={"path": path})
    )
    assert good_records(reader) == RECORDS
    for place in places(reader):
        assert text.encode()[place.offset :].startswith(place.raw.encode())
        assert text[: place.offset].count("\n") + 1 == place.line


@pytest.mark.parametrize("text", ["[]", " [ ] \n"])
def test_an_empty_array_has_no_records(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("5", "bad_structure"),
        ("null", "bad_structure"),
        ("[1, 2]", "bad_structure"),
        ('"a"', "bad_structure"),
        ('{"id": 01}', "bad_structure"),
        ('{"id" 1}', "bad_structure"),
        ('{"id": 1, "id": 1}', "bad_structure"),
        ('{"name": "\\u0000"}', "nul_byte"),
        ('{"name": "a\nb"}', "bad_structure"),
        ('{"name": ' + "[" * 300 + "]" * 300 + "}", "bad_structure"),
    ],
)
def test_a_bad_record_is_rejected_alone(element: str, code: str) -> None:
    text = f'[{{"id": 1}}, {element}, {{"id": 3}}]'
    reader = reader_of(text.encode(), source_of("json", COLUMNS))
    assert [(number, code_) for number, code_, _ in verdicts(reader)] == [(2, code)]
    assert [number for number, _ in good_records(reader)] == [1, 3]
    assert bad_records(reader)[0].place.raw == element
    assert bad_records(reader)[0].place.offset == 12


def test_bad_bytes_cost_only_their_record() -> None:
    data = b'[{"name": "a"}, {"name": "\xff"}, {"name": "c"}]'
    reader = reader_of(data, source_of("json", COLUMNS))
    assert verdicts(reader) == [(2, "bad_encoding", None)]
    assert bad_records(reader)[0].place.raw == '{"name": "\\xff"}'


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("", "", "at its end, an array of records is expected"),
        ('{"a": []}', "", "an array of records is expected"),
        ('{"a": []}', "b", "has no key 'b'"),
        ('{"a": {}}', "a", "an array of records is expected"),
        ('[{"id": 1}', "", "a comma or ] is expected"),
        ('[{"id": 1}, ', "", "a value is expected"),
        ('[{"id": 1},]', "", "a value is expected"),
        ('[{"id": 1} {"id": 2}]', "", "a comma or ] is expected"),
        ('[{"id": [1}, {"id": 2}]', "", "does not close"),
        ('[{"id": "1}, {"id": 2}]', "", "never closed|does not close|is expected"),
        ('[{"id": 1}] x', "", "the end of the file is expected"),
        ('{"a": [{"id": 1}]', "a", "a comma or } is expected"),
        ('{"a": [{"id": 1}], "a": []}', "a", "stands twice"),
        ('{"a": [], "b": "x', "a", "never closed"),
        ("[" * 100_000, "", "does not close"),
        ('{"next": bla, "items": []}', "items", "a value is expected"),
        ('{"items": [], "y": 01}', "items", "a value is expected"),
        ('{"items": [], "y": nul}', "items", "a value is expected"),
        ('{"y": {"a": 1 "b": 2}, "items": []}', "items", "a comma or } is expected"),
        ('{"y": [1, 2,], "items": []}', "items", "a value is expected after the comma"),
        ('{"y": "a\nb", "items": []}', "items", "a character of a string"),
        ('{"y": ' + "[" * 100_000, "items", "a value is expected"),
    ],
)
def test_a_broken_document_is_refused(text: str, path: str, message: str) -> None:
    source = source_of("json", COLUMNS, json={"path": path})
    with pytest.raises(DeliveryError, match=message) as caught:
        good_records(reader_of(text.encode(), source))
    assert caught.value.code == "bad_structure"


# A value, or what is none, in pieces that make both.
JSON_PIECES = st.sampled_from(
    [
        *['{"a":', '{"b" : ', "{", "}", "}", "[", "[", "]", "]", ",", ", ", " ", "\n", ":"],
        *['"x"', '"\\n\\u00e9"', '"\\x"', '"\\u12"', '"a\tb"', '"', "\\", '"é"'],
        *["0", "01", "-1.5e+3", "1.", ".5", "-", "true", "nul", "null", "NaN", "bla", "{}", "[]"],
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)


def is_json(text: str) -> bool:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@tried(300)
@given(
    st.lists(JSON_PIECES, max_size=12).map("".join)
    | st.builds(json.dumps, VALUES, indent=st.sampled_from([None, 1]), ensure_ascii=st.booleans())
    | st.builds(
        lambda value, start, end: json.dumps(value)[start:end], VALUES, st.just(0), st.integers(1)
    ),
    st.booleans(),
    st.integers(1, 40),
)
def test_what_stands_around_the_array_is_json(value: str, is_before: bool, size: int) -> None:
    member = f'"other": {value}'
    text = f'{{{member}, "items": [{{"id": 1}}]}}'
    if not is_before:
        text = f'{{"items": [{{"id": 1}}], {member}}}'
    source = source_of("json", COLUMNS, encoding="utf-8", json={"path": "items"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BATCH_BYTES", size)
        try:
            found: object = good_records(reader_of(text.encode(), source))
        except DeliveryError as error:
            found = error.code
    assert found == ([(1, ("1", None))] if is_json(text) else "bad_structure")


def test_keys_are_in_the_encoding_of_the_file() -> None:
    text = '{"größe": 1, "stücke": [{"id": 1}]}'
    source = source_of("json", COLUMNS, encoding="latin-1", json={"path": "stücke"})
    assert good_records(reader_of(text.encode("latin-1"), source)) == [(1, ("1", None))]


def test_unknown_keys() -> None:
    text = '[{"id": 1}, {"id": 2, "color": "red"}]'
    with pytest.raises(DeliveryError, match="Record 2 has 'color'"):
        read(text)
    source = source_of("json", COLUMNS, schema_contract="evolve")
    reader = reader_of(text.encode(), source)
    assert reader.names == ("id", "name", "color")
    assert good_records(reader) == [(1, ("1", None, None)), (2, ("2", None, "red"))]


def test_a_record_over_the_cap_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_scanner, "RECORD_BYTES", 1000)
    monkeypatch.setattr(json_scanner, "SHOWN_BYTES", 10)
    long = json.dumps({"name": 'x"{' * 5000})
    text = f'[{{"id": 1}},{long},{{"id": 3}},{long}]'
    for size in (64, 1 << 20):
        with small_batches(monkeypatch, size):
            reader = reader_of(text.encode(), source_of("json", COLUMNS))
            assert [(n, c) for n, c, _ in verdicts(reader)] == [(2, "too_long"), (4, "too_long")]
            assert [number for number, _ in good_records(reader)] == [1, 3]
            assert {bad.place.raw for bad in bad_records(reader)} == {'{"name": "'}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"id": st.integers(), "name": st.text('a"\\[{é\n'), "more": JSON}
    )
)


@given(
    rows=ROWS,
    before=JSON,
    after=JSON,
    indent=st.sampled_from([None, 0, 2]),
    size=st.sampled_from([8, 50, 1 << 20]),
    in_ascii=st.booleans(),
)
@tried(200)
def test_what_was_written_is_read(
    rows: list[dict[str, Any]],
    before: Any,
    after: Any,
    indent: int | None,
    size: int,
    in_ascii: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = {"before": before, "data": {"rows": rows}, "after": after}
    text = json.dumps(document, indent=indent, ensure_ascii=in_ascii)
    source = source_of("json", {**COLUMNS, "more": "json"}, json={"path": "data.rows"})
    with small_batches(monkeypatch, size):
        reader = reader_of(text.encode(), source)
        good = good_records(reader)
        assert not bad_records(reader)
        raws = [json.loads(place.raw) for place in places(reader)]
    assert raws == rows
    assert [number for number, _ in good] == list(range(1, len(rows) + 1))
    for row, (_, (id_, name, more)) in zip(rows, good, strict=True):
        assert id_ == (str(row["id"]) if "id" in row else None)
        assert name == row.get("name")
        assert (None if more is None else json.loads(more)) == row.get("more")
