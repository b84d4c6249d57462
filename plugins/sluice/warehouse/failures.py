"""What a connection may suffer while it works, as errors that say whether to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from sluice.errors import ConfigError, InternalError, RetriableError, SluiceError

# What PostgreSQL says of values that it does not take; the same again would be refused again.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


@contextmanager
def retriable_failures(activity: str, *, lock: str) -> Iterator[None]:
    """Turn failures of PostgreSQL into errors of ours: those that pass into ``RetriableError``.

    Args:
        activity: what is being done, as in "while ... ".
        lock: what holds the lock, if one is waited for in vain, as a sentence.

    Raises:
        RetriableError: a lock was not to be had in time, the connection was lost, or the server's
            disk is full.
        ConfigError: a role lacks a right.
        InternalError: PostgreSQL refuses what should not have been asked of it.
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
            raise unexpected(activity, error) from error
        raise _lost(activity, error) from error
    except psycopg.Error as error:
        raise unexpected(activity, error) from error


def unexpected(activity: str, error: psycopg.Error) -> SluiceError:
    """A refusal that the same again would meet again, in PostgreSQL's words."""
    said = " ".join((error.diag.message_primary or str(error)).split())
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigError(
            f"The warehouse does not let Sluice do it while {activity}: {said}.",
            "What Sluice made it has the rights to; give its role the right to what others made.",
        )
    return InternalError(
        f"PostgreSQL refuses what was asked of it while {activity}: {said}"
        f" (SQLSTATE {error.sqlstate}).",
        "What was committed is kept, the rest was rolled back.",
    )


def _lost(activity: str, error: psycopg.Error) -> RetriableError:
    said = " ".join(str(error).split())
    return RetriableError(
        f"The warehouse went away while {activity}: {said}.",
        "What was committed is kept, the rest was rolled back; the same again goes on from there.",
    )
