"""What a connection may suffer while it works, as errors that say whether to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from sluice.errors import RetriableError

# What PostgreSQL says of values that it does not take; the same again would be refused again.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


@contextmanager
def retriable_failures(activity: str, *, lock: str) -> Iterator[None]:
    """Turn passing failures of PostgreSQL into ``RetriableError``.

    Args:
        activity: what is being done, as in "while ... ".
        lock: what holds the lock, if one is waited for in vain, as a sentence.

    Raises:
        RetriableError: a lock was not to be had in time, the connection was lost, or the server's
            disk is full.
    """
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        raise RetriableError(lock, "It is tried again; or look at it: ./sluice status") from None
    except errors.DiskFull as error:
        raise RetriableError(
            f"The warehouse's disk is full; while {activity}: {error.diag.message_primary}.",
            "Make room where the server keeps its data. What was committed is kept, the rest was"
            " rolled back; the same again goes on from there.",
        ) from error
    except (errors.AdminShutdown, errors.CrashShutdown, errors.SerializationFailure) as error:
        raise _lost(activity, error) from error
    except psycopg.OperationalError as error:
        if error.sqlstate and not error.sqlstate.startswith(("08", "53", "57")):
            raise  # a refusal that the same again would meet again
        raise _lost(activity, error) from error


def _lost(activity: str, error: psycopg.Error) -> RetriableError:
    said = " ".join(str(error).split())
    return RetriableError(
        f"The warehouse went away while {activity}: {said}.",
        "What was committed is kept, the rest was rolled back; the same again goes on from there.",
    )
