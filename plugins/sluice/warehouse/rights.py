"""What the warehouse has besides tables: roles, schemas and rights, and what is there of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from sluice.errors import ConfigError, InternalError
from sluice.settings import Settings
from sluice.warehouse.connections import ROLES, Role, database_role
from sluice.warehouse.passwords import password

OWNERS: Mapping[str, Role] = {
    "bronze": "loader",
    "ops": "loader",
    "silver": "transformer",
    "gold_audit": "transformer",
    "gold": "transformer",
}
SUPPORTED_VERSIONS = (17, 18)

_STATE = """
select
    current_setting('server_version_num')::int / 10000 as version,
    current_setting('server_encoding') as encoding,
    current_database()::text as database,
    array(select rolname::text from pg_roles where rolname = any(%(roles)s)) as roles,
    array(
        select array[nspname::text, pg_get_userbyid(nspowner)::text]
        from pg_namespace
        where nspname = any(%(schemas)s)
    ) as schemas,
    array(
        select rolname::text
        from pg_namespace
        cross join aclexplode(nspacl) as entry
        inner join pg_roles on pg_roles.oid = entry.grantee
        where entry.privilege_type = 'USAGE'
            and (nspname, rolname) in (('gold', %(reader)s), ('ops', %(observer)s))
    ) as who_sees,
    array(
        select entry.privilege_type
        from pg_database
        cross join aclexplode(coalesce(datacl, acldefault('d', datdba))) as entry
        where datname = current_database() and entry.grantee = 0
    ) as public_rights,
    (select rolsuper from pg_roles where rolname = current_user) as is_superuser
"""

_RIGHTS: tuple[LiteralString, ...] = (
    "revoke all on schema bronze, ops, silver, gold_audit, gold from public",
    "grant usage on schema gold to sluice_reader",
    "grant select on all tables in schema gold to sluice_reader",
    """alter default privileges for role sluice_transformer in schema gold
        grant select on tables to sluice_reader""",
    "grant usage on schema ops to sluice_observer",
    "grant select on all tables in schema ops to sluice_observer",
    # So that what later migrations make is seen as well.
    """alter default privileges for role sluice_loader in schema ops
        grant select on tables to sluice_observer""",
)
# What holds for all sessions of a role, without their doing.
_SESSIONS: Mapping[Role, tuple[LiteralString, ...]] = {
    # All that one transaction of a reader sees is one publication's.
    "reader": ("alter role sluice_reader set default_transaction_isolation = 'repeatable read'",),
    # Nobody who looks at the ledger can make it wait.
    "observer": (
        "alter role sluice_observer set default_transaction_read_only = on",
        "alter role sluice_observer set statement_timeout = '5s'",
    ),
}
# Whoever is no superuser has to be a member of a role to make what the role shall own.
_JOIN: LiteralString = "grant {} to current_user with set true, inherit true"
_LEAVE: LiteralString = "revoke {} from current_user"


@dataclass(frozen=True)
class State:
    """What is there already, and who asks."""

    database: str
    roles: frozenset[str]
    owners: Mapping[str, str]
    who_sees: frozenset[str]
    public_rights: frozenset[str]
    is_superuser: bool

    @property
    def complete(self) -> bool:
        """Whether nothing is missing that needs an administrator's rights."""
        owners = {schema: database_role(role) for schema, role in OWNERS.items()}
        lookers = {database_role(role) for role in ROLES} - set(owners.values())
        return len(self.roles) == len(ROLES) and self.owners == owners and self.who_sees == lookers


def database_rights(database: str) -> list[Composed]:
    """Return the statements that close a database to all but the superuser and the roles.

    Those that only read get no temporary tables.
    """
    return [
        SQL("revoke all on database {} from public").format(Identifier(database)),
        *_grants_on_database(database),
    ]


def missing_statements(
    settings: Settings,
    connection: psycopg.Connection[Any],
    state: State,
    *,
    embedded: bool,
    join: bool,
) -> list[Composed]:
    """Return what has to be done, in order; what is there already is left out or left as it is.

    Args:
        settings: the instance's settings; its secrets become the roles' passwords.
        connection: to the database, for the sake of its dialect.
        state: what is there.
        embedded: whether the database is closed to all others.
        join: whether who runs the statements may not be a superuser, and so has to be a member
            of the roles for the time being.
    """
    owners = [Identifier(database_role(role)) for role in ROLES if role in OWNERS.values()]
    found = [
        create_role_statement(settings, connection, database_role(role), f"postgres-{role}")
        for role in ROLES
        if database_role(role) not in state.roles
    ]
    for role, statements in _SESSIONS.items():
        if database_role(role) not in state.roles:
            found += [SQL(statement).format() for statement in statements]
    if join:
        found += [SQL(_JOIN).format(owner) for owner in owners]
    if embedded:
        found += database_rights(state.database)
    elif not {"CONNECT", "TEMPORARY"} <= state.public_rights:
        found += _grants_on_database(state.database)
    found += [
        SQL("create schema {} authorization {}").format(
            Identifier(schema), Identifier(database_role(role))
        )
        for schema, role in OWNERS.items()
        if schema not in state.owners
    ]
    found += [SQL(statement).format() for statement in _RIGHTS]
    if join:
        found += [SQL(_LEAVE).format(owner) for owner in owners]
    return found


def create_role_statement(
    settings: Settings, connection: psycopg.Connection[Any], role: str, secret: str
) -> Composed:
    """Return the statement that makes a role which logs in with this instance's secret."""
    return SQL("create role {} login password {}").format(
        Identifier(role), Literal(password_verifier(settings, connection, role, secret))
    )


def password_verifier(
    settings: Settings, connection: psycopg.Connection[Any], role: str, secret: str
) -> str:
    """Return what the server keeps of a password: it checks one, and cannot be turned back."""
    encrypted = connection.pgconn.encrypt_password(
        password(settings, secret).encode(), role.encode(), b"scram-sha-256"
    )
    return encrypted.decode()


def read_state(connection: psycopg.Connection[Any]) -> State:
    """Read what is there.

    Raises:
        ConfigError: the server is one that Sluice does not work with.
    """
    parameters = {
        "roles": [database_role(role) for role in ROLES],
        "schemas": list(OWNERS),
        "reader": database_role("reader"),
        "observer": database_role("observer"),
    }
    row = connection.execute(_STATE, parameters).fetchone()
    if row is None:
        raise InternalError("PostgreSQL said nothing of its state.")
    version, encoding, database, roles, owners, who_sees, public_rights, superuser = row
    if version not in SUPPORTED_VERSIONS:
        raise ConfigError(
            f"The server is PostgreSQL {version}; Sluice works with"
            f" {' and '.join(map(str, SUPPORTED_VERSIONS))}.",
            "Set SLUICE_WAREHOUSE to such a server, or unset it to use the embedded one.",
        )
    if encoding != "UTF8":
        raise ConfigError(
            f"The database {database} keeps text as {encoding}, which cannot hold every text.",
            "Create one with: create database NAME encoding 'UTF8' template template0",
        )
    return State(
        database=database,
        roles=frozenset(roles),
        owners=dict(owners),
        who_sees=frozenset(who_sees),
        public_rights=frozenset(public_rights),
        is_superuser=superuser,
    )


def _grants_on_database(database: str) -> list[Composed]:
    rights: Mapping[Role, LiteralString] = {
        "loader": "connect, temporary",
        "transformer": "connect, temporary",
        "observer": "connect",
        "reader": "connect",
    }
    return [
        SQL("grant {} on database {} to {}").format(
            SQL(right), Identifier(database), Identifier(database_role(role))
        )
        for role, right in rights.items()
    ]
