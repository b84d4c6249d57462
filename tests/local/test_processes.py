"""Background programs: started once, found again, never mistaken, and gone when stopped."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from sluice.errors import ConfigError
from sluice.local.processes import BackgroundProcess, exclusive, log_tail, wait_for_end
from sluice.settings import Settings

# Ignores TERM and has a child that does so as well; says so when both are ready.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
time.sleep(60)
"""
# Leaves a child behind when it is stopped.
CARELESS = """
import os, time
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Settings:
    return Settings(project=tmp_path, home=tmp_path / "home")


@pytest.fixture
def sleeper(instance: Settings) -> Iterator[BackgroundProcess]:
    process = BackgroundProcess("sleeper", instance)
    yield process
    process.stop(0)


def start(process: BackgroundProcess, program: str = "import time; time.sleep(60)") -> int:
    return process.start([sys.executable, "-c", program], {"PATH": "/usr/bin"}, Path("/"))


def child_of(process: BackgroundProcess) -> psutil.Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        words = log_tail(process.log_path).split()
        if len(words) == 2:
            return psutil.Process(int(words[1]))
        time.sleep(0.01)
    raise AssertionError("the program had no child")


def test_it_is_started_once_and_found_again(sleeper: BackgroundProcess, instance: Settings) -> None:
    assert sleeper.running() is None
    pid = start(sleeper)
    assert start(sleeper) == pid
    assert BackgroundProcess("sleeper", instance).running() == pid
    assert BackgroundProcess("other", instance).running() is None


def test_many_starters_make_one(instance: Settings, sleeper: BackgroundProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: start(BackgroundProcess("sleeper", instance)), range(8)))
    assert found == {sleeper.running()}


def test_it_has_a_session_an_environment_and_a_log_of_its_own(sleeper: BackgroundProcess) -> None:
    program = "import os, time; print(os.getcwd(), dict(os.environ), flush=True); time.sleep(60)"
    pid = start(sleeper, program)
    assert os.getsid(pid) == pid
    deadline = time.monotonic() + 10
    while not log_tail(sleeper.log_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    said = log_tail(sleeper.log_path)
    assert said.startswith("/ {'PATH': '/usr/bin'")
    assert "HOME" not in said
    assert stat.S_IMODE(sleeper.log_path.stat().st_mode) == 0o600


def test_stopping_ends_it(sleeper: BackgroundProcess) -> None:
    assert not sleeper.stop(5)
    program = psutil.Process(start(sleeper))
    before = time.monotonic()
    assert sleeper.stop(30)
    assert time.monotonic() - before < 10
    assert wait_for_end([program], 0) == []
    assert sleeper.running() is None
    assert not sleeper.stop(5)


@pytest.mark.parametrize("program", [STUBBORN, CARELESS])
def test_nothing_of_it_is_left(sleeper: BackgroundProcess, program: str) -> None:
    family = [psutil.Process(start(sleeper, program)), child_of(sleeper)]
    assert sleeper.stop(0.3)
    assert wait_for_end(family, 0) == []


def test_one_that_ended_by_itself_is_not_running(sleeper: BackgroundProcess) -> None:
    program = psutil.Process(start(sleeper, "print('done')"))
    assert wait_for_end([program], 10) == []
    assert sleeper.running() is None
    assert log_tail(sleeper.log_path) == "done"


def test_another_program_with_its_process_id_is_not_it(
    sleeper: BackgroundProcess, instance: Settings
) -> None:
    start(sleeper)
    record = instance.home / "run" / "sleeper.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "pid": os.getpid()}))
    assert sleeper.running() is None
    assert not sleeper.stop(5)  # or this test would be over

    record.write_text(json.dumps(kept))
    assert sleeper.running() == kept["pid"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "started": "y"}', '{"pid": 1}'])
def test_a_damaged_record_means_not_running(
    sleeper: BackgroundProcess, instance: Settings, text: str
) -> None:
    record = instance.home / "run" / "sleeper.json"
    record.parent.mkdir(parents=True)
    record.write_text(text)
    assert sleeper.running() is None


def test_a_program_that_is_not_there(sleeper: BackgroundProcess) -> None:
    with pytest.raises(ConfigError, match="/no/such/program cannot be started"):
        sleeper.start(["/no/such/program"], {}, Path("/"))
    assert sleeper.running() is None


def test_a_log_does_not_grow_for_ever(sleeper: BackgroundProcess) -> None:
    sleeper.log_path.parent.mkdir(parents=True)
    with sleeper.log_path.open("wb") as log:
        log.truncate(20_000_001)
    start(sleeper)
    assert sleeper.log_path.stat().st_size < 20_000_001
    assert sleeper.log_path.with_suffix(".log.1").stat().st_size == 20_000_001


def test_a_log_ends_with_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_bytes(b"\xff" * 9000 + b"\n" + b"\n".join(b"line %d" % line for line in range(30)))
    assert log_tail(log, lines=2) == "line 28\nline 29"


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    inside: list[int] = []

    def work(_: int) -> int:
        with exclusive(tmp_path / "lock"):
            inside.append(1)
            most = len(inside)
            time.sleep(0.01)
            inside.pop()
        return most

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(12))) == {1}
