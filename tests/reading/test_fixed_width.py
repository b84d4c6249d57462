from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading import lines, open_reader
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

COLUMNS = {
    "id": {"data_type": "bigint", "start": 1, "width": 4},
    "name": {"data_type": "text", "start": 6, "width": 5},
    "first": {"data_type": "text", "start": 6, "width": 1},
}
SOURCE = source_of("fixed_width", COLUMNS)


def test_a_null_word_is_one_wherever_it_is_aligned() -> None:
    columns = {
        "amount": {"data_type": "bigint", "start": 1, "width": 6, "values": {"null_values": ["-"]}},
        "name": {"data_type": "text", "start": 7, "width": 7},
    }
    source = source_of("fixed_width", columns, values={"null_values": ["NULL", "  n/a"]})
    data = b"     -   NULL\n-     NULL   \n  NULL  NULLy\n    12    n/a\n     2  n/a  \n"
    assert good_records(reader_of(data, source)) == [
        (1, ("-", "NULL")),
        (2, ("-", "NULL")),
        (3, ("  NULL", "  NULLy")),  # null words of the column itself go before the source's
        (4, ("    12", "    n/a")),
        (5, ("     2", "  n/a")),
    ]


def test_fields_are_cut_at_their_places() -> None:
    data = "   1 Köln \r\n   2 a b  \n     \u3042    \n     \t\u00a0   ".encode()
    reader = reader_of(data, SOURCE)
    assert reader.names == ("id", "name", "first")
    assert good_records(reader) == [
        (1, ("   1", "Köln", "K")),
        (2, ("   2", "a b", "a")),
        (3, (None, "\u3042", "\u3042")),
        (4, (None, "\t\u00a0", "\t")),
    ]
    assert not bad_records(reader)
    assert [(place.line, place.offset) for place in places(reader)] == [
        (1, 0),
        (2, 13),
        (3, 24),
        (4, 37),
    ]


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        (b"   1 abc", "ragged_row", "The line has 8 characters; its columns take 10."),
        (b"   1 abcdeX", "ragged_row", "The line goes on after its last column, with 'X'."),
        (b"   1 ab\xffde", "bad_encoding", "byte 0xFF after 7 characters"),
        (b"   1 ab\0de", "nul_byte", "NUL"),
    ],
)
def test_a_bad_line_is_rejected_alone(line: bytes, code: str, reason: str) -> None:
    data = b"   1 a    \n" + line + b"\n\n   3 c       \n"
    reader = reader_of(data, SOURCE)
    assert verdicts(reader) == [(2, code, None)]
    assert reason in bad_records(reader)[0].reason
    assert bad_records(reader)[0].place.raw == line.decode(errors="backslashreplace")
    assert good_records(reader) == [(1, ("   1", "a", "a")), (3, ("   3", "c", "c"))]


def test_lines_of_spaces_are_no_records() -> None:
    assert good_records(reader_of(b"\n          \n   1 a    \n \n", SOURCE)) == [
        (1, ("   1", "a", "a"))
    ]
    assert good_records(reader_of(b"", SOURCE)) == []


def test_a_line_over_the_cap_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "RECORD_BYTES", 1000)
    data = b"   1 a    \n" + b"x" * 3000 + b"\n   3 c    \n"
    with small_batches(monkeypatch, 100):
        reader = reader_of(data, SOURCE)
        assert verdicts(reader) == [(2, "too_long", None)]
        assert [number for number, _ in good_records(reader)] == [1, 3]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "windows-1252", "auto"])
def test_encodings(encoding: str) -> None:
    written = {"auto": "utf-8"}.get(encoding, encoding)
    source = source_of("fixed_width", COLUMNS, encoding=encoding)
    data = "   1 Köln \n   2 Zoë  \n".encode(written)
    assert [fields[1] for _, fields in good_records(reader_of(data, source))] == ["Köln", "Zoë"]
    trickling = open_reader(opener_of(data, trickles=True), source)
    assert good_records(trickling) == good_records(reader_of(data, source))


ALPHABET = st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"])
VALUES = st.text(ALPHABET, max_size=5).map(lambda text: text.rstrip(" "))


@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=10),
    damage=st.lists(st.sampled_from(["", "", "short", "long", "byte"]), min_size=10, max_size=10),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.sampled_from([5, 30, 1 << 20]),
)
@tried(200)
def test_each_line_gets_its_own_verdict(
    rows: list[tuple[str, str]],
    damage: list[str],
    end: str,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = {
        "a": {"data_type": "text", "start": 1, "width": 5},
        "b": {"data_type": "text", "start": 7, "width": 5},
    }
    data, expected, wrong = b"", [], []
    for number, (row, kind) in enumerate(zip(rows, damage, strict=False), start=1):
        line = f"x{row[0]:4.4} {row[1]:5}"
        value = ("x" + row[0][:4]).rstrip(" "), row[1] or None
        written = {"short": line[:-1], "long": line + "!"}.get(kind, line).encode()
        data += (written[:7] + b"\xff" + written[7:] if kind == "byte" else written) + end.encode()
        if kind:
            wrong.append(number)
        else:
            expected.append((number, value))
    with small_batches(monkeypatch, size):
        reader = reader_of(data, source_of("fixed_width", columns))
        assert [number for number, _, _ in verdicts(reader)] == wrong
        assert good_records(reader) == expected
