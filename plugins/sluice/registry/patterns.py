"""The regular expressions that a registry may have: Python's over names, PostgreSQL's over values.

PostgreSQL takes options such as ``(?i)`` at the very start of an expression only, so they stay in
front of what is put around it.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StrictStr

# With b, e or q, what follows is of another kind, in which nothing can be put around it.
_OPTIONS = re.compile(r"\(\?([a-z]+)\)")
_POSSIBLE_OPTIONS = frozenset("cimnpstwx")


def _has_one_group(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError("needs one group in parentheses, around the value")
    return value


def _can_match_as_a_whole(value: str) -> str:
    if value.startswith("***"):
        raise ValueError(
            "begins with ***, which cannot be held against a value as a whole: escape the asterisks"
            " as \\*, or leave them out and write an expression"
        )
    match = _OPTIONS.match(value)
    if match and not _POSSIBLE_OPTIONS.issuperset(match[1]):
        raise ValueError(
            f"has the options {match[0]}, and only those of {''.join(sorted(_POSSIBLE_OPTIONS))}"
            " can be held against a value as a whole, such as (?i): write it without the others"
        )
    return value


NamePattern = Annotated[StrictStr, AfterValidator(_has_one_group)]
ValuePattern = Annotated[StrictStr, AfterValidator(_can_match_as_a_whole)]


def whole_pattern(pattern: str) -> str:
    r"""What matches a value as a whole where the pattern of a registry does.

    It ends with ``\Z``, as ``$`` would match at each line's end with ``(?n)``; and the line end
    before that closes a comment of ``(?x)``, which passes over it.
    """
    match = _OPTIONS.match(pattern)
    options, rest = (match[0], pattern[match.end() :]) if match else ("", pattern)
    end = "\n" if "x" in options else ""
    return rf"{options}\A(?:{rest}{end})\Z"
