"""The launcher: makes the environment when it has to, and otherwise is out of the way at once."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sluice.settings import PROJECT
from tests.conftest import make_open_folder

TOOLS = ("sh", "cat", "env", "flock", "mkdir", "mv", "readlink", "rm", "sha256sum", "tail", "touch")

# Stands in for the command-line program: prints where it runs and what it was given.
MAIN = """
import json, os, sys
print(json.dumps([os.getcwd(), *sys.argv[1:]]))
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
        for module in (package.parent, package):
            (module / "__init__.py").touch()
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
    assert first.code == 3, first.err
    assert json.loads(first.out) == [str(checkout.root), "one", "two words", ""]
    assert len(first.err.splitlines()) == 1
    assert "only on first use" in first.err
    assert list(checkout.environment.glob("lib/python3*/site-packages/setuptools"))

    again = checkout.run("one")
    assert (again.code, again.err) == (1, "")


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on the PATH")
def test_first_use_with_uv(checkout: Checkout) -> None:
    (checkout.tools / "uv").symlink_to(shutil.which("uv") or "uv")
    assert checkout.run().code == 0
    assert list(checkout.environment.glob("lib/python3*/site-packages/setuptools"))
    assert not (checkout.environment / "bin" / "pip").exists()


def test_pip_serves_where_uv_cannot(checkout: Checkout) -> None:
    """As where pip's configuration names the only package index."""
    checkout.program("uv", "#!/bin/sh\nexit 2\n")
    assert checkout.run().code == 0
    assert list(checkout.environment.glob("lib/python3*/site-packages/setuptools"))


def test_a_python_without_ensurepip_uses_its_own_pip(checkout: Checkout) -> None:
    """As on Debian without the package python3-venv."""
    checkout.program("python3", without("ensurepip"))
    assert checkout.run().code == 0
    assert list(checkout.environment.glob("lib/python3*/site-packages/setuptools"))
    assert not (checkout.environment / "bin" / "pip").exists()


def test_without_any_installer_the_package_to_install_is_named(checkout: Checkout) -> None:
    checkout.program("python3", without("ensurepip", "pip"))
    refused = checkout.run()
    assert refused.code == 1
    assert f"python3.{sys.version_info.minor}-venv" in refused.err


def without(*modules: str) -> str:
    """A Python that lacks modules."""
    cases = "|".join(f"*\\ {module}|*\\ {module}\\ *" for module in modules)
    python = base_python()
    return f'#!/bin/sh\ncase " $* " in {cases}) exit 1 ;; esac\nexec "{python}" "$@"\n'


def test_it_works_from_anywhere(quick: Checkout, tmp_path: Path) -> None:
    assert quick.run().code == 0
    links, elsewhere = tmp_path / "links", tmp_path / "else where"
    links.mkdir()
    elsewhere.mkdir()
    (links / "absolute").symlink_to(quick.folder / "sluice")
    (links / "relative").symlink_to("../a check out/sluice")
    (links / "twice").symlink_to("relative")
    (links / "folder").symlink_to(quick.folder)
    for command, cwd in (
        (str(quick.folder / "sluice"), elsewhere),
        ("./sluice", quick.folder),
        ("../a check out/sluice", elsewhere),
        (str(links / "absolute"), elsewhere),
        ("./relative", links),
        (str(links / "twice"), elsewhere),
        (str(links / "folder" / "sluice"), elsewhere),
    ):
        found = quick.run("x", command=command, cwd=cwd)
        assert (found.code, json.loads(found.out), found.err) == (1, [str(cwd), "x"], ""), command
    by_shell = subprocess.run(["sh", "sluice"], cwd=quick.folder, check=False, capture_output=True)
    assert by_shell.returncode == 0
    assert quick.installations() == 1


def test_modules_of_the_present_folder_are_not_used(quick: Checkout, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    assert quick.run(cwd=tmp_path).code == 0


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_it_is_made_again_when_what_it_is_made_from_changes(quick: Checkout, name: str) -> None:
    quick.run()
    (quick.environment / "old").touch()
    with (quick.folder / name).open("a") as file:
        file.write("# changed\n")
    assert "requirements.txt" in quick.run().err
    assert not (quick.environment / "old").exists()
    assert quick.run().err == ""
    assert quick.installations() == 2


def test_it_is_made_again_in_a_checkout_that_moved(quick: Checkout) -> None:
    quick.run()
    quick.folder = quick.folder.rename(quick.root / "moved")
    assert quick.run().code == 0
    assert quick.installations() == 2


def test_it_is_made_again_for_another_python(quick: Checkout) -> None:
    quick.run()
    (quick.environment / "bin" / "python").unlink()
    (quick.environment / "bin" / "python").symlink_to("/no/such/python")
    assert quick.run().code == 0
    assert quick.installations() == 2


def test_it_is_made_again_from_within_itself(quick: Checkout) -> None:
    quick.run()
    # As on the PATH of whoever has activated it.
    quick.program("python3", f'#!/bin/sh\nexec "{quick.environment}/bin/python" "$@"\n')
    with (quick.folder / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    assert quick.run().code == 0
    assert quick.installations() == 2


def test_an_interrupted_first_use_is_repaired(quick: Checkout) -> None:
    (quick.root / "slow").touch()
    process = quick.start()
    while quick.installations() == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (quick.environment / "half").touch()

    (quick.root / "slow").unlink()
    assert quick.run().code == 0
    assert not (quick.environment / "half").exists()
    assert quick.run().err == ""


def test_a_failed_installation_is_explained_and_repeated(quick: Checkout) -> None:
    (quick.root / "broken").touch()
    quick.program("python3", without("ensurepip", "pip"))
    failed = quick.run()
    assert failed.code == 1
    assert failed.out == ""

    (quick.root / "broken").unlink()
    assert quick.run().code == 0


def test_a_refused_hash_stops_it(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", lock.read_text()))
    failed = checkout.run()
    assert failed.code == 1
    assert "DO NOT MATCH THE HASHES" in failed.err
    assert str(checkout.environment / "install.log") in failed.err
    assert not (checkout.environment / ".sluice-stamp").exists()


def test_one_makes_it_and_the_others_wait(quick: Checkout) -> None:
    (quick.root / "slow").touch()
    processes = [quick.start() for _ in range(4)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert quick.installations() == 1
    assert sum("Making the environment" in text for text in errors) == 1


def test_the_lock_is_not_kept_while_the_program_runs(quick: Checkout) -> None:
    (quick.folder / "plugins/sluice/cli/main.py").write_text("import time\ntime.sleep(60)\n")
    process = quick.start()
    try:
        while not (quick.environment / ".sluice-stamp").exists():
            time.sleep(0.01)
        time.sleep(0.2)
        locked = ["flock", "--nonblock", str(quick.folder / "sluice"), "true"]
        assert subprocess.run(locked, check=False).returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_an_environment_of_the_users_own_is_completed(quick: Checkout) -> None:
    subprocess.run([base_python(), "-m", "venv", "--without-pip", quick.environment], check=True)
    (quick.environment / "own").touch()
    assert "Completing" in quick.run().err
    assert (quick.environment / "own").exists()
    assert quick.run().err == ""


def test_the_first_python_that_fits_is_taken(quick: Checkout) -> None:
    quick.program("python3", "#!/bin/sh\nexit 127\n")
    quick.program("python3.12", f'#!/bin/sh\nexec "{base_python()}" "$@"\n')
    assert quick.run().code == 0


def test_without_a_python_that_fits(quick: Checkout) -> None:
    quick.program("python3", "#!/bin/sh\nexit 1\n")
    refused = quick.run()
    assert refused.code == 1
    assert "Sluice needs Python 3.11, 3.12 or 3.13" in refused.err
    assert not quick.environment.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_another_user_uses_what_the_owner_made() -> None:
    root = make_open_folder()
    try:
        checkout = Checkout(root)
        nobody = pwd.getpwnam("nobody")

        def as_nobody() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [checkout.folder / "sluice"],
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                cwd="/",
                env={"PATH": str(checkout.tools)},
                capture_output=True,
                text=True,
                check=False,
            )

        root.chmod(0o755)
        assert "is not yours to write to" in as_nobody().stderr
        checkout.environment.mkdir()
        # A Python that everybody may run; this one may be below a closed folder.
        (checkout.environment / "bin").mkdir()
        shutil.copy(shutil.which("true") or "true", checkout.environment / "bin" / "python")
        stamp(checkout)
        done = as_nobody()
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        shutil.rmtree(root)


def test_it_is_out_of_the_way_at_once(quick: Checkout) -> None:
    """Its own time, beside the time of an environment whose Python ends at once."""
    (quick.environment / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("true") or "true", quick.environment / "bin" / "python")
    shutil.copy(PROJECT / "requirements.txt", quick.folder)  # its real size
    stamp(quick)

    def seconds(command: str) -> float:
        start = time.perf_counter()
        assert quick.run(command=command).code == 0
        return time.perf_counter() - start

    # The quickest of many runs, as what else the machine does is not the launcher's time.
    bare = min(seconds(str(quick.environment / "bin" / "python")) for _ in range(15))
    own = float("inf")
    for _ in range(200):
        own = min(own, seconds(str(quick.folder / "sluice")))
        if own - bare < 0.02:  # as long as a Python alone takes
            return
    pytest.fail(f"{own:.3f} s, and {bare:.3f} s without it")


def stamp(checkout: Checkout) -> None:
    """Have the launcher take the environment as complete."""
    names = ("requirements.txt", "pyproject.toml")
    content = b"".join((checkout.folder / name).read_bytes() for name in names)
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  -",
        str(checkout.folder),
        str(checkout.environment / "bin" / "python"),
    )
    (checkout.environment / ".sluice-stamp").write_text("".join(f"{line}\n" for line in lines))
