"""The names of a source's columns in a line of a file, however they are spelled."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from sluice.registry import Source


def named_columns(fields: Sequence[str] | None, source: Source) -> int:
    """How many of the declared columns a record names, however they are spelled."""
    found = {_bare(field) for field in fields or ()}
    return sum(
        bool(found & {_bare(name), _bare(column.from_ or name)})
        for name, column in source.columns.items()
    )


def has_names(text: str, source: Source) -> bool:
    """Whether a line has at least half of the declared names in it, however it is divided."""
    words = _words(text)
    bare = {_bare(word) for word in words}
    phrase = f" {' '.join(words)} "
    found = 0
    for name, column in source.columns.items():
        written = (name, column.from_ or name)
        found += any(
            _bare(one) in bare or f" {' '.join(_words(one))} " in phrase for one in written
        )
    return found * 2 >= len(source.columns)


def _bare(name: str) -> str:
    """A name's letters and digits, without case and accents."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in plain if character.isalnum())


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
