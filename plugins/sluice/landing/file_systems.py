"""The file systems of object stores and SFTP servers, by the names of Airflow's connections."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluice.errors import ConfigError
from sluice.landing.airflow_connections import find_connection, quiet_airflow
from sluice.settings import StorageUrl

_PROVIDERS = {
    "s3": "amazon[s3fs]",
    "gs": "google",
    "abfs": "microsoft-azure",
    "sftp": "sftp[sshfs]",
}

# A login takes seconds at most. A peer that went away without a word is given up after three
# keepalives without an answer; without them, a poll would wait for it for ever.
_CONNECT_SECONDS = 30
_KEEPALIVE_SECONDS = 20

# As Python's own functions have the names of files: bytes that are not UTF-8 as surrogates.
SFTP_NAMES: Mapping[str, Any] = {"path_encoding": "utf-8", "path_errors": "surrogateescape"}


def connected(url: StorageUrl, home: Path) -> Any:
    """The file system (fsspec's) of a place, by its connection.

    Airflow keeps one for each connection.

    Raises:
        ConfigError: there is no such connection, or what it needs is not installed.
    """
    if url.protocol == "sftp":
        return _sftp(url, home)
    if url.connection:  # a file system may fall back on no login at all
        find_connection(url.connection, home, wanted_by=str(url))
    with quiet_airflow(home):
        from airflow.sdk import ObjectStoragePath

        try:
            return ObjectStoragePath(str(url)).fs
        except (ValueError, ImportError) as error:
            raise _missing_provider(url, error) from None


def hang_up(url: StorageUrl, home: Path) -> None:
    """Forget a connection that may be broken: the next call makes another."""
    with quiet_airflow(home):
        from airflow.sdk.io import attach

        vars(attach(protocol=url.protocol, conn_id=url.connection)).pop("fs", None)


def _missing_provider(url: StorageUrl, error: Exception) -> ConfigError:
    provider = f"apache-airflow-providers-{_PROVIDERS[url.protocol]}"
    return ConfigError(f"{url} cannot be used: {error}", f"Install {provider}.")


def _sftp(url: StorageUrl, home: Path) -> Any:
    """That of an SFTP server; another one where the server has hung up."""
    if not url.connection:
        raise ConfigError(
            f"{url} names no connection, and there is no host without one.",
            "Write sftp://connection@folder: host and login are those of Airflow's connection.",
        )
    with quiet_airflow(home):
        from airflow.sdk.io import attach, get_fs

        store = attach(protocol=url.protocol, conn_id=url.connection)
        files = vars(store).get("fs")
        if files is not None and not files.client.is_closed():
            return files
        connection = find_connection(url.connection, home, wanted_by=str(url))
        try:
            store.fs = get_fs(url.protocol, url.connection, _sftp_options(connection))
        except (ValueError, ImportError) as error:
            raise _missing_provider(url, error) from None
        except Exception as error:
            if type(error).__name__ != "HostKeyNotVerifiable":
                raise
            raise ConfigError(
                f"The server of {url} does not have a key that is known: {error}.",
                "Put its public key into the connection's extra host_key; ssh-keyscan shows it.",
            ) from None
        return store.fs


def _sftp_options(connection: Any) -> dict[str, Any]:
    """What the provider leaves out when it makes a file system of a connection."""
    import asyncssh

    asyncssh.set_log_level(logging.WARNING)  # it tells of each channel, in each poll
    extra = connection.extra_dejson
    options: dict[str, Any] = {
        "skip_instance_cache": True,  # fsspec would give back the one that was hung up
        "sftp_client_kwargs": dict(SFTP_NAMES),
        "timeout": _CONNECT_SECONDS,
        "keepalive_interval": _KEEPALIVE_SECONDS,
    }
    if extra.get("host_key"):
        key = str(extra["host_key"])
        typed = key if " " in key.strip() else f"ssh-rsa {key}"  # as Airflow's own hook reads it
        options["known_hosts"] = asyncssh.import_known_hosts(f"* {typed}\n")
    elif str(extra.get("no_host_key_check", "")).lower() != "true":
        options["known_hosts"] = ()  # ~/.ssh/known_hosts; the file system would ask for none
    if extra.get("private_key"):
        options["client_keys"] = [str(extra["private_key"]).encode()]  # text would be a path
    return options
