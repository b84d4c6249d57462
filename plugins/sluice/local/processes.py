"""Programs in the background, each in a session of its own, so that they outlive their starter."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from sluice.errors import ConfigError
from sluice.settings import Settings
from sluice.warehouse.passwords import prepare_home

# A log that has grown beyond this many bytes gives way to a new one when its program starts.
_LOG_BYTES = 20_000_000
_POLL_SECONDS = 0.02
# A killed process is gone at once, unless it hangs in the kernel, on a dead disk for instance.
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Account:
    """A system user that a program runs as."""

    name: str
    user_id: int
    group_id: int


class BackgroundProcess:
    """One program of an instance: started once, found again by any later process.

    The record of it, ``run/<name>.json`` below ``settings.home``, holds the process id together
    with the moment that the process started, so that a process id which the system gave to
    another program since is never mistaken for it.

    Attributes:
        name: what it is called in file names.
        log_path: where its standard output and error go.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.log_path = settings.logs / f"{name}.log"
        self._settings = settings
        self._record = settings.home / "run" / f"{name}.json"

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> int:
        """Start the program unless it runs already; return its process id.

        Args:
            command: the program and its arguments; no secrets, other users can see them.
            environment: the whole environment of the program, nothing is inherited.
            cwd: the folder that it works in.

        Raises:
            ConfigError: the program cannot be started at all. One that starts and ends soon
                after is for the caller to notice, with ``running``.
        """
        prepare_home(self._settings)
        self._record.parent.mkdir(mode=0o700, exist_ok=True)
        with exclusive(self._record.with_suffix(".lock")):
            running = self.running()
            if running is not None:
                return running
            process_id = spawn(command, environment, cwd, self.log_path)
            started = _started(process_id)
            draft = self._record.with_suffix(".draft")
            draft.write_text(json.dumps({"pid": process_id, "started": started}), encoding="utf-8")
            draft.replace(self._record)
            return process_id

    def running(self) -> int | None:
        """Return the process id while the program runs, otherwise None."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            process_id, started = int(record["pid"]), record["started"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if started is None or _started(process_id) != started:
            return None
        return process_id

    def stop(self, timeout_seconds: float) -> bool:
        """End the program: TERM, then KILL for it and its children after the time given.

        Returns:
            Whether it was running. It has ended when this returns.
        """
        process_id = self.running()
        if process_id is not None:
            _end(process_id, timeout_seconds)
        self._record.unlink(missing_ok=True)
        return process_id is not None


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` alone among all processes; waits for whoever holds it.

    The system lets go of it when the holder ends, however it ends.

    Raises:
        ConfigError: it belongs to another user.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        raise ConfigError(
            f"The lock {path} belongs to another user.",
            "Run Sluice as that user or as root, or set SLUICE_HOME to a folder of yours.",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    log_path: Path,
    account: Account | None = None,
) -> int:
    """Start a program in a session of its own, its output appended to a log; return its process id.

    Args:
        command: the program and its arguments.
        environment: its whole environment.
        cwd: the folder that it works in.
        log_path: its log (mode 0600), opened here: the account need not be able to.
        account: the user that it runs as; None for the present one.

    Raises:
        ConfigError: the program cannot be started.
    """
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
        log_path.replace(log_path.with_suffix(".log.1"))
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.user_id if account else None,
            group=account.group_id if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{command[0]} cannot be started: {error}.") from error
    finally:
        os.close(log)
    # It is meant to run on: without this, Python warns of that when the object is collected.
    process.returncode = 0
    return process.pid


def log_tail(log_path: Path, lines: int = 10) -> str:
    """Return the last lines of a log, for an error's message; empty where there is no log."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - 8192))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process has not ended yet; one that nobody reaps has ended."""
    try:
        if not process.is_running() or process.status() != psutil.STATUS_ZOMBIE:
            return process.is_running()
        process.wait(0)  # reaps it where it is a child of ours
    except psutil.Error:
        return False
    return False


def wait_for_end(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes have ended, for so long at most; return those that have not."""
    # Not psutil.wait_procs: in a container whose first process reaps nobody, it waits in vain.
    deadline = time.monotonic() + seconds
    left = [process for process in processes if is_alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = [process for process in left if is_alive(process)]
    return left


def _started(process_id: int) -> str | None:
    """Return what tells this process from all others that had its id; None when it has ended."""
    try:
        if not is_alive(psutil.Process(process_id)):
            return None
        # Counted from boot, so that a clock that is set does not change it: field 22 of the
        # file, the twentieth after the name in brackets, which may hold anything.
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{text.rpartition(')')[2].split()[19]}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _end(process_id: int, timeout_seconds: float) -> None:
    try:
        leader = psutil.Process(process_id)
        family = [leader, *leader.children(recursive=True)]
        leader.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise ConfigError(
            f"The process {process_id} belongs to another user.",
            "Run the command as the user who started it, or as root.",
        ) from None
    deadline = time.monotonic() + timeout_seconds
    if wait_for_end([leader], timeout_seconds):
        with contextlib.suppress(psutil.NoSuchProcess):
            family += leader.children(recursive=True)
    # Children that the leader left behind get what remains of the time.
    left = wait_for_end(family, max(0.0, deadline - time.monotonic()))
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_end(left, _KILL_SECONDS)
