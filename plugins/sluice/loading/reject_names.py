"""What an export of rejected records may be called when it is dropped into the landing zone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from sluice.landing.names import LONGEST_NAME, is_temporary
from sluice.registry import Source
from sluice.registry.delivery_names import MEMBER_MARK, file_system_name, ledger_name
from sluice.registry.file_names import values_in_name

# So many names are tried: each of them is one that somebody has delivered already.
_MOST_TRIED = 1000

_EARLIER_MARK = re.compile(r"\.rejects-\d+(?:-\d+)?(?=\.|$)")


def suggest_name(
    source: Source, loads: Sequence[tuple[int, str]], is_known: Callable[[str], bool]
) -> str | None:
    """A name for the export of some files' rejects: one that the source takes, and that is new.

    Under the name of a file that was delivered before, the export would take the place of all its
    records. Where it can, the name says the same as the file's (``from_file_name``).

    Args:
        source: whose files.
        loads: whose records are exported, and the names of their files; at least one.
        is_known: whether a file of this name, as the ledger writes it, was delivered before.

    Returns:
        The name; None where ``file_glob`` takes no other than that of a file that is there.
    """
    newest, file_name = max(loads)
    base = _base(file_name) if len(loads) == 1 else f"{source.name}.csv"
    said = values_in_name(source, ledger_name(base))
    for number in range(1, _MOST_TRIED):
        mark = f"rejects-{newest}" + (f"-{number}" if number > 1 else "")
        fitting = [name for name in _candidates(base, mark, source) if _fits(name, source)]
        if not fitting:
            return None
        best = next(
            (name for name in fitting if values_in_name(source, ledger_name(name)) == said),
            fitting[0],
        )
        if not is_known(ledger_name(best)):
            return best
    return None


def _base(file_name: str) -> str:
    """The file's own name, without the mark of the export that it was itself."""
    own = file_system_name(file_name.rpartition(MEMBER_MARK)[2]).rpartition("/")[2]
    return _EARLIER_MARK.sub("", own)


def _fits(name: str, source: Source) -> bool:
    is_possible = name.isprintable() and len(os.fsencode(name)) <= LONGEST_NAME
    return is_possible and fnmatchcase(name, source.file_glob) and not is_temporary(name)


def _candidates(base: str, mark: str, source: Source) -> Iterator[str]:
    """Names with the mark, the likeliest first."""
    stem, dot, ending = base.rpartition(".")
    if not dot:
        stem, ending = base, ""
    first, dots, endings = base.partition(".")
    yield f"{stem}.{mark}.csv"
    yield f"{stem}.{mark}{dot}{ending}"
    yield f"{first}.{mark}{dots}{endings}"
    yield f"{mark}-{base}"
    yield f"{base}.{mark}"
    # As the source's files are called, with the mark where their names differ.
    head, _, tail = source.file_glob.partition("*")
    yield (head + mark + tail.replace("*", "")).replace("?", "x")
