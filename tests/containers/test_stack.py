"""The whole stack in containers: a dropped file in gold, on both executors, and a killed worker.

Not in the default run, as it takes minutes and a docker engine: ``pytest -m docker``. It runs
the shop of tests/cases as a compose project of its own, and takes it down again.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest

from sluice.containers.environment import LOGIN_SECRET, secret_variable, write_environment
from sluice.settings import PROJECT, Settings
from tests.conftest import free_port
from tests.shop_project import make_shop

Found = TypeVar("Found")
pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

PATIENCE_SECONDS = 600.0
MANY = 100_000
HEADER = "order_id,product,amount,customer,mail\n"
MASKED = """\
  customer: {data_type: text, mask: hash}
  mail: {data_type: text, mask: redact}
"""
UI_URL = "https://sluice.example.org"
WAITING_LOAD = """
    select pid, client_addr from pg_stat_activity
    where application_name like 'sluice load%' and state <> 'idle' and query ilike '%ops.loads%'
"""


def wait_for(what: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"did not happen within {seconds:.0f} s")


def has_engine() -> bool:
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


class Stack:
    """A compose project with a folder of its own."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.folder = folder
        self.profile = profile
        self.ports = {"SLUICE_AIRFLOW_PORT": free_port(), "SLUICE_POSTGRES_PORT": free_port()}
        for name in ("dags", "docker", "plugins"):
            shutil.copytree(PROJECT / name, folder / name)
        for name in ("docker-compose.yml", "pyproject.toml", "README.md", ".dockerignore"):
            shutil.copy(PROJECT / name, folder)
        (folder / "dbt").mkdir()
        self.shop = make_shop(Settings(project=folder))
        # Masked with a secret of the instance, which has to be where tasks run.
        with (folder / "registry" / "sources" / "orders.yml").open("a") as source:
            source.write(MASKED)
        own = "".join(f"{name}={port}\n" for name, port in self.ports.items())
        (folder / ".env").write_text(
            f"COMPOSE_PROJECT_NAME=sluice-test\nSLUICE_IMAGE=sluice:test\n"
            f"SLUICE_UI_URL={UI_URL}\n{own}"
        )
        write_environment(Settings(project=folder))
        lines = (folder / ".env").read_text().splitlines()
        self.variables = dict(line.split("=", 1) for line in lines if "=" in line)
        self.token = ""

    def compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--profile", self.profile, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def connect(self) -> psycopg.Connection[Any]:
        """As the superuser, by the port on this machine."""
        secret = self.variables[secret_variable("postgres-administrator")]
        return psycopg.connect(
            host="127.0.0.1",
            port=self.ports["SLUICE_POSTGRES_PORT"],
            user="postgres",
            password=secret,
            dbname="sluice",
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def ask(self, path: str, body: object = None) -> Any:
        url = f"http://127.0.0.1:{self.ports['SLUICE_AIRFLOW_PORT']}"
        headers = {"Content-Type": "application/json"}
        if not self.token and path != "/auth/token":
            secret = self.variables[secret_variable(LOGIN_SECRET)]
            login = {"username": "admin", "password": secret}
            self.token = self.ask("/auth/token", login)["access_token"]
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def login_behind_a_proxy(self) -> str | None:
        """Where somebody is sent who comes by ``UI_URL`` and has not logged in."""
        server = http.client.HTTPConnection("127.0.0.1", self.ports["SLUICE_AIRFLOW_PORT"])
        with contextlib.closing(server):
            headers = {"Host": urlsplit(UI_URL).netloc, "X-Forwarded-Proto": "https"}
            server.request("GET", "/api/v2/auth/login", headers=headers)
            return server.getresponse().getheader("Location")

    def orders(self) -> int:
        """How many orders gold has."""
        if self.query("select to_regclass('gold.total_sales')::text") == [(None,)]:
            return 0
        ((orders,),) = self.query("select orders from gold.total_sales")
        return int(orders)

    def loads(self, name: str) -> list[tuple[str, int]]:
        return [
            (str(outcome), int(rows))
            for outcome, rows in self.query(
                f"select outcome, rows_loaded from ops.loads where file_name = '{name}'"
            )
        ]


@pytest.fixture(params=["local", "celery"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    if not has_engine():
        pytest.skip("there is no docker engine: docker info fails")
    stack = Stack(tmp_path, request.param)
    try:
        stack.compose("up", "--build", "--detach", "--wait", *scale(stack))
        yield stack
    finally:
        if not os.environ.get("KEEP_STACK"):
            stack.compose("down", "--volumes", "--timeout", "20")


def scale(stack: Stack) -> list[str]:
    return ["--scale", "worker=2"] if stack.profile == "celery" else []


def test_a_dropped_file_is_in_gold_and_a_killed_load_lands_once(stack: Stack) -> None:
    stack.shop.drop("small.csv", "1,ink,2,Ann,a@b.org\n2,pen,3,Ann,\n", HEADER)
    wait_for(lambda: stack.orders() == 2)
    assert stack.loads("small.csv") == [("loaded", 2)]
    masked = stack.query("select length(customer), mail from bronze.orders order by order_id")
    assert masked == [(64, "[redacted]"), (64, None)]
    assert stack.login_behind_a_proxy() == f"{UI_URL}/auth/login/"
    tasks = "scheduler" if stack.profile == "local" else "worker"
    uri = stack.compose("exec", "--no-TTY", tasks, "sluice", "dsn", "reader")
    assert uri.startswith("postgresql://sluice_reader:")
    pools = {pool["name"] for pool in stack.ask("/api/v2/pools")["pools"]}
    assert {"sluice_load", "sluice_dbt"} <= pools

    with stack.connect() as connection:
        # The load comes as far as its entry in the ledger, with all of its rows uncommitted.
        connection.execute("lock table ops.loads in share mode")
        rows = (f"{number},ink,1.00,Bob,b@b.org\n" for number in range(MANY))
        stack.shop.drop("large.csv", "".join(rows), HEADER)
        waiting = wait_for(lambda: stack.query(WAITING_LOAD))
        ((_, address),) = waiting
        subprocess.run(["docker", "kill", container_at(stack, str(address))], check=True)
    wait_for(lambda: stack.query(WAITING_LOAD) != waiting)
    assert stack.loads("large.csv") == []
    # The scheduler of profile local was killed with its tasks: it is started again.
    stack.compose("up", "--detach", "--wait", *scale(stack))
    wait_for(lambda: stack.orders() == MANY + 2)

    assert stack.loads("large.csv") == [("loaded", MANY)]
    assert stack.query("select count(*) from bronze.orders") == [(MANY + 2,)]
    tasks = "/api/v2/dags/shop/dagRuns/~/taskInstances?task_id=load.orders&order_by=-start_date"
    tries = [task["try_number"] for task in stack.ask(tasks)["task_instances"]]
    assert max(tries) > 1


def container_at(stack: Stack, address: str) -> str:
    """The container that has an address."""
    for container in stack.compose("ps", "--quiet").split():
        asked = subprocess.run(
            ["docker", "inspect", "--format", "{{json .NetworkSettings.Networks}}", container],
            capture_output=True,
            text=True,
            check=True,
        )
        networks = json.loads(asked.stdout).values()
        if address in [network["IPAddress"] for network in networks]:
            return container
    raise AssertionError(f"no container has the address {address}")
