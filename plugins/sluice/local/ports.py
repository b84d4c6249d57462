"""Whether a port of this machine is free, and if not, who has it."""

from __future__ import annotations

import contextlib
import socket

import psutil

from sluice.errors import ConfigError


def check_port(host: str, port: int, setting: str) -> None:
    """Make sure that nothing listens on a port that is about to be used.

    Args:
        host: the address that will be listened on.
        port: the port.
        setting: the environment variable that chooses it, for the message.

    Raises:
        ConfigError: something does; named, where this user may know it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: what is left of closed connections is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} on {host} cannot be used: {_holder(port) or error.strerror}.",
                f"Stop that program, or set {setting} to a free port.",
            ) from None


def _holder(port: int) -> str | None:
    """Name the process that listens on a port; None where that cannot be known."""
    with contextlib.suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            if connection.status != psutil.CONN_LISTEN or not address or address.port != port:
                continue
            if connection.pid is None:
                return "another user's program listens on it"
            return f"{psutil.Process(connection.pid).name()} (process {connection.pid}) has it"
    return None
