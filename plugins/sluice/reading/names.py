"""Names that a file gives its fields, as names of columns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from sluice.errors import DeliveryError
from sluice.registry.formats import LONGEST_NAME
from sluice.registry.models import SYSTEM_COLUMNS, is_name

# What no text of PostgreSQL can hold, and what is no character at all.
NOT_TEXT = re.compile("[\0\ud800-\udfff]")

# What dlt writes for these; all else that is no letter, digit or underscore becomes one of those.
SPOKEN = str.maketrans("+-*@|", "x_xal")


def snake_case(name: str) -> str:
    """A name as dlt normalises it: lower case ASCII letters, digits and single underscores.

    Spaces around it go. A capital begins a new word (``OrderID`` is ``order_id``). ``+`` and ``*``
    become ``x``, ``@`` becomes ``a``, ``|`` becomes ``l``; every other run of characters, accented
    letters too, becomes one underscore (``Größe (cm)`` is ``gr_e_cmx``), an underscore at the end
    an ``x``. A name that begins with a digit gets an underscore before it.
    """
    words = re.sub(r"[^a-zA-Z0-9_]+", "_", name.strip().translate(SPOKEN))
    words = re.sub(r"([^_])([A-Z][a-z]+)", r"\1_\2", words)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()
    if words[:1].isdigit():
        words = "_" + words
    stripped = words.rstrip("_")
    return re.sub(r"_+", "_", stripped + "x" * (len(words) - len(stripped)))


def column_name(name: str) -> str:
    """The name in bronze of a column that a file brings: snake_case, and one that can be declared.

    A name that is too long keeps its beginning and ends with a digest of the whole.
    """
    column = snake_case(name)
    if not column[:1].isalpha():
        column = f"column_{column.lstrip('_')}"
    if len(column) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        column = f"{column[: LONGEST_NAME - 9].rstrip('_')}_{digest}"
    if column in SYSTEM_COLUMNS or not is_name(column):
        column = f"column_{column}"
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
