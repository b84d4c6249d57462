"""Connections to the warehouse, by role, and the keys of the locks that everybody shares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, get_args
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from sluice.errors import ConfigError, RetriableError, SluiceError
from sluice.settings import Settings
from sluice.warehouse.passwords import password

Role = Literal["loader", "transformer", "observer", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)

EMBEDDED_HOST = "127.0.0.1"
EMBEDDED_DATABASE = "sluice"

# How long a server may be silent. A load that waits for a busy server is normal, and with its
# buffers full TCP counts that as silence too: hence minutes for data under way, not seconds.
_TRANSPORT: Mapping[str, str] = {
    "connect_timeout": "10",  # seconds
    "keepalives": "1",
    "keepalives_idle": "30",  # seconds
    "keepalives_interval": "10",  # seconds
    "keepalives_count": "3",
    "tcp_user_timeout": "180000",  # milliseconds
}

# The same for the server's side: locks of a machine that has vanished are free after a minute, not
# after the system's two hours.
_SERVER_TRANSPORT = (
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=180000"
)

# Refusals that pass by themselves. A connection that fails has no SQLSTATE in libpq, only text.
_PASSING = (
    "is starting up",
    "is shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "too many connections",
    "connection slots are reserved",
)


class PasswordRefusedError(ConfigError):
    """The server knows the role, and not with the password of this instance."""


def database_role(role: Role) -> str:
    """Return the name that a role has in the database."""
    return f"sluice_{role}"


def role_uri(settings: Settings, role: Role) -> str:
    """Return a ``postgresql://`` URI with password for a role.

    Raises:
        ConfigError: ``SLUICE_WAREHOUSE`` is no connection URI, or the password cannot be read.
    """
    return as_uri(connection_parameters(settings, role))


def connection_parameters(settings: Settings, role: Role) -> dict[str, Any]:
    """Return what a client needs to connect as a role, in libpq's words.

    Always ``host``, ``port`` (an int), ``user``, ``password`` and ``dbname``; with
    ``SLUICE_WAREHOUSE`` also whatever that URI carries, such as ``sslmode``.

    Raises:
        ConfigError: ``SLUICE_WAREHOUSE`` is no connection URI, or the password cannot be read.
    """
    login = {
        "user": database_role(role),
        "password": password(settings, f"postgres-{role}"),
    }
    return {**server_parameters(settings), **login}


def libpq_environment(settings: Settings, role: Role) -> dict[str, str]:
    """Return the variables that let a program of PostgreSQL's connect as a role.

    The password goes this way because other users can read a program's arguments.

    Raises:
        ConfigError: ``SLUICE_WAREHOUSE`` is no connection URI, or the password cannot be read.
    """
    given = connection_parameters(settings, role)
    # libpq itself knows its variables; some parameters, such as the keepalives, have none.
    return {
        option.envvar.decode(): str(given[option.keyword.decode()])
        for option in Conninfo.get_defaults()
        if option.envvar and option.keyword.decode() in given
    }


def server_parameters(settings: Settings) -> dict[str, Any]:
    """Return where the warehouse is: libpq's parameters without user and password.

    Raises:
        ConfigError: ``SLUICE_WAREHOUSE`` is no connection URI.
    """
    uri = settings.warehouse.get_secret_value()
    if not uri:
        port = settings.postgres_port
        return {"host": EMBEDDED_HOST, "port": port, "dbname": EMBEDDED_DATABASE}
    given = parse_uri(uri)
    user = given.pop("user", None)
    given.pop("password", None)
    # As libpq has it, the database is named as the user unless it is named.
    database = given.pop("dbname", None) or user
    if not database:
        raise ConfigError(
            "SLUICE_WAREHOUSE names no database.",
            "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
        )
    port = given.pop("port", None) or 5432
    port = int(port) if str(port).isdigit() else port  # several hosts have several ports
    return {"host": given.pop("host", "localhost"), "port": port, "dbname": database, **given}


def connect(
    settings: Settings, role: Role, *, application_name: str, autocommit: bool = False
) -> psycopg.Connection:
    """Open a connection to the warehouse as a role.

    The session is in UTC, writes dates as ISO, speaks UTF-8, and waits for a lock for
    ``settings.lock_timeout_seconds`` at most.

    Args:
        settings: the instance's settings.
        role: which of the roles.
        application_name: who this is, as ``pg_stat_activity`` shows it; 63 characters count.
        autocommit: whether each statement is a transaction of its own.

    Raises:
        RetriableError: the server is not there, or not ready.
        ConfigError: the password was refused, the database is missing, or the role may not
            connect to it.
    """
    return open_connection(
        settings,
        connection_parameters(settings, role),
        application_name=application_name,
        autocommit=autocommit,
    )


def open_connection(
    settings: Settings,
    parameters: Mapping[str, Any],
    *,
    application_name: str,
    autocommit: bool = False,
) -> psycopg.Connection:
    """Open a connection with these libpq parameters: ``connect`` for who is not one of the roles.

    Raises:
        RetriableError: the server is not there, or not ready.
        PasswordRefusedError: it refuses the password.
        ConfigError: it refuses the login for another reason.
    """
    options = (
        "-c TimeZone=UTC -c DateStyle=ISO,YMD "
        f"-c lock_timeout={settings.lock_timeout_seconds * 1000} {_SERVER_TRANSPORT}"
    )
    given = str(parameters.get("options", ""))
    merged = {
        **_TRANSPORT,
        **parameters,
        "client_encoding": "UTF8",
        "application_name": application_name,
        "options": f"{given} {options}".strip(),
    }
    try:
        return psycopg.connect(autocommit=autocommit, **merged)
    except psycopg.Error as error:
        refusal = str(error)
    # Raised out here, as the driver's exception carries the password with it.
    raise _explain(settings, merged, refusal)


def parse_uri(uri: str, setting: str = "SLUICE_WAREHOUSE") -> dict[str, Any]:
    """Return the parameters of a connection URI, as libpq reads it.

    Args:
        uri: the URI.
        setting: where it is from, for the message.

    Raises:
        ConfigError: it is none. The message does not repeat the URI, which holds a password.
    """
    parameters: dict[str, Any] = {}
    if uri.startswith(("postgresql://", "postgres://")):
        try:
            parameters = dict(conninfo_to_dict(uri))
        except psycopg.Error:
            parameters = {}
    if not parameters:
        raise ConfigError(
            f"{setting} is not a connection URI.",
            "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; characters such as"
            " @ : / in the password are written as %40 %3A %2F.",
        )
    return parameters


def as_uri(parameters: Mapping[str, Any]) -> str:
    """Write libpq parameters, ``user`` and ``password`` among them, as a connection URI."""
    rest = dict(parameters)
    user, secret = quote(str(rest.pop("user")), safe=""), quote(str(rest.pop("password")), safe="")
    database = quote(str(rest.pop("dbname")), safe="")
    host, port = str(rest.pop("host")), rest.pop("port")
    if host.startswith("/") or "," in host or "," in str(port):
        # The folder of a socket, or several hosts: they fit into a URI's query only.
        place, rest = "", {"host": host, "port": port, **rest}
    else:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    query = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return f"postgresql://{user}:{secret}@{place}/{database}{query}"


def advisory_key(kind: str, name: str) -> int:
    """Return the key of the advisory lock on one thing: 64 bits, the same on every machine.

    Args:
        kind: what sort of thing is locked, such as ``source``.
        name: which one.
    """
    digest = hashlib.sha256(f"{kind}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def source_lock_key(source: str) -> int:
    """Return the key of the lock that whoever changes a source's bronze table holds."""
    return advisory_key("source", source)


def _explain(settings: Settings, parameters: Mapping[str, Any], refusal: str) -> SluiceError:
    """Say what a failed connection means for the reader."""
    user, database = parameters.get("user", ""), parameters.get("dbname", "")
    place = f"{parameters.get('host', 'localhost')}, port {parameters.get('port', 5432)}"
    embedded = not settings.warehouse.get_secret_value()
    said = " ".join(refusal.split())
    if "password authentication failed" in refusal or "no password supplied" in refusal:
        return PasswordRefusedError(
            f"PostgreSQL at {place} refused the password of the role {user}.",
            f"The passwords of this instance are in {settings.secrets}; copy them from the"
            " instance that made the role, or correct SLUICE_WAREHOUSE where it is that user.",
        )
    if f'database "{database}" does not exist' in refusal:
        return ConfigError(
            f"There is no database {database} in PostgreSQL at {place}.",
            "Run ./sluice up, which makes it."
            if embedded
            else f"Create it (createdb {database}), or correct SLUICE_WAREHOUSE.",
        )
    if "FATAL:" in refusal and not any(phrase in refusal for phrase in _PASSING):
        return ConfigError(
            f"PostgreSQL at {place} does not let the role {user} connect to the database"
            f" {database}: {said}",
            "Look at its pg_hba.conf and at the role's right to connect.",
        )
    return RetriableError(
        f"PostgreSQL at {place} cannot be reached: {said}",
        "Run ./sluice up, which starts it."
        if embedded
        else "Start that server, or correct SLUICE_WAREHOUSE; then repeat the command.",
    )
