"""Airflow on one machine: four processes in the background, for this user and this machine only."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from sluice.errors import ConfigError
from sluice.local.airflow_config import (
    HOST,
    USER,
    airflow_environment,
    airflow_home,
    airflow_password,
    airflow_url,
    write_configuration,
)
from sluice.local.ports import check_port
from sluice.local.postgres import administrator_uri, start_postgres
from sluice.local.processes import BackgroundProcess, exclusive, is_alive, log_tail
from sluice.settings import Settings
from sluice.warehouse.bootstrap import airflow_database_uri, prepare_airflow_database
from sluice.warehouse.connections import open_connection, parse_uri
from sluice.warehouse.passwords import prepare_home

__all__ = [
    "AirflowAddress",
    "AirflowStatus",
    "airflow_address",
    "airflow_environment",
    "airflow_status",
    "start_airflow",
    "stop_airflow",
]

API_SERVER = "api-server"
TRIGGERER = "triggerer"

# Each with the arguments of the command `airflow`. The two that could serve logs would open a port
# on every address of the machine; the API server reads the files itself.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    API_SERVER: ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    TRIGGERER: ("triggerer", "--skip-serve-logs"),
}
FIRST_COMPONENTS = (API_SERVER, "scheduler")

# A start takes 12 s on two cores, twice that when Python still has to compile its modules; the rest
# is for a machine that does something else as well.
START_SECONDS = 180
# A scheduler waits for its running tasks. What is killed after this is repeated by the next run.
STOP_SECONDS = 30
# The API server holds nothing that could be lost. It would wait two minutes for an open browser,
# and then take three seconds to put its things away.
API_SERVER_STOP_SECONDS = 1
TRIGGERER_STOP_SECONDS = 5
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class AirflowAddress:
    """Where the UI is, and who may come in."""

    url: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class AirflowStatus:
    """What runs of Airflow.

    Attributes:
        running: whether all four processes do.
        processes: each component's process id, None where it does not run.
        healthy: whether each component says of itself that it works; empty where the API server
            does not answer.
    """

    running: bool
    processes: dict[str, int | None]
    healthy: dict[str, bool]


def airflow_address(settings: Settings) -> AirflowAddress:
    """Return where the UI is, and its generated login."""
    return AirflowAddress(airflow_url(settings), USER, airflow_password(settings))


def airflow_status(settings: Settings) -> AirflowStatus:
    """Return which processes run and what they say of themselves; starts nothing."""
    processes = {name: _process(settings, name).running() for name in COMPONENTS}
    beats = _heartbeats(settings) if processes[API_SERVER] else {}
    return AirflowStatus(
        running=all(processes.values()),
        processes=processes,
        healthy={name: beat is not None for name, beat in beats.items()},
    )


def start_airflow(settings: Settings, tell: Callable[[str], None] | None = None) -> None:
    """Start what does not run of Airflow, and wait until all of it works.

    What runs is left alone, unless a setting has changed since it was started: then everything is
    started anew. The metadata is a database of its own in the embedded PostgreSQL, which is started
    as well, unless ``SLUICE_AIRFLOW_DATABASE`` names another.

    Args:
        settings: the instance.
        tell: called with a few words for each thing that is waited for, for progress.

    Raises:
        ConfigError: the port is in use, or a process ends instead of starting.
        RetriableError: PostgreSQL is not there.
    """
    say = tell or (lambda _: None)
    with _alone(settings):
        fingerprint = write_configuration(settings)
        marker = airflow_home(settings) / "started"
        if _read(marker) != fingerprint:
            _stop_all(settings)
        if _process(settings, API_SERVER).running() is None:
            check_port(HOST, settings.airflow_port, "SLUICE_AIRFLOW_PORT")
        if not settings.airflow_database.get_secret_value():
            start_postgres(settings)
            prepare_airflow_database(settings, administrator_uri(settings))
        _migrate(settings, say)
        marker.write_text(fingerprint, encoding="utf-8")
        _start_all(settings, say)


def stop_airflow(settings: Settings) -> bool:
    """End all of Airflow's processes; returns whether any ran.

    Running tasks have half a minute to end. They may be killed: whatever they had not committed is
    done again by the next run.
    """
    if not settings.home.is_dir():
        return False
    with _alone(settings):
        return _stop_all(settings)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    prepare_home(settings)
    with exclusive(settings.home / "airflow.lock"):
        yield


def _process(settings: Settings, name: str) -> BackgroundProcess:
    return BackgroundProcess(f"airflow-{name}", settings)


def _start_all(settings: Settings, say: Callable[[str], None]) -> None:
    """Start what does not run and wait until everything beats: what was started now, since then.

    The API server takes as long as the others together, and its interface for tasks, made when it
    is first asked, half as long again. So what it need not share two cores with waits for its first
    answer: 11.5 s in all, where starting all at once took 14.5 s; on more cores it is the same.
    """
    _end_leftovers(settings)
    started_at = datetime.now(UTC)
    fresh = [name for name in FIRST_COMPONENTS if _start(settings, name)]
    _wait(settings, say, FIRST_COMPONENTS, lambda beats: [] if beats else [API_SERVER])
    fresh += [name for name in COMPONENTS if _start(settings, name)]
    _get(settings, "/execution/health", timeout_seconds=START_SECONDS)
    _wait(
        settings,
        say,
        COMPONENTS,
        lambda beats: [
            name
            for name in COMPONENTS
            if (beat := beats.get(name)) is None or (name in fresh and beat < started_at)
        ],
    )


def _start(settings: Settings, name: str) -> bool:
    """Start a component unless it runs; returns whether it was started."""
    process = _process(settings, name)
    if process.running() is not None:
        return False
    process.start(_command(COMPONENTS[name]), airflow_environment(settings), airflow_home(settings))
    return True


def _command(arguments: Sequence[str]) -> list[str]:
    # Airflow opens some of its files with modes that only a umask narrows.
    narrow = ["/bin/sh", "-c", 'umask 077; exec "$@"', "sh"]
    return [*narrow, sys.executable, "-m", "airflow", *arguments]


def _stop_all(settings: Settings) -> bool:
    """End the components side by side, the API server last: the others report to it."""
    first = [name for name in COMPONENTS if name != API_SERVER]
    with ThreadPoolExecutor(len(first)) as pool:
        stopped = list(pool.map(lambda name: _stop(settings, name), first))
    stopped.append(_stop(settings, API_SERVER))
    _end_leftovers(settings)
    return any(stopped)


def _stop(settings: Settings, name: str) -> bool:
    process = _process(settings, name)
    process_id = process.running()
    if process_id is not None and name == TRIGGERER:
        # Told to end, it may wait ten seconds for a process of its own that has ended (3.3). When
        # that process ends first, it follows within a second and signs off as it should.
        with contextlib.suppress(psutil.Error):
            triggerer = psutil.Process(process_id)
            for runner in triggerer.children():
                runner.terminate()
            triggerer.wait(TRIGGERER_STOP_SECONDS)
    process.stop(API_SERVER_STOP_SECONDS if name == API_SERVER else STOP_SECONDS)
    return process_id is not None


def _end_leftovers(settings: Settings) -> None:
    """End what remains of components that were killed: workers would wait for a scheduler for ever.

    They are known by the folder that they work in and by a session whose leader is gone.
    """
    home, left = str(airflow_home(settings)), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == home and _is_gone(os.getsid(process.pid)):
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=5)


def _is_gone(process_id: int) -> bool:
    """Whether a process has ended, also where its starter has not asked how."""
    try:
        return not is_alive(psutil.Process(process_id))
    except psutil.NoSuchProcess:
        return True


def _migrate(settings: Settings, say: Callable[[str], None]) -> None:
    """Bring the metadata database to the version of Airflow, unless it was before."""
    marker = airflow_home(settings) / "migrated"
    current = version("apache-airflow-core")
    # What Airflow expects is only known to Airflow, whose import takes 2 s. So what it made of the
    # database is kept, together with the version that did.
    if _read(marker) == f"{current} {_schema_version(settings)}":
        return
    say("the metadata tables (first start only)")
    log_path = settings.logs / "airflow-migration.log"
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_path.touch(mode=0o600)
    with log_path.open("a", encoding="utf-8") as log:
        outcome = subprocess.run(
            _command(["db", "migrate"]),
            env=airflow_environment(settings),
            cwd=airflow_home(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if outcome.returncode != 0:
        raise ConfigError(
            f"Airflow's metadata database could not be prepared:\n{log_tail(log_path)}",
            f"The whole log is {log_path}.",
        )
    marker.write_text(f"{current} {_schema_version(settings)}", encoding="utf-8")


def _schema_version(settings: Settings) -> str | None:
    """Which state of its tables the metadata database has; None where there are none."""
    parameters = parse_uri(airflow_database_uri(settings))
    with open_connection(settings, parameters, application_name="sluice up") as connection:
        if connection.execute("select to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("select version_num from alembic_version").fetchone()
        return str(row[0]) if row else None


def _wait(
    settings: Settings,
    say: Callable[[str], None],
    begun: Iterable[str],
    unfinished: Callable[[Mapping[str, datetime | None]], list[str]],
) -> None:
    """Wait until no component is unfinished, by when they beat last; those begun must go on."""
    told: list[str] = []
    for _ in range(int(START_SECONDS / _POLL_SECONDS)):
        for name in begun:
            _check_running(settings, name)
        waiting = unfinished(_heartbeats(settings))
        if not waiting:
            return
        if waiting != told:
            told = waiting
            say(", ".join(waiting))
        time.sleep(_POLL_SECONDS)
    raise ConfigError(
        f"After {START_SECONDS} s, Airflow's {' and '.join(told)} did not work yet.",
        f"Look at the logs in {settings.logs}, then repeat the command: what runs is kept.",
    )


def _check_running(settings: Settings, name: str) -> None:
    process = _process(settings, name)
    if process.running() is None:
        raise ConfigError(
            f"Airflow's {name} ended while it was starting:\n{log_tail(process.log_path)}",
            f"The whole log is {process.log_path}.",
        )


def _heartbeats(settings: Settings) -> dict[str, datetime | None]:
    """When each component last said that it works; None for one that does not; empty for none."""
    now = datetime.now(UTC)
    health = _get(settings, "/api/v2/monitor/health", timeout_seconds=5)
    if health is None:
        return {}
    found: dict[str, datetime | None] = {API_SERVER: now}
    for name in COMPONENTS:
        if name == API_SERVER:
            continue
        word = name.replace("-", "_")
        state = health.get(word) or {}
        beat = state.get(f"latest_{word}_heartbeat")
        found[name] = None
        if state.get("status") == "healthy" and isinstance(beat, str):
            found[name] = datetime.fromisoformat(beat)
    return found


def _get(settings: Settings, path: str, timeout_seconds: float) -> dict[str, Any] | None:
    """Ask the API server for a JSON document; None where it does not answer with one."""
    # Without the proxies of the environment, which do not lead to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{airflow_url(settings)}{path}", timeout=timeout_seconds) as response:
            document = json.load(response)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
