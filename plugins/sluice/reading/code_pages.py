"""Which of the encodings of one byte a character a text may be in, by what its words look like.

No byte says which of them a text is in, and most texts are text in several: ``Málaga`` with the
byte 0xE1 in each for Western and Central Europe, ``España`` with 0xF1 in windows-1252, and as
``Espańa`` in windows-1250. So there is no best guess here, only what can be told apart: which of
the encodings make text, and whether they make the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sluice.registry.encodings import TEXT_ENCODINGS

# Latin-1 is windows-1252 without the characters that a text can have where the two differ.
CODE_PAGES = tuple(
    name
    for name, each in TEXT_ENCODINGS.items()
    if not each.is_transcoded and name not in ("utf-8", "latin-1")
)

# A word is what stands between these; its neighbours belong to it, as they say what a sign is.
WORD = re.compile(rb"""[^\s,;|"'<>=:/()]*[\x80-\xff][^\s,;|"'<>=:/()]*""")

# Different words that are looked at: 0.1 s for all encodings.
MOST_WORDS = 2000

# A damaged record does not say what the others are in.
TEXT_SHARE = 0.9

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")

# What is no letter, and yet in texts and tables everywhere.
SIGNS = frozenset("€£¥¢§°²³¹½¼¾±×÷·–—‘’“”„‚…«»‹›¿¡©®™ªºµ‰•№\xa0")

# Those that stand within words.
IN_WORDS = frozenset("’‘·–—\xa0")


@dataclass(frozen=True, slots=True)
class Readings:
    """What a text may be in.

    Attributes:
        encodings: those that make text of its words.
        example: a word that they read differently, in each; empty where they read all alike.
    """

    encodings: tuple[str, ...]
    example: dict[str, str]


def readings_of(lines: Sequence[bytes]) -> Readings:
    """The encodings that make text of some lines with more than ASCII."""
    words = list(dict.fromkeys(word for line in lines for word in WORD.findall(line)))[:MOST_WORDS]
    texts = {name: [_text_of(word, name) for word in words] for name in CODE_PAGES}
    fitting = tuple(
        name
        for name, found in texts.items()
        if len(found) - found.count(None) >= len(words) * TEXT_SHARE
    )
    for position in range(len(words)):
        example = {name: text for name in fitting if (text := texts[name][position]) is not None}
        if len(set(example.values())) > 1:
            return Readings(fitting, example)
    return Readings(fitting, {})


def _text_of(word: bytes, encoding: str) -> str | None:
    """A word in an encoding; None where that makes no text."""
    try:
        text = word.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if _is_text(text) else None


def _is_text(word: str) -> bool:
    """Whether letters are of one script in usual cases, and signs stand where they do."""
    before = ""
    for place, character in enumerate(word):
        after = word[place + 1 : place + 2]
        if not character.isascii() and not _is_usual(character, before, after):
            return False
        before = (before + character)[-2:] if _script(character) else ""
    return True


def _is_usual(character: str, before: str, after: str) -> bool:
    """Whether a character can stand after two letters or fewer, and before another character."""
    script = _script(character)
    if not script:
        is_within = bool(before and _script(after))
        return character in SIGNS and (character in IN_WORDS or not is_within)
    if any(_script(neighbour) not in ("", script) for neighbour in (before[-1:], after)):
        return False
    if character.isupper():
        return not before[-1:].islower()
    is_after_capitals = before.isupper() and (len(before) > 1 or after.isupper())
    return character == "ß" or not is_after_capitals  # STRAßE is written with the small letter


@cache
def _script(character: str) -> str:
    """A letter's script; empty for what is no letter."""
    name = unicodedata.name(character, "") if character.isalpha() else ""
    return next((script for script in SCRIPTS if name.startswith(script)), "")
