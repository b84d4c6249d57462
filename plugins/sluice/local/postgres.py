"""PostgreSQL on this machine: a server of the instance's own, on 127.0.0.1 and by password only."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from sluice.errors import ConfigError, RetriableError
from sluice.local.ports import check_port
from sluice.local.postgres_data import (
    SUPERUSER,
    check_data,
    clear_remains,
    make_data,
    server_environment,
    shared_memory_type,
)
from sluice.local.postgres_place import existing_data, packaged_programs, prepare_place
from sluice.local.processes import exclusive, is_alive, log_tail, spawn, wait_for_end
from sluice.settings import Settings
from sluice.warehouse.bootstrap import prepare_warehouse
from sluice.warehouse.connections import EMBEDDED_HOST, as_uri
from sluice.warehouse.passwords import password, prepare_home

_SECRET = "postgres-administrator"  # noqa: S105  the name of the file, not what is in it

# Recovery after a power failure reads back at most max_wal_size: well below a minute from a disk.
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class PostgresStatus:
    """What there is of the embedded server.

    Attributes:
        running: whether it runs and accepts connections.
        pid: its process, also while it starts or stops; None where there is none.
        port: the port that it listens on, or that it would.
        version: of the server's programs, such as ``18.6``.
    """

    running: bool
    pid: int | None
    port: int
    version: str


@dataclass(frozen=True)
class _Postmaster:
    """The server's main process, as its own file ``postmaster.pid`` tells."""

    pid: int
    port: int
    ready: bool


def ensure_warehouse(settings: Settings) -> None:
    """Have the warehouse there and ready: the server, roles, schemas, the ledger's tables.

    What every command calls that needs PostgreSQL. Starts the embedded server unless
    ``SLUICE_WAREHOUSE`` names another; some tens of milliseconds where all is there.

    Raises:
        ConfigError: a setting, a right or the machine stands in the way.
        RetriableError: the server of the user's own is not there.
    """
    uri = settings.warehouse.get_secret_value()
    if not uri:
        start_postgres(settings)
        uri = administrator_uri(settings)
    prepare_warehouse(settings, uri)


def start_postgres(settings: Settings) -> None:
    """Start the embedded server unless it runs; its data folder is made on first use.

    Returns when it accepts connections. It outlives the process that starts it.

    Raises:
        ConfigError: the port is taken, the data folder is of another version or user, the
            server runs on another port than the setting says, or it does not start.
        RetriableError: it is still starting after two minutes.
    """
    data = existing_data(settings)
    postmaster = _postmaster(data) if data else None
    if postmaster is None or not postmaster.ready:
        prepare_home(settings)
        with exclusive(settings.home / "postgres.lock"):
            postmaster = _start(settings)
    if postmaster.port != settings.postgres_port:
        raise ConfigError(
            f"PostgreSQL of this instance runs on port {postmaster.port}, and"
            f" SLUICE_POSTGRES_PORT is {settings.postgres_port}.",
            f"Run ./sluice down first, or set SLUICE_POSTGRES_PORT={postmaster.port}.",
        )


def stop_postgres(settings: Settings) -> bool:
    """Stop the embedded server: what is under way is rolled back, what was committed stays.

    Returns:
        Whether it was running. It has ended when this returns.

    Raises:
        ConfigError: it belongs to another user.
        RetriableError: it does not end.
    """
    data = existing_data(settings)
    if data is None:
        return False
    prepare_home(settings)
    with exclusive(settings.home / "postgres.lock"):
        postmaster = _postmaster(data)
        if postmaster is None:
            return False
        try:
            process = psutil.Process(postmaster.pid)
            # First without waiting for clients, then without writing out what is in memory.
            for sent in (signal.SIGINT, signal.SIGQUIT):
                process.send_signal(sent)
                if not wait_for_end([process], _STOP_SECONDS):
                    return True
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            raise ConfigError(
                f"PostgreSQL (process {postmaster.pid}) belongs to another user.",
                "Run the command as the user who started it, or as root.",
            ) from None
    raise RetriableError(
        f"PostgreSQL (process {postmaster.pid}) does not end.", f"See {_log(settings)}."
    )


def postgres_status(settings: Settings) -> PostgresStatus:
    """Return what there is of the embedded server; nothing is started or made.

    Raises:
        ConfigError: the package with the server is not installed, or the data is another user's.
    """
    data = existing_data(settings)
    postmaster = _postmaster(data) if data else None
    program = packaged_programs() / "postgres"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return PostgresStatus(
        running=postmaster is not None and postmaster.ready,
        pid=postmaster.pid if postmaster else None,
        port=postmaster.port if postmaster else settings.postgres_port,
        version=done.stdout.strip().rpartition(" ")[2],
    )


def administrator_uri(settings: Settings) -> str:
    """Return the ``postgresql://`` URI, with password, of the embedded server's superuser.

    Raises:
        ConfigError: the password cannot be read or written.
    """
    return as_uri(
        {
            "user": SUPERUSER,
            "password": password(settings, _SECRET),
            "host": EMBEDDED_HOST,
            "port": settings.postgres_port,
            "dbname": "postgres",
        }
    )


def psql_path() -> Path:
    """Return the program ``psql`` that comes with the embedded server.

    Raises:
        ConfigError: the package is not installed.
    """
    return packaged_programs() / "psql"


def _start(settings: Settings) -> _Postmaster:
    """Start the server, or wait for one that is starting; the caller holds the lock."""
    data = existing_data(settings)
    if data is not None:
        postmaster = _postmaster(data)
        if postmaster is not None:
            return _wait_until_ready(settings, data, postmaster.pid)
        check_data(settings, data, settings.secrets / _SECRET)
        clear_remains(data)
    check_port(EMBEDDED_HOST, settings.postgres_port, "SLUICE_POSTGRES_PORT")
    place = prepare_place(settings)
    if data is None:
        make_data(place, administrator_password=password(settings, _SECRET))
    command = [
        str(place.programs / "postgres"),
        *("-D", str(place.data)),
        *("-p", str(settings.postgres_port)),
        *("-c", f"listen_addresses={EMBEDDED_HOST}"),
        *("-c", "unix_socket_directories="),
        *("-c", f"dynamic_shared_memory_type={shared_memory_type()}"),
    ]
    pid = spawn(command, server_environment(), place.data.parent, _log(settings), place.account)
    return _wait_until_ready(settings, place.data, pid)


def _postmaster(data: Path) -> _Postmaster | None:
    """Return the process that serves this data folder; None where there is none."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        # The process id may be another program's by now, after a crash or in a new container.
        if str(data) not in psutil.Process(int(lines[0])).cmdline():
            return None
        return _Postmaster(
            pid=int(lines[0]),
            port=int(lines[3]),
            ready=len(lines) > 7 and lines[7].strip() == "ready",
        )
    except (PermissionError, psutil.AccessDenied):
        raise ConfigError(
            f"PostgreSQL's data in {data} belongs to another user.",
            "Run Sluice as that user or as root, or set SLUICE_HOME to a folder of yours.",
        ) from None
    except (FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
        return None  # no file, an old one, or one that is just being written


def _wait_until_ready(settings: Settings, data: Path, pid: int) -> _Postmaster:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        postmaster = _postmaster(data)
        if postmaster and postmaster.ready:
            return postmaster
        if not _runs(pid):
            raise ConfigError(
                f"PostgreSQL did not start. Its last words:\n{log_tail(_log(settings))}",
                f"The whole log is {_log(settings)}.",
            )
        time.sleep(_POLL_SECONDS)
    raise RetriableError(
        f"PostgreSQL (process {pid}) is still starting after {_START_SECONDS:.0f} seconds.",
        f"See {_log(settings)}, and repeat the command.",
    )


def _runs(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _log(settings: Settings) -> Path:
    return settings.logs / "postgres.log"
