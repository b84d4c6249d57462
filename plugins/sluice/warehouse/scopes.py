"""How much of a file is loaded: all of it, or the records that one of some filters lets through.

A filter is kept as text, such as ``date=2024-02-24``: a column of bronze and a value as PostgreSQL
writes it. A scope only ever grows: see docs/adr/0010.
"""

from __future__ import annotations

# None is all of a file.
Scope = tuple[str, ...] | None


def covers(scope: Scope, wanted: Scope) -> bool:
    """Whether everything that is wanted is in a scope."""
    if scope is None or wanted is None:
        return scope is None
    return set(wanted) <= set(scope)


def union(*scopes: Scope) -> Scope:
    """The smallest scope that covers all of them."""
    filters: set[str] = set()
    for scope in scopes:
        if scope is None:
            return None
        filters.update(scope)
    return tuple(sorted(filters))


def shown(scope: Scope) -> str:
    """A scope in words."""
    return "everything" if scope is None else " or ".join(scope)
