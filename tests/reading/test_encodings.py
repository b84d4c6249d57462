"""Which encoding a file is taken for, and that no single line changes it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading.encodings import declared_encoding, find_encoding

TABLE = "id;name\n1;Zoë\n2;Łódź\n3;plain\n"
WESTERN = "id;name\n1;Zoë\n2;Öl\n3;plain\n"


@pytest.mark.parametrize(
    ("mark", "codec", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8", "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
    ],
)
def test_a_byte_order_mark_decides(mark: bytes, codec: str, encoding: str) -> None:
    content = mark + TABLE.encode(codec)
    found = find_encoding(content, is_whole_file=True)
    assert (found.encoding, found.mark_bytes) == (encoding, len(mark))
    assert content[found.mark_bytes :].decode(found.encoding) == TABLE
    assert "byte order mark" in found.note


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [TABLE, "名前;町\n" + "東京;大阪\n" * 40])
def test_utf_16_without_a_mark_shows_by_its_zero_bytes(codec: str, text: str) -> None:
    found = find_encoding(text.encode(codec), is_whole_file=True)
    assert (found.encoding, found.mark_bytes) == (codec, 0)


def test_a_few_zero_bytes_make_no_utf_16() -> None:
    content = b"id,name\n" + b"1,plain text\n" * 50 + b"2,\0\0\n"
    assert find_encoding(content, is_whole_file=True).encoding == "utf-8"


def test_ascii_is_utf_8() -> None:
    found = find_encoding(b"a,b\n1,2\n", is_whole_file=True)
    assert found.encoding == "utf-8"
    assert "ASCII" in found.note


def test_an_empty_file_is_utf_8() -> None:
    assert find_encoding(b"", is_whole_file=True).encoding == "utf-8"


@pytest.mark.parametrize("size", range(12, 22))
def test_a_character_cut_at_the_end_of_the_head_is_no_damage(size: int) -> None:
    head = "id;name\n1;Zoë\n2;Łódź\n".encode()[:size]
    assert find_encoding(head, is_whole_file=False).encoding == "utf-8"


def test_damaged_lines_do_not_change_what_the_others_mean() -> None:
    content = ("é,1\n" * 10).encode() + b"\xff,2\n" * 9
    found = find_encoding(content, is_whole_file=True)
    assert found.encoding == "utf-8"
    assert "9 are damaged" in found.note


def test_one_damaged_line_among_ascii_is_no_evidence() -> None:
    assert find_encoding(b"a\n" * 9 + b"\xff\n", is_whole_file=True).encoding == "utf-8"


def test_what_is_no_utf_8_is_a_guess_and_said_to_be_one() -> None:
    found = find_encoding(WESTERN.encode("windows-1252"), is_whole_file=True)
    assert found.encoding == "windows-1252"
    assert "guess" in found.note


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF32_LE + TABLE.encode("utf-32-le"),
        codecs.BOM_UTF32_BE + TABLE.encode("utf-32-be"),
        b"\x81\x8d\n\x90\x9d\n",
    ],
)
def test_what_is_no_text_that_is_read_is_refused(content: bytes) -> None:
    with pytest.raises(DeliveryError) as caught:
        find_encoding(content, is_whole_file=True)
    assert caught.value.code == "bad_encoding"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "windows-1252"])
def test_a_declared_encoding_is_taken(encoding: str) -> None:
    found = declared_encoding(b"a,b\n", encoding)
    assert (found.encoding, found.mark_bytes) == (encoding, 0)


def test_the_mark_of_declared_utf_8_is_passed_over() -> None:
    assert declared_encoding(codecs.BOM_UTF8 + b"a\n", "utf-8").mark_bytes == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (codecs.BOM_UTF16_BE + "a\n".encode("utf-16-be"), ("utf-16-be", 2)),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le"), ("utf-16-le", 2)),
        (TABLE.encode("utf-16-be"), ("utf-16-be", 0)),
        (b"", ("utf-16-le", 0)),
    ],
)
def test_declared_utf_16_gets_its_byte_order_from_the_file(
    content: bytes, expected: tuple[str, int]
) -> None:
    found = declared_encoding(content, "utf-16")
    assert (found.encoding, found.mark_bytes) == expected


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "latin-1"),
        (codecs.BOM_UTF8, "windows-1252"),
        (codecs.BOM_UTF8, "utf-16"),
        (codecs.BOM_UTF16_LE, "utf-8"),
    ],
)
def test_a_mark_that_contradicts_the_declaration_refuses_the_file(
    mark: bytes, encoding: str
) -> None:
    with pytest.raises(DeliveryError, match="byte order mark") as caught:
        declared_encoding(mark + b"a\n", encoding)
    assert caught.value.code == "bad_encoding"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))), min_size=1))
def test_valid_utf_8_is_taken_for_it(lines: list[str]) -> None:
    content = "\n".join(lines).encode()
    if content.startswith(codecs.BOM_UTF8):
        return
    assert find_encoding(content, is_whole_file=True).encoding == "utf-8"
