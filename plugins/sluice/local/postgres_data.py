"""The data folder of the embedded PostgreSQL: made, checked, and cleared of a crash's remains."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from sluice.errors import ConfigError
from sluice.local.postgres_place import Place
from sluice.local.processes import wait_for_end
from sluice.settings import Settings

SUPERUSER = "postgres"
MAJOR_VERSION = "18"

# Docker gives a container 64 MB of it unless told otherwise; a parallel hash join of some million
# rows asks for more, and fails where it does not get it.
_SHARED_MEMORY_BYTES = 512 * 1024 * 1024
# Server processes whose main process was killed notice so when they next wait for something.
_ORPHAN_SECONDS = 10.0

# For analytics beside Airflow and dbt on a machine of 2 cores and 4 GB or more. Written into the
# data folder once: a user may change them there, or with ALTER SYSTEM.
SERVER_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",  # taken as it is used; the system's own cache holds the rest
    "effective_cache_size": "1GB",
    "work_mem": "32MB",  # sorts and hashes of a mart stay off the disk
    "maintenance_work_mem": "256MB",  # indexes on bronze
    "max_wal_size": "4GB",  # a load of some millions of rows passes without a forced checkpoint
    "checkpoint_timeout": "15min",
    # Nothing is replicated, so a table made and filled in one transaction need not be logged: 1.5
    # million rows by CREATE TABLE AS take 0.43 s, and logged 0.9 s and more.
    "wal_level": "minimal",
    "max_wal_senders": "0",  # as the line above demands
    "random_page_cost": "1.1",  # solid state disks
    "jit": "off",  # compiling costs more than it saves on queries of seconds
    "huge_pages": "off",  # containers may promise pages that they then refuse (SIGBUS)
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
}


def make_data(place: Place, *, administrator_password: str) -> None:
    """Make the data folder; it gets its name only when it is complete.

    Args:
        place: where it shall be, and whose it shall be.
        administrator_password: of the superuser; it reaches ``initdb`` in a file that is removed.

    Raises:
        ConfigError: it cannot be made; the message says why.
    """
    draft = place.data.with_name("postgres.incomplete")
    secret = place.data.with_name("postgres.pwfile")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        secret.unlink(missing_ok=True)
        draft.mkdir(mode=0o700)
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(administrator_password + "\n")
        if place.account:
            for path in (draft, secret):
                os.chown(path, place.account.user_id, place.account.group_id)
        _run_initdb(place, draft, secret)
        draft.rename(place.data)
    except OSError as error:
        raise ConfigError(
            f"PostgreSQL's data folder {place.data} cannot be made: {error.strerror}."
        ) from error
    finally:
        secret.unlink(missing_ok=True)


def _run_initdb(place: Place, folder: Path, secret: Path) -> None:
    # Text is compared by code point and its case changed by Unicode's rules, both built into
    # PostgreSQL: the same on every machine, and no update of a system library can break an index.
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [str(place.programs / "initdb"), f"--pgdata={folder}", f"--username={SUPERUSER}"]
    command += [f"--pwfile={secret}", "--auth=scram-sha-256", "--data-checksums", *locale]
    command += ["--no-locale", "--no-instructions"]
    command += [f"--set={name}={value}" for name, value in SERVER_SETTINGS.items()]
    account = place.account
    done = subprocess.run(
        command,
        env=server_environment(),
        cwd=folder.parent,
        user=account.user_id if account else None,
        group=account.group_id if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ConfigError(
            f"PostgreSQL's data folder {place.data} cannot be made: {done.stderr.strip()}"
        )


def check_data(settings: Settings, data: Path, secret: Path) -> None:
    """Refuse a data folder that this instance cannot serve, before PostgreSQL does in its words.

    Args:
        settings: the instance's settings.
        data: the folder.
        secret: the file with its superuser's password.

    Raises:
        ConfigError: it belongs to another user, is of another version, or its password is lost.
    """
    owner = _user_name(data.stat().st_uid)
    expected = settings.postgres_user if os.geteuid() == 0 else _user_name(os.geteuid())
    if owner != expected:
        raise ConfigError(
            f"PostgreSQL's data in {data} belongs to the user {owner}; it would run as {expected}.",
            f"Run Sluice as {owner}; as root, set SLUICE_POSTGRES_USER={owner}.",
        )
    version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if version != MAJOR_VERSION:
        raise ConfigError(
            f"The data in {data} is of PostgreSQL {version}; this Sluice has {MAJOR_VERSION}.",
            "Dump it with the Sluice that made it (pg_dumpall), or move the folder away to start"
            " anew.",
        )
    if not secret.exists():
        raise ConfigError(
            f"The password of PostgreSQL's data in {data} is lost: there is no {secret}.",
            f"Restore that file, or remove {data} to start anew.",
        )


def clear_remains(data: Path) -> None:
    """Clear what a server that was killed left behind, so that the next one can start.

    PostgreSQL itself sees to a ``postmaster.pid`` whose process is gone. It does not start while
    old server processes run on, nor while another program of the same user has the old process
    id, as is common in a container that was started again.
    """
    record = data / "postmaster.pid"
    if not record.exists():
        return
    orphans = [process for process in psutil.process_iter() if _serves(process, data)]
    for sent in (signal.SIGQUIT, signal.SIGKILL):
        for process in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        orphans = wait_for_end(orphans, _ORPHAN_SECONDS)
    with contextlib.suppress(ValueError, IndexError, FileNotFoundError):
        if psutil.pid_exists(int(record.read_text(encoding="utf-8").splitlines()[0])):
            record.unlink()


def server_environment() -> dict[str, str]:
    """Return the environment of the server's programs: none of ours, which may hold secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def shared_memory_type() -> str:
    """Return how server processes share memory: in ``/dev/shm`` where it is large enough."""
    try:
        system = os.statvfs("/dev/shm")  # noqa: S108  measured only
    except OSError:
        return "mmap"
    return "posix" if system.f_blocks * system.f_frsize >= _SHARED_MEMORY_BYTES else "mmap"


def _serves(process: psutil.Process, data: Path) -> bool:
    """Return whether a process is a server process with this data: it works in the folder."""
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except (psutil.Error, OSError):
        return False


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
