"""What each encoding comes to in bronze; PostgreSQL reads those of COPY byte for byte as Python."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sluice.registry import Source
from sluice.registry.encodings import COPY_ENCODINGS, codec_of
from tests.loading.conftest import ORDERS, Shop


def by_python(byte: bytes, encoding: str) -> str | None:
    try:
        return byte.decode(codec_of(encoding))
    except UnicodeDecodeError:
        return None


def by_postgres(connection: psycopg.Connection[Any], byte: bytes, name: str) -> str | None:
    try:
        row = connection.execute("select convert_from(%s, %s)", (byte, name)).fetchone()
    except psycopg.DataError:
        return None
    return row and row[0]


@pytest.mark.parametrize("encoding", [name for name in COPY_ENCODINGS if name != "utf-8"])
def test_both_read_every_byte_alike(loader: psycopg.Connection[Any], encoding: str) -> None:
    loader.autocommit = True
    every = [bytes([number]) for number in range(1, 256)]
    differing = {
        byte: found
        for byte in every
        if (found := by_postgres(loader, byte, COPY_ENCODINGS[encoding]))
        != by_python(byte, encoding)
    }
    assert differing == {}


@pytest.mark.parametrize(
    ("encoding", "text", "damage"),
    [
        ("windows-1250", "Łódź", b"\x81"),
        ("windows-1251", "Привет", b"\x98"),
        ("iso-8859-15", "Œuf à 5 €", b""),
        ("koi8-r", "Привет", b""),
        ("cp437", "Müller ░", b""),
        ("mac-roman", "Schön ∞", b""),
        ("shift-jis", "ポ表", b"\x85"),
        ("gb18030", "丂𠀀", b"\xff"),
        ("utf-32", "Łódź 😀", b"\xff\xff\xff\xff"),
    ],
)
@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_is_written_comes_into_bronze(
    shop: Shop, encoding: str, text: str, damage: bytes, is_damaged: bool
) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), "encoding": encoding})
    data = f"order_id,product,amount\n1,{text},2.50\n".encode(codec_of(encoding))
    if is_damaged:
        more = "2,".encode(codec_of(encoding)), ",1\n".encode(codec_of(encoding))
        mark = len("".encode(codec_of(encoding)))
        data += more[0][mark:] + damage + more[1][mark:]
    shop.drop("a.csv", "").write_bytes(data)
    (entry,) = shop.load().entries
    is_rejected = is_damaged and damage != b""
    assert (entry.outcome, entry.rows_rejected) == ("loaded", int(is_rejected))
    assert shop.rows()[0] == ("a.csv", 1, 1, text)
    assert shop.query("select row_number, code from ops.rejected_rows") == (
        [(2, "bad_encoding")] if is_rejected else []
    )
