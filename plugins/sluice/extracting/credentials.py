"""The login of an API: from an Airflow connection, for its own host only."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from sluice.errors import ConfigError
from sluice.landing.airflow_connections import find_connection
from sluice.registry import Source
from sluice.settings import Settings


@dataclass(frozen=True)
class Credentials:
    """What is added to each request.

    Attributes:
        auth: login and password.
        headers: a token or a key.
        params: a key that the API wants in the address.
    """

    auth: httpx.BasicAuth | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    params: dict[str, str] = field(default_factory=dict, repr=False)


def find_credentials(settings: Settings, source: Source) -> Credentials:
    """The login that a source's ``extract.auth`` names; none where it names none.

    Raises:
        ConfigError: there is no such connection, it lacks what the login needs, or it belongs to
            another host than the one that is asked.
    """
    extract = source.extract
    if extract is None or extract.auth is None:
        return Credentials()
    auth = extract.auth
    connection = find_connection(auth.connection, settings.home, wanted_by=f"source {source.name}")
    host = urlsplit(extract.url).hostname or ""
    own_host = _host_of(connection.host or "")
    if own_host and own_host != host:
        raise ConfigError(
            f"The connection {auth.connection} is for {own_host}, and source {source.name} asks"
            f" {host}: its login is not sent there.",
            "Mend extract.url, or name the connection of that host.",
        )
    password = connection.password or ""
    if not password and (auth.type != "http_basic" or not connection.login):
        what = "a login" if auth.type == "http_basic" else "a password, which is the key or token"
        raise ConfigError(
            f"The connection {auth.connection} lacks {what}.", "Add it to the connection."
        )
    if auth.type == "http_basic":
        return Credentials(auth=httpx.BasicAuth(connection.login or "", password))
    if auth.type == "bearer":
        return Credentials(headers={"Authorization": _header(f"Bearer {password}", auth)})
    if auth.location == "query":
        return Credentials(params={auth.name: password})
    return Credentials(headers={auth.name: _header(password, auth)})


def _host_of(text: str) -> str:
    """A connection's host may be written as an address."""
    return (urlsplit(text if "//" in text else f"//{text}").hostname or "").lower()


def _header(value: str, auth: object) -> str:
    """A value that can be sent in a header; the message does not repeat it."""
    if not (value.isascii() and value.isprintable()):
        name = getattr(auth, "connection", "")
        raise ConfigError(
            f"The password of connection {name} cannot be sent in a header.",
            "A header takes printable ASCII only: look for a line end at its end.",
        )
    return value
