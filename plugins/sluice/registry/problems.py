"""What is wrong in the registry: file, line, place, sentence, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sluice.registry.notify import UNREPEATABLE


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend in a file of the registry (or one generated from it).

    Attributes:
        file: the file, relative to the project.
        line: the line that it is about, from 1.
        place: the dotted path of the key, empty for the file as a whole.
        message: what is wrong.
        remedy: what to do.
    """

    file: Path
    line: int
    place: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{self.file}:{self.line}: {place}{self.message}\n    {self.remedy}"


def suggestion(word: str, known: Iterable[str], *, kind: str) -> str:
    """The remedy for a word that is not known: the nearest one, or all."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Valid {kind}: {', '.join(choices)}." if choices else f"There are no {kind} yet."


def explain(
    error: ValidationError, model: type[BaseModel]
) -> list[tuple[tuple[Any, ...], str, str]]:
    """Each complaint of Pydantic as (path of keys, message, remedy)."""
    return [
        (_known_place(problem["loc"]), *_sentence(problem, model)) for problem in error.errors()
    ]


def _known_place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path as the YAML has it: without Pydantic's names for branches of a union."""
    return tuple(part for part in location if part != "[key]" and "[" not in str(part))


def _sentence(problem: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        fields = _fields_at(model, problem["loc"][:-1]) - {"name"}
        return f"{key} is not a key here", suggestion(key, fields, kind="keys")
    if kind == "missing":
        return "is required", "Add it; `docs/registry.md` says what it means."
    if kind == "literal_error":
        known = [word.strip("' ") for word in problem["ctx"]["expected"].split(" or ")]
        words = [word.strip("' ") for part in known for word in part.split(",")]
        return f"{value!r} is not allowed", suggestion(str(value), words, kind="values")
    if kind == "string_pattern_mismatch":
        return (
            f"{value!r} is not a name",
            "A name starts with a-z and goes on with a-z, 0-9 and _, 63 characters at most.",
        )
    if kind == UNREPEATABLE:
        return problem["msg"], "See docs/notify.md."
    if kind == "string_type":
        return (
            f"{value!r} is not text",
            "Put it in quotes: YAML reads words such as no, on and 1 as other types.",
        )
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(value, dict | list | tuple) else f" (it is {value!r})"
    return f"{message}{shown}", "See docs/registry.md."


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> set[str]:
    """The keys that the model allows at a place, following nested models and mappings."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        else:  # a mapping, or a list: the type of its values is the last argument
            types = [one for one in getattr(current, "__args__", ()) if one is not Ellipsis]
            current = types[-1] if types else None
    # A key that need not be there is a model or None.
    current = next(iter(getattr(current, "__args__", ())), current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return set(current.model_fields)
    return set()
