"""``sluice test``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import typer

from sluice.cli.output import console, failures_explained
from sluice.settings import load_settings

BINARIES = Path(sys.executable).parent

# Tests wait for servers a third of their time: one worker more than there are cores, up to what one
# PostgreSQL serves well. Tests of a group share a worker.
WORKERS = min((os.cpu_count() or 1) + 1, 4)
SIDE_BY_SIDE = ("-n", str(WORKERS), "--dist", "loadgroup")


def test(context: typer.Context) -> None:
    """Run everything that checks the project; further arguments go to pytest.

    ruff, mypy, sqlfluff, the registry check, then pytest with a real PostgreSQL, dbt and Airflow,
    in one process more than there are cores; -n 0 runs all tests in one.
    """
    with failures_explained():
        project = load_settings().project
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
        "sqlfluff": ["sqlfluff", "lint", "dbt"],
        "registry": ["python", "-m", "sluice.cli.main", "check"],
        "pytest": ["pytest", *SIDE_BY_SIDE, *context.args],
    }
    failed = []
    for name, (program, *arguments) in checks.items():
        console.rule(name)
        started = time.monotonic()
        code = subprocess.run(
            [str(BINARIES / program), *arguments], cwd=project, check=False
        ).returncode
        console.print(
            f"{name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"
        )
        if code:
            failed.append(name)
    if failed:
        console.print(f"[bold red]failed:[/] {', '.join(failed)}")
        raise typer.Exit(1)
