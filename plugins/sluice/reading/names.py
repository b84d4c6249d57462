"""Names that a file gives its fields, as names of columns."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from sluice.errors import DeliveryError
from sluice.registry.formats import LONGEST_NAME
from sluice.registry.models import SYSTEM_COLUMNS

# What no text of PostgreSQL can hold, and what is no character at all.
NOT_TEXT = re.compile("[\0\ud800-\udfff]")

# What dlt writes for these; all else that is no letter, digit or underscore becomes one of those.
SPOKEN = str.maketrans("+-*@|", "x_xal")

# Signs that stand between words and mean nothing else, beside dashes, brackets and quotes.
_SEPARATORS = frozenset("_.,:;/\\'\"")


def snake_case(name: str) -> str:
    """A name as dlt normalises it, in any script: small letters, digits and single underscores.

    Spaces around it go. A capital begins a new word (``OrderID`` is ``order_id``). ``+`` and ``*``
    become ``x``, ``@`` becomes ``a``, ``|`` becomes ``l``; every other run of what are no letters
    and no digits becomes one underscore (``Größe (cm)`` is ``größe_cmx``), an underscore at the
    end an ``x``. A name that begins with a digit gets an underscore before it.

    Unlike dlt, letters outside of ASCII stay: ``Имя`` and ``Город`` are two names. And what is
    nothing but signs is no name.
    """
    if not any(map(_is_of_a_word, name)):
        return ""
    written = unicodedata.normalize("NFC", name.strip()).translate(SPOKEN)
    kept = "".join(each if each == "_" or _is_of_a_word(each) else " " for each in written)
    words = _divided(re.sub(" +", "_", kept))
    if words[:1].isdigit():
        words = "_" + words
    stripped = words.rstrip("_")
    return re.sub(r"_+", "_", stripped + "x" * (len(words) - len(stripped)))


def spelling(name: str) -> str:
    """What names that mean the same column have in common, and no others.

    ``Foo Bar``, ``foo_bar`` and ``FooBar`` do; ``Sales ($)`` and ``Sales (%)`` do not, though both
    are ``salesx`` in ``snake_case``.
    """
    written = unicodedata.normalize("NFC", name)
    words = _divided("".join("_" if _is_separator(each) else each for each in written))
    return re.sub(r"_+", "_", words).strip("_")


def _divided(words: str) -> str:
    """In small letters, with an underscore before a capital that begins a word."""
    words = re.sub(r"([^_])([A-Z][a-z]+)", r"\1_\2", words)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()
    return unicodedata.normalize("NFC", words)


def _is_of_a_word(character: str) -> bool:
    """Whether it is a letter, a digit, or a mark on one, of any script."""
    return unicodedata.category(character)[0] in "LMN"


def _is_separator(character: str) -> bool:
    category = unicodedata.category(character)
    return (
        character in _SEPARATORS
        or category[0] in "ZC"
        or category in ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf")
    )


def column_name(name: str) -> str:
    """The name in bronze of a column that a file brings: snake_case, from a letter on.

    A name that is too long keeps its beginning and ends with a digest of the whole; one of nothing
    but signs is a digest.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    column = snake_case(name) or digest
    if not column[:1].isalpha() or column == digest or column in SYSTEM_COLUMNS:
        column = f"column_{column.lstrip('_')}"
    if len(column.encode()) > LONGEST_NAME:
        room = LONGEST_NAME - len(digest) - 1
        beginning = column.encode()[:room].decode(errors="ignore").rstrip("_")
        column = f"{beginning}_{digest}"
    return column


def refuse_no_text(names: Iterable[str]) -> None:
    """Refuse a file whose names cannot be told, in the ledger or in ``_rescued_data``.

    Raises:
        DeliveryError: a name has a NUL or half of a character.
    """
    for name in names:
        bad = NOT_TEXT.search(name)
        if bad is not None:
            is_nul = bad[0] == "\0"
            what = "a NUL character" if is_nul else "half of a character, which stands for none,"
            raise DeliveryError(
                f"A column's name has {what}: {name[:200]!r}.",
                code="nul_byte" if is_nul else "bad_encoding",
                remedy="Deliver the file with another name for the column.",
                where_masked=f"A column's name has {what.rstrip(',')}.",
            )
