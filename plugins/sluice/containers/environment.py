"""The file ``.env`` beside ``docker-compose.yml``: the containers' secrets, and who runs them.

Compose hands each secret to the containers that need it as a file below ``/run/secrets``, which is
the folder of secrets of their instance: nothing of it is in their environment or arguments.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sluice.errors import ConfigError
from sluice.settings import Settings
from sluice.warehouse.connections import ROLES

ADMINISTRATOR_SECRET = "postgres-administrator"  # noqa: S105  a file's name, as the next two are
LOGIN_SECRET = "airflow-admin"  # noqa: S105
BROKER_SECRET = "redis"  # noqa: S105
SECRETS = (
    ADMINISTRATOR_SECRET,
    "postgres-airflow",
    *(f"postgres-{role}" for role in ROLES),
    LOGIN_SECRET,
    "airflow-api",
    "airflow-fernet",
    "airflow-jwt",
    BROKER_SECRET,
    "mask-key",
)

# Who runs the containers of somebody who is root; Airflow's own images know the same number.
DEFAULT_USER_ID = 50000

_HEADING = """\
# Written by ./sluice compose-init, for docker-compose.yml. Keep it private, and keep a copy:
# without it, the databases that were made with it are closed. SLUICE_* settings may be added.
"""
_RANDOM_BYTES = 24


def secret_variable(name: str) -> str:
    """The name in ``.env`` of a secret."""
    return f"SLUICE_SECRET_{name.replace('-', '_').upper()}"


def write_environment(settings: Settings) -> tuple[Path, list[str]]:
    """Complete ``.env``: what is there stays as it is, what is missing is generated.

    The folders of data become those of the user that runs the containers, where the caller is root.

    Returns:
        The file, of mode 0600, and the names of the variables that were added.

    Raises:
        ConfigError: the file or a folder cannot be used.
    """
    path = settings.project / ".env"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else _HEADING
        there = _variables(text)
        added = {name: value for name, value in _wanted().items() if name not in there}
        if text and not text.endswith("\n"):
            text += "\n"
        _write(path, text + "".join(f"{name}={value}\n" for name, value in added.items()))
        _prepare_folders(settings, int(there.get("SLUICE_UID") or added["SLUICE_UID"]))
    except (OSError, ValueError) as error:
        # Such as a user id that is none; the file's other values are not repeated.
        reason = error.strerror if isinstance(error, OSError) else "it holds what cannot be read"
        raise ConfigError(
            f"{path} or the folders of data cannot be prepared: {reason}.",
            "Run ./sluice compose-init as the owner of the checkout, or as root.",
        ) from None
    return path, sorted(added)


def _wanted() -> Mapping[str, str]:
    generated = {secret_variable(name): secrets.token_urlsafe(_RANDOM_BYTES) for name in SECRETS}
    # LocalExecutor, unless the profile celery is asked for instead.
    return {
        "COMPOSE_PROFILES": "local",
        "SLUICE_UID": str(os.getuid() or DEFAULT_USER_ID),
        **generated,
    }


def _variables(text: str) -> dict[str, str]:
    lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in lines if value.strip()}


def _write(path: Path, text: str) -> None:
    """Write a private file, complete or not at all."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chown(draft, path.stat().st_uid, path.stat().st_gid)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _prepare_folders(settings: Settings, user_id: int) -> None:
    for name in ("landing", "archive", "rejected"):
        top = settings.project / "data" / name
        top.mkdir(parents=True, exist_ok=True)
        if os.getuid() != 0:
            continue
        # Files are moved and never rewritten, so that the folders are enough.
        for folder, _, _ in os.walk(top):
            os.chown(folder, user_id, -1, follow_symlinks=False)
