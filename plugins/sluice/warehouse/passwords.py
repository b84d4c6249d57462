"""Generated secrets, one file each, and the folder that holds an instance's state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sluice.errors import ConfigError
from sluice.settings import Settings

# 24 random bytes are 192 bits: 32 characters that need no quoting in a URI or a shell.
_RANDOM_BYTES = 24


def prepare_home(settings: Settings) -> Path:
    """Make the folder of an instance's state, ``settings.home``, where it is missing.

    Its mode is 0700, or 0711 for root: PostgreSQL then runs as another user, who has to pass
    through it. A folder that is already there keeps its mode.

    Raises:
        ConfigError: the folder cannot be made.
    """
    _make_folder(settings.home, 0o711 if os.geteuid() == 0 else 0o700)
    return settings.home


def password(settings: Settings, name: str) -> str:
    """Return the generated secret ``name`` of this instance, made on first use.

    It is kept in ``settings.secrets/<name>`` (mode 0600), which appears complete or not at all;
    processes that ask at the same time get the same one.

    Raises:
        ConfigError: the file cannot be read or written, or is empty.
    """
    path = settings.secrets / name
    try:
        if not path.exists():
            prepare_home(settings)
            _make_folder(settings.secrets, 0o700)
            _create(path)
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The secret {path} cannot be used: {_reason(error)}.",
            "Run Sluice as the user who owns SLUICE_HOME, or set SLUICE_HOME to a folder of yours.",
        ) from error
    if not secret:
        raise ConfigError(f"The secret {path} is empty.", "Restore the file from a backup.")
    return secret


def _create(path: Path) -> None:
    """Write a new secret, unless another process just did."""
    with _locked(path.parent):
        if path.exists():
            return
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
                file.flush()
                # A role outlives a power failure on the server's side, so must its password here.
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder alone, and have what was renamed in it on disk when leaving."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path, mode: int) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=mode)
            folder.chmod(mode)  # a umask may have taken bits away
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} cannot be made: {_reason(error)}.",
            "Set SLUICE_HOME to a folder that you may write to.",
        ) from error


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
