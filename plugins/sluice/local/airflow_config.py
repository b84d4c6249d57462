"""The configuration of Airflow on one machine: a file of its own, and the environment beside it.

What differs from Airflow's defaults is written here once, each option with its reason.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import io
import json
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

import sluice
from sluice.settings import Settings
from sluice.warehouse.bootstrap import airflow_database_uri
from sluice.warehouse.passwords import password, prepare_home

_QUIET_LOGGERS = (
    "airflow.dag_processing",
    "airflow.jobs.scheduler_job_runner",
    "airflow.models",
    "airflow.serialization",
    "supervisor",
)

HOST = "127.0.0.1"
USER = "admin"

# Airflow reads a connection from each variable that begins with it.
CONNECTION_PREFIX = "AIRFLOW_CONN_"


def airflow_home(settings: Settings) -> Path:
    """The folder of Airflow's configuration; holds secrets, mode 0700."""
    return settings.home / "airflow"


def airflow_url(settings: Settings) -> str:
    """The address of the UI and the API on this machine, without a slash at the end."""
    return f"http://{HOST}:{settings.airflow_port}{airflow_path(settings)}"


def airflow_path(settings: Settings) -> str:
    """The path that all addresses of Airflow begin with: that of ``SLUICE_UI_URL``, mostly none."""
    return urlsplit(settings.airflow_ui).path


def airflow_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of Airflow's processes; ``airflow`` by hand needs no other.

    Nothing of the caller's environment comes along but where programs and the user's home are: a
    proxy set there would stand between a task and the API server on this machine. Secrets are in
    the configuration file and in ``settings.secrets``; only a warehouse of the user's own, and
    connections, come by the variables that they were given in.
    """
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    environment = {
        "PATH": os.pathsep.join(folders),
        "HOME": os.environ.get("HOME", str(settings.home)),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        # A task's process ends without ceremony; what dbt held is then cleared up with a warning,
        # which would stand in the task's log like an error.
        "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
        "AIRFLOW_HOME": str(airflow_home(settings)),
    }
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if text:
            environment[f"SLUICE_{name.upper()}"] = text
    connections = {
        name: value for name, value in os.environ.items() if name.startswith(CONNECTION_PREFIX)
    }
    return environment | connections


def write_configuration(settings: Settings) -> str:
    """Write Airflow's configuration and password file where they are not current.

    Returns:
        A fingerprint of the configuration, the environment and the code: another one means
        that processes started with the old one have to be started anew.

    Raises:
        ConfigError: a folder or secret of the instance cannot be used.
    """
    text = write_options(settings, airflow_options(settings))
    # SimpleAuthManager reads plain passwords, and would generate one and print it to its log.
    _write(password_file(settings), json.dumps({USER: airflow_password(settings)}) + "\n")
    environment = json.dumps(airflow_environment(settings), sort_keys=True)
    versions = f"{_engine()} {version('apache-airflow-core')} {sys.executable}"
    return hashlib.sha256(f"{versions}\n{text}\n{environment}".encode()).hexdigest()


def _engine() -> str:
    """A hash of this package's modules: processes that run keep the ones that they started with."""
    package = Path(sluice.__file__).parent
    contents = hashlib.sha256()
    for module in sorted(package.rglob("*.py")):
        contents.update(module.read_bytes())
    return contents.hexdigest()


def airflow_password(settings: Settings) -> str:
    """The generated password of the user ``admin``."""
    return password(settings, "airflow-admin")


def password_file(settings: Settings) -> Path:
    """Where Airflow reads the users' passwords, mode 0600."""
    return airflow_home(settings) / "passwords.json"


def write_options(settings: Settings, options: Mapping[str, Mapping[str, str]]) -> str:
    """Write Airflow's configuration, mode 0600, where it is not current; returns its text.

    Raises:
        ConfigError: the instance's folder cannot be used.
    """
    prepare_home(settings)
    airflow_home(settings).mkdir(mode=0o700, exist_ok=True)
    text = _render(options)
    _write(airflow_home(settings) / "airflow.cfg", text)
    return text


def airflow_options(settings: Settings) -> dict[str, dict[str, str]]:
    """What differs from Airflow's defaults, by section, for an instance on one machine."""
    url = airflow_url(settings)
    home = airflow_home(settings)
    return {
        "core": {
            "dags_folder": str(settings.project / "dags"),
            "plugins_folder": str(settings.project / "plugins"),
            "executor": "sluice.orchestration.executor.WarmLocalExecutor",
            # Each worker of the executor takes about 50 MB, mostly shared.
            "parallelism": str(settings.parallelism),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "default_timezone": "utc",
            "fernet_key": _fernet_key(settings),
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(password_file(settings)),
            "execution_api_server_url": f"{url}/execution/",
            # The default asks the name service for this machine's full name.
            "hostname_callable": "socket.gethostname",
            # A changed registry is written to the database at once; the default waits 30 s.
            "min_serialized_dag_update_interval": "0",
        },
        "database": {
            "sql_alchemy_conn": _sqlalchemy_uri(settings),
            # start_airflow migrates; the check costs every process 0.3 s.
            "check_migrations": "False",
        },
        "api": {
            "host": HOST,
            "port": str(settings.airflow_port),
            # Where a login leads back to. Airflow serves below its path, on this machine too.
            "base_url": settings.airflow_ui,
            "workers": "1",
            "instance_name": "Sluice",
            "secret_key": password(settings, "airflow-api"),
        },
        "api_auth": {"jwt_secret": _jwt_secret(settings), "jwt_issuer": "sluice"},
        "scheduler": {
            # The executor waits instead, and knows when not to.
            "scheduler_idle_sleep_time": "0.01",
            "enable_health_check": "False",
            "catchup_by_default": "False",
            # How soon a DAG whose pipeline is gone leaves the UI, with the threshold below.
            "parsing_cleanup_interval": "10",
        },
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(
                [
                    {
                        "name": "sluice",
                        "classpath": "sluice.orchestration.bundle.RegistryBundle",
                        "kwargs": {"refresh_interval": 2},
                    }
                ]
            ),
            "dag_bundle_storage_path": str(home / "bundles"),
            # The bundle asks for the DAG file to be parsed when the registry has changed, so
            # parsing it without a reason can be rare.
            "bundle_refresh_check_interval": "2",
            "min_file_process_interval": "300",
            "stale_dag_threshold": "10",
            "parsing_processes": "1",
            "print_stats_interval": "0",
        },
        "triggerer": {
            "capacity": "20000",
            "max_trigger_to_select_per_loop": "1000",
            # How soon a triggerer takes over from one that was killed.
            "triggerer_health_check_threshold": "15",
        },
        "workers": {
            # A worker may notice only at the next heartbeat that its task's process has ended, and
            # takes no other task until then (3.3). The failures allowed make up for the frequency:
            # a minute without the API server, as by default 15 s.
            "min_heartbeat_interval": "1",
            "max_failed_heartbeats": "60",
        },
        "logging": {
            "base_log_folder": str(settings.logs / "tasks"),
            "dag_processor_child_process_log_directory": str(settings.logs / "dags"),
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            # What these tell at each step is in the database as well, and stands in every task's
            # log; without it the processes' own logs grow half as fast.
            "namespace_levels": " ".join(f"{name}=warning" for name in _QUIET_LOGGERS),
        },
    }


def _sqlalchemy_uri(settings: Settings) -> str:
    _, _, rest = airflow_database_uri(settings).partition("://")
    return f"postgresql+psycopg2://{rest}"


def _fernet_key(settings: Settings) -> str:
    """A Fernet key is 32 bytes in URL-safe base64, which a generated secret is not."""
    secret = password(settings, "airflow-fernet").encode()
    return base64.urlsafe_b64encode(hashlib.sha256(secret).digest()).decode()


def _jwt_secret(settings: Settings) -> str:
    """Signed with HS512, whose key should have 64 bytes: the generated 192 bits, stretched."""
    return hashlib.sha512(password(settings, "airflow-jwt").encode()).hexdigest()


def _render(options: Mapping[str, Mapping[str, str]]) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    for section, values in options.items():
        # Airflow interpolates what it reads.
        parser[section] = {name: value.replace("%", "%%") for name, value in values.items()}
    text = io.StringIO()
    text.write("# Written by Sluice at each start from its SLUICE_* settings; change those.\n")
    parser.write(text)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    """Write a private file, complete or not at all, unless it says so already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode())
    draft.replace(path)
