"""The encodings that text files may be in: one table, which everything else derives from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

# `auto` looks at the file. A test holds this and the table against each other.
Encoding = Literal[
    "auto",
    "utf-8",
    "utf-16",
    "utf-32",
    "latin-1",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1257",
    "iso-8859-2",
    "iso-8859-5",
    "iso-8859-7",
    "iso-8859-9",
    "iso-8859-15",
    "koi8-r",
    "cp437",
    "cp850",
    "mac-roman",
    "shift-jis",
    "euc-kr",
    "gb18030",
    "big5",
]


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """What reads an encoding.

    Attributes:
        codec: Python's codec.
        copy_name: PostgreSQL's name, where COPY can read a file as it is; None where it does not
            know the encoding, or decodes a byte otherwise than Python: a test looks at all 256.
        is_transcoded: whether a byte below 128 can be a part of another character there, so that
            no delimiter or line end can be found in the file's own bytes: it is read as UTF-8.
    """

    codec: str
    copy_name: str | None = None
    is_transcoded: bool = False


TEXT_ENCODINGS: Mapping[str, TextEncoding] = MappingProxyType(
    {
        "utf-8": TextEncoding("utf-8", "UTF8"),
        "utf-16": TextEncoding("utf-16", is_transcoded=True),
        "utf-32": TextEncoding("utf-32", is_transcoded=True),
        "latin-1": TextEncoding("latin-1", "LATIN1"),
        "windows-1250": TextEncoding("cp1250", "WIN1250"),
        "windows-1251": TextEncoding("cp1251", "WIN1251"),
        "windows-1252": TextEncoding("cp1252", "WIN1252"),
        "windows-1253": TextEncoding("cp1253", "WIN1253"),
        "windows-1254": TextEncoding("cp1254", "WIN1254"),
        "windows-1257": TextEncoding("cp1257", "WIN1257"),
        "iso-8859-2": TextEncoding("iso8859-2", "LATIN2"),
        "iso-8859-5": TextEncoding("iso8859-5", "ISO_8859_5"),
        "iso-8859-7": TextEncoding("iso8859-7", "ISO_8859_7"),
        "iso-8859-9": TextEncoding("iso8859-9", "LATIN5"),
        "iso-8859-15": TextEncoding("iso8859-15", "LATIN9"),
        "koi8-r": TextEncoding("koi8-r", "KOI8R"),
        "cp437": TextEncoding("cp437"),
        "cp850": TextEncoding("cp850"),
        "mac-roman": TextEncoding("mac-roman"),
        # As Windows writes them: it has more characters than the standards of these names.
        "shift-jis": TextEncoding("cp932", is_transcoded=True),
        "euc-kr": TextEncoding("cp949", is_transcoded=True),
        "gb18030": TextEncoding("gb18030", is_transcoded=True),
        "big5": TextEncoding("cp950", is_transcoded=True),
    }
)

# What COPY reads by itself, and how PostgreSQL calls it.
COPY_ENCODINGS: Mapping[str, str] = MappingProxyType(
    {name: each.copy_name for name, each in TEXT_ENCODINGS.items() if each.copy_name}
)

# UTF-16 and UTF-32 by their byte order, which the file itself says.
ORDERED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def codec_of(encoding: str) -> str:
    """Python's codec for an encoding; a name that is not the registry's is Python's own."""
    known = TEXT_ENCODINGS.get(encoding)
    return known.codec if known else encoding


def is_transcoded(encoding: str) -> bool:
    """Whether files in an encoding are read as UTF-8: see ``TextEncoding``."""
    known = TEXT_ENCODINGS.get(encoding)
    return known.is_transcoded if known else encoding in ORDERED
