"""The tables of schema ``ops``, made and changed by numbered SQL files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.sql import SQL

from sluice.errors import ConfigError, InternalError, RetriableError
from sluice.warehouse.connections import advisory_key

FOLDER = Path(__file__).parent / "migrations"

_HISTORY = """
create table if not exists ops.schema_migrations (
    version int primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp()
)
"""
_APPLIED = "select version, sha256 from ops.schema_migrations order by version"
_RECORD = "insert into ops.schema_migrations (version, name, sha256) values (%s, %s, %s)"


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file.

    Attributes:
        version: its number; they count up from 1 without gaps.
        name: the rest of its file name.
        statements: its text.
        sha256: of the text with line feeds alone for line ends, so that a checkout on any
            system has the same.
    """

    version: int
    name: str
    statements: str
    sha256: str


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Return the migrations that this version of Sluice knows, in order.

    Raises:
        InternalError: a file's name has no number, or the numbers have a gap.
    """
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        if not number.isdigit() or int(number) != len(found) + 1:
            raise InternalError(f"The migration {path.name} is out of order.")
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        digest = hashlib.sha256(text.encode()).hexdigest()
        found.append(Migration(len(found) + 1, name, text, digest))
    return tuple(found)


def is_current(connection: psycopg.Connection[Any]) -> bool:
    """Return whether all migrations are applied: one query. The connection is in autocommit.

    Raises:
        InternalError: an applied migration has another text now.
        ConfigError: the database is newer than this version of Sluice.
    """
    try:
        applied = connection.execute(_APPLIED).fetchall()
    except psycopg.errors.UndefinedTable:
        return False
    known = migrations()
    check_history(known, applied)
    return len(applied) == len(known)


def migrate(connection: psycopg.Connection[Any], folder: Path = FOLDER) -> list[int]:
    """Bring schema ``ops`` up to date; each migration is a transaction of its own.

    Args:
        connection: as ``sluice_loader``, in no transaction. Several processes may do this at
            once: they take turns.
        folder: where the migrations are.

    Returns:
        The versions that were applied now; none when all was up to date.

    Raises:
        InternalError: an applied migration has another text now.
        ConfigError: the database is newer than this version of Sluice.
        RetriableError: another process held the lock for too long.
    """
    known = migrations(folder)
    applied_now: list[int] = []
    while True:
        with connection.transaction():
            _take_turn(connection)
            connection.execute(_HISTORY)
            applied = connection.execute(_APPLIED).fetchall()
            check_history(known, applied)
            if len(applied) == len(known):
                return applied_now
            migration = known[len(applied)]
            # The text is the project's own file. Without parameters it may be many statements.
            connection.execute(SQL(cast("Any", migration.statements)))
            connection.execute(_RECORD, (migration.version, migration.name, migration.sha256))
        applied_now.append(migration.version)


def check_history(known: tuple[Migration, ...], applied: list[tuple[int, str]]) -> None:
    """Hold what a database says was applied against what this version of Sluice knows.

    Args:
        known: the migrations of this version.
        applied: version and sha256 of each applied one, by version.

    Raises:
        InternalError: an applied migration has another text now, or is missing.
        ConfigError: the database is newer than this version of Sluice.
    """
    if applied and applied[-1][0] > len(known):
        raise ConfigError(
            f"The warehouse is at version {applied[-1][0]} of the ledger's tables, this Sluice"
            f" knows {len(known)}: a newer Sluice has used it.",
            "Update this checkout (git pull).",
        )
    for (version, sha256), migration in zip(applied, known, strict=False):
        if version != migration.version or sha256 != migration.sha256:
            raise InternalError(
                f"Migration {migration.version} ({migration.name}) is not the one that was"
                " applied to this warehouse.",
                "Restore the file as it was, and write the change as a new migration.",
            )


def _take_turn(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute(
            "select pg_advisory_xact_lock(%s)", (advisory_key("warehouse", "migrations"),)
        )
    except psycopg.errors.LockNotAvailable:
        raise RetriableError(
            "Another process is changing the ledger's tables, and takes long.",
            "Repeat the command when it is done.",
        ) from None
