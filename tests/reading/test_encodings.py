"""Which encoding a file is taken for, and that no single line changes it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading.encodings import declared_encoding, find_encoding
from sluice.registry.encodings import TEXT_ENCODINGS, codec_of

TABLE = "id;name\n1;Zoë\n2;Łódź\n3;plain\n"
WESTERN = "id;name\n1;Größe\n2;Öl, 20 °C\n3;Jäger\n"


@pytest.mark.parametrize(
    ("mark", "codec", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8", "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32-be"),
        (b"\x84\x31\x95\x33", "gb18030", "gb18030"),
    ],
)
def test_a_byte_order_mark_decides(mark: bytes, codec: str, encoding: str) -> None:
    content = mark + TABLE.encode(codec)
    found = find_encoding(content, is_whole_file=True)
    assert (found.encoding, found.mark_bytes) == (encoding, len(mark))
    assert content[found.mark_bytes :].decode(found.encoding) == TABLE
    assert "byte order mark" in found.note


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    [TABLE, "a\n1\n", "名前;町\n" + "東京;大阪\n" * 40, "имя;город\nИван;Киров\n", "丁;上\n"],
)
def test_utf_16_and_utf_32_without_a_mark_show_by_their_zero_bytes(codec: str, text: str) -> None:
    found = find_encoding(text.encode(codec), is_whole_file=True)
    assert (found.encoding, found.mark_bytes) == (codec, 0)


def test_a_few_zero_bytes_make_no_utf_16() -> None:
    content = b"id,name\n" + b"1,plain text\n" * 50 + b"2,\0\0\n"
    assert find_encoding(content, is_whole_file=True).encoding == "utf-8"


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n1,a\0\n2,b\n",
        b"id,name\n1,a\0b\n",
        b"id,name\n1,\0a\n2,\0b\n",
        b"id\n\0\n",
        b"1\0\n",
        b"\0\n",
        b"1,\0\n" * 50,
    ],
)
def test_zero_bytes_of_damaged_records_make_no_utf_16(content: bytes) -> None:
    assert find_encoding(content, is_whole_file=True).encoding == "utf-8"


def test_a_zero_byte_in_another_encoding_makes_no_utf_16() -> None:
    content = b"id,name\n" + "1,größe\0\n2,ölig\n".encode("windows-1252")
    assert find_encoding(content, is_whole_file=True).encoding == "windows-1252"


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


def test_windows_1252_is_taken_where_no_other_encoding_makes_another_text() -> None:
    found = find_encoding(WESTERN.encode("windows-1252"), is_whole_file=True)
    assert found.encoding == "windows-1252"
    assert "no other encoding makes another text" in found.note


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        (TABLE, "windows-1250", "make text in windows-1250 only"),
        ("1;España\n2;Niño\n", "windows-1252", "'Espańa' in windows-1250, 'España' in windows-125"),
        ("1;élève\n2;été\n", "windows-1252", "'élčve' in windows-1250, 'élève' in windows-1252"),
        ("1;Привет\n2;Мир\n", "windows-1251", "'Привет' in windows-1251"),
        ("1;Привет\n2;Мир\n", "koi8-r", "in koi8-r only"),
        ("1;Γειά\n2;Ελλάδα\n", "windows-1253", "'Γειά' in windows-1253"),
        ("1;İstanbul\n2;şehir\n", "windows-1254", "'İstanbul' in windows-1254"),
        ("1;Müller\n2;Jäger\n", "cp850", "'Müller' in cp437"),
        ("1;Müller\n2;Größe\n", "mac-roman", "in mac-roman only"),
        ("1;é\n2;é\n", "windows-1252", "'é' in windows-1250, 'й' in windows-1251"),
        ("1;שלום\n2;עולם\n", "windows-1255", "in windows-1251"),
    ],
)
def test_what_can_be_several_texts_is_refused(text: str, encoding: str, shown: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        find_encoding(text.encode(encoding), is_whole_file=True)
    assert caught.value.code == "bad_encoding"
    assert shown in str(caught.value)
    assert "Declare its encoding" in caught.value.remedy


@pytest.mark.parametrize("encoding", ["shift-jis", "euc-kr", "gb18030", "big5"])
def test_several_bytes_a_character_are_never_taken_for_one(encoding: str) -> None:
    text = {"shift-jis": "東京", "euc-kr": "서울", "gb18030": "北京", "big5": "臺北"}[encoding]
    with pytest.raises(DeliveryError) as caught:
        find_encoding(f"1;{text}\n2;{text}{text}\n".encode(codec_of(encoding)), is_whole_file=True)
    assert caught.value.code == "bad_encoding"


def test_a_file_that_is_not_looked_at_as_a_whole_is_not_taken_for_windows_1252() -> None:
    with pytest.raises(DeliveryError, match="longer than what is looked at"):
        find_encoding(WESTERN.encode("windows-1252"), is_whole_file=False)


def test_a_line_of_utf_8_in_another_encoding_refuses_the_file() -> None:
    content = WESTERN.encode("windows-1252") + "4;Bär\n".encode()
    with pytest.raises(DeliveryError, match="3 of 4 lines"):
        find_encoding(content, is_whole_file=True)


def test_damaged_words_do_not_say_what_the_others_are_in() -> None:
    lines = [f"{chr(97 + n)}größer;Jäger{n}\n".encode("windows-1252") for n in range(20)]
    found = find_encoding(b"".join(lines) + b"\x81\x8d\n", is_whole_file=True)
    assert found.encoding == "windows-1252"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(DeliveryError, match="no text in UTF-8, nor in any") as caught:
        find_encoding(b"a\x81b\xb6c\n\xff\xb0\xdb\n", is_whole_file=True)
    assert caught.value.code == "bad_encoding"


@pytest.mark.parametrize(
    "encoding", [name for name in TEXT_ENCODINGS if name not in ("utf-16", "utf-32")]
)
def test_a_declared_encoding_is_taken(encoding: str) -> None:
    found = declared_encoding(b"a,b\n", encoding)
    assert (found.encoding, found.mark_bytes) == (encoding, 0)


def test_the_mark_of_declared_utf_8_is_passed_over() -> None:
    assert declared_encoding(codecs.BOM_UTF8 + b"a\n", "utf-8").mark_bytes == 3


def test_what_is_so_by_default_is_not_said_to_be_declared() -> None:
    assert declared_encoding(b"a\n", "utf-8").note == "Encoding utf-8."
    assert declared_encoding(b"a\n", "windows-1252").note == "Encoding windows-1252, as declared."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (codecs.BOM_UTF16_BE + "a\n".encode("utf-16-be"), ("utf-16-be", 2)),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le"), ("utf-16-le", 2)),
        (TABLE.encode("utf-16-be"), ("utf-16-be", 0)),
        (b"", ("utf-16-le", 0)),
        (codecs.BOM_UTF32_BE + "a\n".encode("utf-32-be"), ("utf-32-be", 4)),
        (TABLE.encode("utf-32-le"), ("utf-32-le", 0)),
        (TABLE.encode("utf-32-be"), ("utf-32-be", 0)),
    ],
)
def test_declared_utf_16_and_utf_32_get_their_byte_order_from_the_file(
    content: bytes, expected: tuple[str, int]
) -> None:
    found = declared_encoding(content, expected[0][:6])
    assert (found.encoding, found.mark_bytes) == expected


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "latin-1"),
        (codecs.BOM_UTF8, "windows-1252"),
        (codecs.BOM_UTF8, "utf-16"),
        (codecs.BOM_UTF16_LE, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-16"),
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
