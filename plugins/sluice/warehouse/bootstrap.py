"""Roles, schemas and rights: what has to be there before anything can be loaded.

All of it is made in one transaction by whoever may, then the ledger's tables by the loader. Where
all is there the loader sees so itself, and nobody needs an administrator's rights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from sluice.errors import ConfigError, RetriableError
from sluice.settings import Settings
from sluice.warehouse.connections import (
    EMBEDDED_DATABASE,
    EMBEDDED_HOST,
    ROLES,
    PasswordRefusedError,
    advisory_key,
    as_uri,
    connect,
    database_role,
    open_connection,
    parse_uri,
    server_parameters,
)
from sluice.warehouse.migrations import is_current, migrate
from sluice.warehouse.passwords import password
from sluice.warehouse.rights import (
    OWNERS,
    State,
    create_role_statement,
    missing_statements,
    password_verifier,
    read_state,
)

_APPLICATION = "sluice bootstrap"
_AIRFLOW = "airflow"
_AIRFLOW_SECRET = "postgres-airflow"  # noqa: S105  the name of the file, not what is in it
# Roles belong to the whole server: another instance, in another database, may be making the same
# ones. The second attempt then finds them there.
_ATTEMPTS = 3


def prepare_warehouse(settings: Settings, administrator_uri: str) -> None:
    """Make what is missing of the warehouse: roles, schemas, rights, the ledger's tables.

    Safe to repeat, and to do in several processes at once. One connection as the loader and two
    short queries where all is there.

    Args:
        settings: the instance's settings.
        administrator_uri: who may make what is missing. For a server of the user's own this is
            ``SLUICE_WAREHOUSE``, and its rights are needed only while something is missing. On
            the embedded server the database is made too, and closed to everybody else.

    Raises:
        ConfigError: the server is not PostgreSQL 17 or 18 in UTF-8; rights are missing (the
            remedy is the SQL for an administrator); a role has another password than this
            instance; a schema belongs to somebody else; the ledger is of a newer Sluice.
        RetriableError: the server is not there, or another process takes long over the same.
        InternalError: the ledger's tables were made by another text of the same migrations.
    """
    loader = _loader_where_provided(settings)
    if loader is None:
        _provide(settings, _parameters(settings, administrator_uri))
        for role in ROLES:
            connect(settings, role, application_name=_APPLICATION).close()
        loader = _connect_loader(settings)
    with loader:
        if not is_current(loader):
            migrate(loader)


def prepare_airflow_database(settings: Settings, administrator_uri: str) -> None:
    """Make the role and the database of Airflow's metadata.

    Safe to repeat, and to do in several processes at once; one connection where both are there.

    Args:
        settings: the instance's settings.
        administrator_uri: the superuser of the embedded server, or of that of
            ``SLUICE_AIRFLOW_DATABASE``, which is then only for Sluice and Airflow.

    Raises:
        ConfigError: the role has another password than this instance.
        RetriableError: the server is not there, or another process takes long over the same.
    """
    login = parse_uri(airflow_database_uri(settings))
    role, database = login["user"], login["dbname"]
    try:
        open_connection(settings, login, application_name=_APPLICATION).close()
    except ConfigError:
        # Not there yet, not there completely, or closed to us: the next steps tell which.
        administrator = _parameters(settings, administrator_uri)
    else:
        return
    with _as_administrator(settings, administrator) as connection:
        _close_maintenance_databases(connection)
        if not _exists(connection, "select from pg_roles where rolname = %s", role):
            connection.execute(create_role_statement(settings, connection, role, _AIRFLOW_SECRET))
        name = Identifier(database)
        if not _exists(connection, "select from pg_database where datname = %s", database):
            # Nobody gets in before the rights are right, even if this process dies in between.
            connection.execute(
                SQL("create database {} owner {} allow_connections false").format(
                    name, Identifier(role)
                )
            )
        connection.execute(SQL("revoke all on database {} from public").format(name))
        connection.execute(SQL("alter database {} allow_connections true").format(name))
    open_connection(settings, login, application_name=_APPLICATION).close()


def airflow_database_uri(settings: Settings) -> str:
    """Return the ``postgresql://`` URI, with password, of the database of Airflow's metadata.

    Where ``SLUICE_AIRFLOW_DATABASE`` names no password, it is the generated one.

    Raises:
        ConfigError: the password cannot be read or written, or the setting is no such URI.
    """
    own = settings.airflow_database.get_secret_value()
    if own:
        given = {"user": _AIRFLOW, "dbname": _AIRFLOW, "host": "localhost", "port": 5432}
        given |= parse_uri(own, "SLUICE_AIRFLOW_DATABASE")
        given.setdefault("password", password(settings, _AIRFLOW_SECRET))
        return as_uri(given)
    return as_uri(
        {
            "user": _AIRFLOW,
            "password": password(settings, _AIRFLOW_SECRET),
            "host": EMBEDDED_HOST,
            "port": settings.postgres_port,
            "dbname": _AIRFLOW,
        }
    )


def _connect_loader(settings: Settings) -> psycopg.Connection[Any]:
    return connect(settings, "loader", application_name=_APPLICATION, autocommit=True)


def _loader_where_provided(settings: Settings) -> psycopg.Connection[Any] | None:
    """Return a connection as the loader where nothing is missing that needs more rights."""
    try:
        connection = _connect_loader(settings)
    except ConfigError:
        return None  # a new server, or a wrong password: the administrator's side tells which
    try:
        complete = read_state(connection).complete
    except BaseException:
        connection.close()
        raise
    if not complete:
        connection.close()
        return None
    return connection


def _parameters(settings: Settings, administrator_uri: str) -> dict[str, Any]:
    """Return how to connect as the administrator, with the same defaults as for the roles."""
    given = parse_uri(administrator_uri)
    if not settings.warehouse.get_secret_value():
        return given
    return {**server_parameters(settings), **given}


@contextlib.contextmanager
def _as_administrator(
    settings: Settings, parameters: Mapping[str, Any]
) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the administrator, one process at a time in each database."""
    with open_connection(
        settings, parameters, application_name=_APPLICATION, autocommit=True
    ) as connection:
        try:
            connection.execute(
                "select pg_advisory_lock(%s)", (advisory_key("warehouse", "bootstrap"),)
            )
        except psycopg.errors.LockNotAvailable:
            raise RetriableError(
                "Another process is preparing the warehouse, and takes long.",
                "Repeat the command when it is done.",
            ) from None
        yield connection


def _provide(settings: Settings, administrator: dict[str, Any]) -> None:
    embedded = not settings.warehouse.get_secret_value()
    if embedded:
        with _as_administrator(settings, administrator) as connection:
            _close_maintenance_databases(connection)
            if not _exists(
                connection, "select from pg_database where datname = %s", EMBEDDED_DATABASE
            ):
                connection.execute(SQL("create database {}").format(Identifier(EMBEDDED_DATABASE)))
        administrator = {**administrator, "dbname": EMBEDDED_DATABASE}
    with _as_administrator(settings, administrator) as connection:
        for attempt in range(1, _ATTEMPTS + 1):
            state = read_state(connection)
            _check_owners(state)
            _check_passwords(settings, connection, state)
            if state.complete:
                return
            try:
                _apply(settings, connection, state, embedded=embedded)
            except (
                psycopg.errors.DuplicateObject,
                psycopg.errors.UniqueViolation,
                psycopg.errors.InternalError_,  # "tuple concurrently updated"
            ):
                if attempt == _ATTEMPTS:
                    raise


def _apply(
    settings: Settings, connection: psycopg.Connection[Any], state: State, *, embedded: bool
) -> None:
    """Make all that is missing in one transaction, or say what an administrator has to do."""
    statements = missing_statements(
        settings, connection, state, embedded=embedded, join=not state.is_superuser
    )
    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        refusal = error.diag.message_primary
    else:
        return
    # An administrator's rights are unknown here: the statements on membership serve all kinds.
    statements = missing_statements(settings, connection, state, embedded=embedded, join=True)
    script = ";\n".join(["begin", *(item.as_string(connection) for item in statements), "commit"])
    raise ConfigError(
        f"The user {connection.info.user} may not make what Sluice needs in the database"
        f" {state.database}: {refusal}.",
        f"Have an administrator run this in the database {state.database}, then repeat the"
        f" command (it holds no passwords, only their SCRAM verifiers):\n\n{script};\n",
    )


def _check_owners(state: State) -> None:
    for schema, role in OWNERS.items():
        owner = state.owners.get(schema)
        if owner is not None and owner != database_role(role):
            raise ConfigError(
                f"The database {state.database} has a schema {schema} already, which belongs to"
                f" {owner}; Sluice keeps its own tables in a schema of that name.",
                "Use another database in SLUICE_WAREHOUSE, or, where the schema is meant for"
                f" Sluice: alter schema {schema} owner to {database_role(role)};",
            )


def _check_passwords(settings: Settings, connection: psycopg.Connection[Any], state: State) -> None:
    """Refuse roles that another instance made, before anything is changed."""
    refused = []
    for role in ROLES:
        if database_role(role) not in state.roles:
            continue
        try:
            connect(settings, role, application_name=_APPLICATION).close()
        except PasswordRefusedError:
            refused.append(role)
        except ConfigError:
            continue  # it may not connect to this database yet, which is made good below
    if not refused:
        return
    changes = "\n".join(
        SQL("alter role {} password {};")
        .format(
            Identifier(database_role(role)),
            Literal(
                password_verifier(settings, connection, database_role(role), f"postgres-{role}")
            ),
        )
        .as_string(connection)
        for role in refused
    )
    names = ", ".join(database_role(role) for role in refused)
    raise ConfigError(
        f"The server has {names} already, with other passwords than this instance: another"
        " instance of Sluice made them.",
        f"Either copy that instance's files secrets/postgres-* to {settings.secrets}, or, where"
        " that instance is gone, have an administrator set this one's passwords (these are"
        f" SCRAM verifiers):\n\n{changes}\n",
    )


def _close_maintenance_databases(connection: psycopg.Connection[Any]) -> None:
    """On the embedded server only the superuser has business in these two."""
    connection.execute("revoke connect on database postgres, template1 from public")


def _exists(connection: psycopg.Connection[Any], query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None
