"""The launcher: makes the environment when it has to, and otherwise is out of the way at once."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sluice.settings import PROJECT

TOOLS = ("sh", "cat", "env", "flock", "mkdir", "mv", "readlink", "rm", "sha256sum", "tail", "touch")

# Stands in for the command-line program: prints where it runs and what it was given.
MAIN = """
import json, os, sys
print(json.dumps([os.getcwd(), sys.argv[1:], sys.path[0]]))
sys.exit(len(sys.argv) - 1)
"""

# Stands in for uv, where a test is about when packages are installed rather than how: notes its
# arguments, and lets the environment find the project.
UV = """#!/bin/sh
echo "$*" >>"{calls}"
[ ! -e "{broken}" ] || {{ echo "the network is down"; exit 1; }}
[ ! -e "{slow}" ] || sleep 1
case "$*" in *--editable*) ;; *) exit 0 ;; esac
for last; do :; done
echo "$last/plugins" >"$(echo "$last"/.venv/lib/python3*/site-packages)/project.pth"
"""

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "sluice"
version = "0"
[tool.setuptools]
package-dir = { "" = "plugins" }
packages = ["sluice", "sluice.cli"]
"""


@dataclass
class Checkout:
    """A small project with the launcher, and a PATH with only what a test puts there."""

    root: Path
    folder: Path = field(init=False)
    tools: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder, self.tools = self.root / "a check out", self.root / "tools"
        package = self.folder / "plugins" / "sluice" / "cli"
        package.mkdir(parents=True)
        for name in (package.parent / "__init__.py", package / "__init__.py"):
            name.touch()
        (package / "main.py").write_text(MAIN)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        (self.folder / "requirements.txt").write_text(setuptools_lock())
        shutil.copy(PROJECT / "sluice", self.folder)
        self.tools.mkdir()
        for name in TOOLS:
            (self.tools / name).symlink_to(shutil.which(name) or name)
        self.program("python3", f'#!/bin/sh\nexec "{base_python()}" "$@"\n')

    @property
    def environment(self) -> Path:
        return self.folder / ".venv"

    def program(self, name: str, text: str) -> None:
        """Put a program on the PATH."""
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def stand_in_uv(self) -> None:
        names = {name: self.root / name for name in ("calls", "broken", "slow")}
        self.program("uv", UV.format(**names))
        (self.tools / "sleep").symlink_to(shutil.which("sleep") or "sleep")

    def installations(self) -> int:
        calls = self.root / "calls"
        return calls.read_text().count("--require-hashes") if calls.exists() else 0

    def start(
        self, *arguments: str, command: str = "", cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [command or str(self.folder / "sluice"), *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.tools), "HOME": os.environ.get("HOME", "/"), **pip_settings()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, command: str = "", cwd: Path | None = None) -> Run:
        process = self.start(*arguments, command=command, cwd=cwd)
        out, err = process.communicate()
        return Run(process.returncode, out, err)


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str


def base_python() -> str:
    """The Python behind this environment; its pip and ensurepip are the system's."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def pip_settings() -> dict[str, str]:
    """How this machine reaches its package index."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}


def setuptools_lock() -> str:
    """The entry of setuptools in the project's own lock: enough to install a project."""
    lock = (PROJECT / "requirements.txt").read_text()
    entry = re.search(r"^setuptools==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert entry
    return entry.group()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def quick(checkout: Checkout) -> Checkout:
    """A checkout whose packages are installed by a stand-in."""
    checkout.stand_in_uv()
    return checkout


def test_first_use_with_pip_alone(checkout: Checkout) -> None:
    first = checkout.run("one", "two words", "")
    assert (first.code, first.out) == (3, f'["{checkout.root}", ["one", "two words", ""], ""]\n'.replace(
        '""]', f'"{sys_path_start(checkout)}"]'
    )), first.err
    assert len(first.err.splitlines()) == 1
    assert "requirements.txt" in first.err
    installed = checkout.environment.glob("lib/python3*/site-packages/setuptools")
    assert list(installed)

    again = checkout.run("one")
    assert (again.code, again.err) == (1, "")
