"""What PostgreSQL refuses because of what is in a file: the file is rejected, the others go on.

Most of it is seen before, and told better. This is for what is not: were it an error of the load,
the file would stay in the landing zone and end each later load of its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from sluice.errors import DeliveryError, printable

# Classes of SQLSTATE: data exceptions, and limits of the program (not those of the machine, 53).
_CLASSES = ("22", "54")
# A column twice; a name that is none, or is too long.
_STATES = frozenset({"42701", "42602", "42622"})


def is_about_content(error: psycopg.Error) -> bool:
    """Whether it is what a file holds that PostgreSQL refuses, whenever it is asked.

    Never where the connection, a lock, a right, the disk or the server is what fails.
    """
    if error.sqlstate is None:  # psycopg's own: a value that it cannot even send
        return isinstance(error, psycopg.DataError)
    return error.sqlstate.startswith(_CLASSES) or error.sqlstate in _STATES


@contextmanager
def refusals_explained() -> Iterator[None]:
    """Turn what PostgreSQL refuses about a delivery into the reason why it is rejected.

    Around the load's whole transaction, which is rolled back by then.

    Raises:
        DeliveryError: PostgreSQL refuses what the delivery holds.
    """
    try:
        yield
    except psycopg.Error as error:
        if not is_about_content(error):
            raise
        said = printable(error.diag.message_primary or str(error).strip())
        raise DeliveryError(
            f"PostgreSQL refuses the file: {said}.",
            code="refused_by_postgresql",
            where_masked="PostgreSQL refuses the file.",
            remedy="./sluice inspect FILE shows what is in it.",
        ) from error
