"""One message to the addresses of an Airflow connection, by Apprise."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sluice.errors import ConfigError, InternalError, RetriableError, SluiceError, printable
from sluice.landing.airflow_connections import find_connection
from sluice.notifying.messages import Message

# For all the addresses of a connection together. Apprise's own limits are 4 to 15 s a step.
DEADLINE_SECONDS = 15.0

_LONGEST_REASON = 300


def send(connection: str, home: Path, message: Message, *, wanted_by: str) -> None:
    """Send a message to every address of a connection.

    Args:
        connection: its id.
        home: the instance's folder.
        message: what to say.
        wanted_by: what the connection is for, as in "for pipeline shop".

    Raises:
        ConfigError: there is no such connection, or it holds no address that Apprise knows.
        RetriableError: the message did not go to all of the addresses. No error repeats anything
            of an address.
        InternalError: whatever a library or a secrets backend has raised, by its type alone: its
            text may hold an address.
    """
    try:
        _send(connection, home, message, wanted_by=wanted_by)
    except SluiceError:
        raise
    except Exception as error:
        raise InternalError(
            f"A message could not be sent by connection {connection}: {type(error).__name__}.",
            "See whether Airflow's secrets backend answers; else please report it.",
        ) from None


def _send(connection: str, home: Path, message: Message, *, wanted_by: str) -> None:
    from apprise import Apprise, AppriseAsset  # 0.3 s that every command would wait for

    addresses = _addresses(find_connection(connection, home, wanted_by=wanted_by), connection)
    # What Apprise logs may hold a part of an address; the same comes back with the result.
    logging.getLogger("apprise").propagate = False
    # Without remote images; what it asks for between two messages, it does not keep on disk.
    asset = AppriseAsset(
        app_id="Sluice", app_desc="Sluice", app_url="", image_url_mask="", storage_mode="memory"
    )
    apprise = Apprise(asset=asset)
    for number, address in enumerate(addresses, start=1):
        if not apprise.add(address):
            which = f"Address {number} of connection {connection}" if len(addresses) > 1 else ""
            raise ConfigError(
                f"{which or f'The address of connection {connection}'} is none that Apprise knows.",
                "Write it such as mailto://user:password@example.org?to=team@example.org; see"
                " docs/notify.md.",
            )
    result = apprise.notify(
        body=message.body,
        title=message.title,
        notify_type=message.severity,
        # Whoever renders HTML gets it escaped.
        body_format="text",
        timeout=DEADLINE_SECONDS,
    )
    if not result:
        said = [_reason(one, addresses) for one in result if not one]
        raise RetriableError(
            f"A message could not be sent by connection {connection}:"
            f" {'; '.join(said) or 'Apprise gives no reason'}.",
            "Look at the connection, and whether its server can be reached from here.",
        )


def _addresses(connection: Any, name: str) -> list[str]:
    """The addresses: lines of the password, or as the form of Airflow's Apprise provider has it.

    Raises:
        ConfigError: there are none.
    """
    lines = (connection.password or "").splitlines()
    try:
        config = connection.extra_dejson.get("config") or []
        config = json.loads(config) if isinstance(config, str) else config
        entries = config if isinstance(config, list) else [config]
        lines += [entry["path"] for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError):  # its text may repeat the address
        lines = []
    addresses = [line.strip() for line in lines if isinstance(line, str) and line.strip()]
    if not addresses:
        raise ConfigError(
            f"The connection {name} holds no address.",
            'Write an address in Apprise\'s form as its password, or {"path": "..."} as the config'
            " of a connection of type Apprise; see docs/notify.md.",
        )
    return addresses


def _reason(result: Any, addresses: Sequence[str]) -> str:
    """Why one address was not reached, in Apprise's words."""
    said = " ".join(entry.message for entry in result.logs()) or result.status.name.lower()
    text = without(_secrets(addresses), printable(" ".join(said.split())))
    return f"{result.name}: {text[:_LONGEST_REASON]}"


def without(secrets: Iterable[str], text: str) -> str:
    """A text without the secrets, the longest first, as one may be a part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(addresses: Sequence[str]) -> set[str]:
    """Every part of an address that may be one: all but its scheme, and words of two letters.

    In the address of a service, what stands in the host's place is often a token.
    """
    found = set()
    for address in addresses:
        _, _, rest = address.partition("://")
        place, _, query = rest.partition("?")
        parts = {rest, *re.split(r"[/:@,]+", place)}
        parts |= {pair.partition("=")[2] for pair in query.split("&")}
        found |= parts | {unquote(part) for part in parts}
    return {part for part in found if len(part) > 2}
