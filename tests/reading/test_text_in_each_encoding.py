"""The same records in each encoding that may be declared, damaged ones among them."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reading import lines
from sluice.reading.lines import TextFile
from sluice.registry.encodings import TEXT_ENCODINGS, Encoding, codec_of, is_transcoded
from tests.reading.csv_files import csv_reader
from tests.reading.readers import (
    bad_records,
    good_records,
    opener_of,
    places,
    reader_of,
    source_of,
    verdicts,
)

# Second bytes that are a delimiter, a quote or a backslash elsewhere are among them.
LETTERS = {
    "shift-jis": "ポ表十ソ",
    "gb18030": "\u4e42\u4e97\u4e02丂𠀀",
    "big5": "許功蓋\u5e3d",
    "euc-kr": "서울똠",
    "windows-1250": "Łódź",
    "iso-8859-2": "Łódź",
    "windows-1251": "Привет",
    "iso-8859-5": "Привет",
    "koi8-r": "Привет",
    "windows-1253": "Ελλάδα",
    "iso-8859-7": "Ελλάδα",
    "windows-1254": "İşığ",
    "iso-8859-9": "İşığ",
    "windows-1257": "Žąė",
    "iso-8859-15": "Œuf€",
    "cp437": "Müller░",
    "cp850": "Müller░",
    "mac-roman": "Schön∞",
    "utf-16": "Łódź😀",
    "utf-32": "Łódź😀",
}

# What is no text, where there is such a thing; UTF-16's is half a pair.
DAMAGE = {
    "utf-8": b"\xff",
    "utf-16": b"\x00\xd8",
    "utf-32": b"\xff\xff\xff\xff",
    "shift-jis": b"\x85",
    "euc-kr": b"\xff",
    "gb18030": b"\xff",
    "big5": b"\xff",
    "windows-1250": b"\x81",
    "windows-1251": b"\x98",
    "windows-1252": b"\x81",
    "windows-1253": b"\x81",
    "windows-1254": b"\x81",
    "windows-1257": b"\x81",
    "iso-8859-7": b"\xff",
}

LAYOUTS: dict[str, tuple[dict[str, Any], str]] = {
    "csv": ({"dialect": {"delimiter": "|"}}, "{id}|{name}\n"),
    "jsonl": ({}, '{{"id": {id}, "name": "{name}"}}\n'),
    "fixed_width": ({}, "{id} {name:<9}\n"),
}

COLUMNS: dict[str, Any] = {
    "id": {"data_type": "bigint"},
    "name": {"data_type": "text"},
}
PLACES = {"id": {"start": 1, "width": 1}, "name": {"start": 3, "width": 9}}


def letters_of(encoding: str) -> str:
    return LETTERS.get(encoding, "Größe")


def source_in(format_: str, encoding: str) -> Any:
    columns = COLUMNS
    if format_ == "fixed_width":
        columns = {name: COLUMNS[name] | PLACES[name] for name in COLUMNS}
    return source_of(format_, columns, encoding=encoding, **LAYOUTS[format_][0])


def text_in(format_: str, names: list[str]) -> str:
    pattern = LAYOUTS[format_][1]
    lines = [pattern.format(id=number, name=name) for number, name in enumerate(names, 1)]
    return "".join(["id|name\n" if format_ == "csv" else "", *lines])


def test_the_registry_takes_each_encoding_of_the_table() -> None:
    assert set(typing.get_args(Encoding)) == {"auto", *TEXT_ENCODINGS}


@pytest.mark.parametrize("format_", LAYOUTS)
@pytest.mark.parametrize("encoding", TEXT_ENCODINGS)
def test_what_was_written_is_read(format_: str, encoding: str) -> None:
    names = [letters_of(encoding), "plain", letters_of(encoding)[::-1]]
    data = text_in(format_, names).encode(codec_of(encoding))
    reader = reader_of(data, source_in(format_, encoding))
    assert [fields[1] for _, fields in good_records(reader)] == names
    assert verdicts(reader) == []
    if encoding not in ("utf-16", "utf-32"):
        assert [place.raw for place in places(reader)][-1].count(names[-1]) == 1


@pytest.mark.parametrize("format_", LAYOUTS)
@pytest.mark.parametrize("encoding", DAMAGE)
def test_damage_costs_only_its_record(format_: str, encoding: str) -> None:
    name = letters_of(encoding)
    mark = "~".encode(codec_of(encoding))[-4:] if encoding != "utf-16" else "~".encode("utf-16-le")
    if encoding == "utf-32":
        mark = "~".encode("utf-32-le")
    text = text_in(format_, [name, "X~Y", name])
    data = text.encode(codec_of(encoding)).replace(mark, DAMAGE[encoding])
    reader = reader_of(data, source_in(format_, encoding))
    assert [(number, fields[1]) for number, fields in good_records(reader)] == [
        (1, name),
        (3, name),
    ]
    (bad,) = bad_records(reader)
    assert (bad.place.number, bad.code) == (2, "bad_encoding")
    assert bad.place.line == (3 if format_ == "csv" else 2)
    assert f"is no text in {encoding}" in bad.reason or encoding in ("utf-16", "utf-32")
    shown = bad.place.raw.partition("X")[2].partition("Y")[0]
    assert shown == "".join(f"\\x{byte:02x}" for byte in DAMAGE[encoding])


@pytest.mark.parametrize("encoding", ["shift-jis", "euc-kr", "gb18030", "big5"])
def test_half_a_character_takes_no_delimiter_along(encoding: str) -> None:
    data = b"id|name\n1\x81|a\n2|b\x81\n3|c\n"
    reader = reader_of(data, source_in("csv", encoding))
    assert [number for number, _ in good_records(reader)][-1] == 3
    assert [(number, code) for number, code, _ in verdicts(reader)][-1] == (2, "bad_encoding")


@pytest.mark.parametrize("encoding", [name for name in TEXT_ENCODINGS if is_transcoded(name)])
def test_a_file_that_ends_within_a_character(encoding: str) -> None:
    data = f'{{"id": 1}}\n{{"id": 2}}{letters_of(encoding)[-1]}'.encode(codec_of(encoding))
    reader = reader_of(data[:-1], source_in("jsonl", encoding))
    assert [number for number, _ in good_records(reader)] == [1]
    assert [(number, code) for number, code, _ in verdicts(reader)] == [(2, "bad_encoding")]


@given(
    st.lists(st.sampled_from([b"\0", b"\n", b"1", b"|", b"\x81", b"\xd8", b"\xdc", b"\xff"])),
    st.sampled_from([name for name in TEXT_ENCODINGS if is_transcoded(name)]),
    st.integers(1, 5),
)
def test_what_is_no_text_does_not_depend_on_how_much_is_read_at_once(
    parts: list[bytes], encoding: str, size: int
) -> None:
    data = b"".join(parts)
    file = TextFile(opener_of(data), encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BATCH_BYTES", size)
        shown = file.shown(b"".join(file.pieces()))
    assert shown == file.shown(b"".join(file.pieces()))


@pytest.mark.parametrize(
    ("encoding", "rest", "shown"),
    [
        ("utf-16-le", b"1", "\\x31"),
        ("utf-16-be", b"\0", "\\x00"),
        ("utf-16-le", b"\x80\xdc1\0", "\\x80\\xdc1"),
        ("utf-16-le", b"\x00\xd8", "\\x00\\xd8"),
        ("utf-32-be", b"\0\1x", "\\x00\\x01\\x78"),
        ("gb18030", b"\x810\x81", "\\x810\\x81"),
        ("shift-jis", b"\x85", "\\x85"),
        ("utf-8", b"\xff", "\\xff"),
    ],
)
def test_bytes_that_are_no_text_are_shown_as_they_are(
    encoding: str, rest: bytes, shown: str
) -> None:
    data = "a,b\n1,x\n2,y\n".encode(codec_of(encoding)) + rest
    for end in (b"", ",x\n".encode(codec_of(encoding))):
        if end and len(rest) % len("x".encode(codec_of(encoding))):
            continue
        (bad,) = bad_records(csv_reader(data + end, encoding=encoding))
        assert (bad.place.number, bad.code) == (3, "bad_encoding")
        assert bad.place.raw == shown + ",x" * bool(end)
        assert "is no text in" in bad.reason


def test_what_is_no_text_is_shown_by_its_bytes() -> None:
    file = TextFile(opener_of(b"a\xffb"), "gb18030")
    data = b"".join(file.pieces())
    assert file.shown(data) == r"a\xffb"
    assert file.shown(data[:-2]).startswith("a")
    assert file.undecodable(file.text(data)) == "what follows 1 characters is no text in gb18030"


@given(
    data=st.lists(st.sampled_from([b"a", b"|", b"\n", b"\x81", b"\x85", b"\xff", b"\x8f\xa1"])),
    encoding=st.sampled_from([name for name in TEXT_ENCODINGS if is_transcoded(name)]),
)
def test_line_ends_are_found_whatever_is_before_them(data: list[bytes], encoding: str) -> None:
    whole = b"".join(data)
    pieces = b"".join(TextFile(opener_of(whole, trickles=True), encoding).pieces())
    assert pieces == b"".join(TextFile(opener_of(whole), encoding).pieces())
    if encoding in ("shift-jis", "euc-kr", "gb18030", "big5"):
        assert pieces.count(b"\n") == whole.count(b"\n")
        assert (b"|" in pieces) <= (b"|" in whole)
