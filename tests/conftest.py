"""A real PostgreSQL for the whole test session, and a database of its own for each test.

Fixtures: ``settings`` (a fresh instance with an empty registry), and open connections to its
database: ``loader``, ``transformer``, ``observer``, ``reader``, and ``administrator`` for what a
test arranges. ``server`` is the server itself; ``open_folder`` a folder that other system users
may pass through.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from sluice.local.postgres import administrator_uri, start_postgres, stop_postgres
from sluice.local.postgres_place import existing_data
from sluice.local.processes import exclusive, is_alive
from sluice.settings import Settings
from sluice.warehouse.bootstrap import prepare_warehouse
from sluice.warehouse.connections import ROLES, Role, connect
from sluice.warehouse.rights import database_rights
from tests import properties
from tests.shop_project import ShopProject, make_shop, reuse_parse

if TYPE_CHECKING:
    from tests.object_storage import Bucket
    from tests.sftp_server import FileServer

properties.register()

# Where the session's servers are, for the workers among which pytest-xdist deals the tests.
SESSION_FOLDER = "TESTS_SESSION_FOLDER"
FOLDER_PREFIX = "sluice-tests-"
TEMPLATE = "template_sluice"


def pytest_configure(config: pytest.Config) -> None:
    # What the developer has set for an instance of their own is none of the tests' business.
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        del os.environ[name]
    if not hasattr(config, "workerinput"):
        remove_leftovers()
        folder = make_open_folder()
        (folder / "session").write_text(str(os.getpid()))
        os.environ[SESSION_FOLDER] = str(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes long comes first, so that all workers end together.
    slow = [Path(__file__).parent / name for name in ("systems", "pipeline", "cli")]
    items.sort(key=lambda item: not any(item.path.is_relative_to(folder) for folder in slow))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        remove_session(Path(os.environ.pop(SESSION_FOLDER)))


def remove_session(folder: Path) -> None:
    """Remove a session's folder and the servers of all instances in it."""
    for pattern in ("home", "*/home", "*/*/home"):
        for home in folder.glob(pattern):
            remove_instance(Settings(home=home))
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the servers of sessions that were killed before they could do so themselves."""
    for session in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/session"):
        if session.stat().st_uid == os.geteuid() and not runs(int(session.read_text())):
            remove_session(session.parent)


def runs(process_id: int) -> bool:
    try:
        return is_alive(psutil.Process(process_id))
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Server:
    """The session's PostgreSQL.

    Attributes:
        settings: of the instance that it belongs to.
        administrator_uri: its superuser, in the database ``postgres``.
    """

    settings: Settings
    administrator_uri: str

    def uri(self, database: str) -> str:
        """The superuser's URI in another database."""
        return self.administrator_uri.rpartition("/")[0] + f"/{database}"

    def administrator(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(make_conninfo(self.uri(database)), autocommit=True)

    def create_database(self, name: str, template: str = TEMPLATE) -> None:
        """A new database, closed to all but the roles, as that of a real instance is."""
        self.drop_database(name)
        with self.administrator() as connection:
            # By copying files 15 ms, by the log, which is the default, 30 ms.
            connection.execute(
                SQL("create database {} template {} strategy file_copy").format(
                    Identifier(name), Identifier(template)
                )
            )
            for statement in database_rights(name):
                connection.execute(statement)

    def drop_database(self, name: str) -> None:
        with self.administrator() as connection:
            connection.execute(
                SQL("drop database if exists {} with (force)").format(Identifier(name))
            )


def make_open_folder() -> Path:
    """A folder of this session that every user may pass through, in a folder of that kind."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=os.environ.get(SESSION_FOLDER)))
    folder.chmod(0o711)
    return folder


def remove_instance(settings: Settings) -> None:
    """Stop an instance's PostgreSQL and remove its data, wherever it went."""
    stop_postgres(settings)
    data = existing_data(settings)
    if data is not None:
        shutil.rmtree(data if data.is_relative_to(settings.home) else data.parent)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_settings(folder: Path) -> Settings:
    port = folder / "port"
    if not port.exists():
        port.write_text(str(free_port()))
    return Settings(home=folder / "home", postgres_port=int(port.read_text()))


@pytest.fixture(scope="session")
def server() -> Server:
    """The session's server: started by the first test that needs it, shared by all workers."""
    folder = Path(os.environ[SESSION_FOLDER])
    with exclusive(folder / "lock"):
        settings = server_settings(folder)
        start_postgres(settings)
        server = Server(settings, administrator_uri(settings))
        with server.administrator() as connection:
            found = connection.execute(
                "select from pg_database where datname = %s and datistemplate", (TEMPLATE,)
            ).fetchone()
            if found is None:
                # The tests' data need not survive a power failure.
                connection.execute("alter system set fsync = off")
                connection.execute("alter system set full_page_writes = off")
                connection.execute("select pg_reload_conf()")
                make_template(server, connection)
    return server


def make_template(server: Server, connection: psycopg.Connection[Any]) -> None:
    template = Identifier(TEMPLATE)
    connection.execute(SQL("create database {}").format(template))
    uri = server.uri(TEMPLATE)
    own = server.settings.model_copy(update={"warehouse": SecretStr(uri)})
    prepare_warehouse(own, uri)
    connection.execute(SQL("alter database {} is_template true").format(template))


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a fresh instance: a database of its own, empty folders, no registry.

    Project folder and database have the same names in all tests of a worker, so that dbt can use
    again what it has parsed (``tests/shop_project.py``).
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    project = Path(os.environ[SESSION_FOLDER]) / worker / "project"
    shutil.rmtree(project, ignore_errors=True)
    home = tmp_path / "home"
    for folder in ("registry/sources", "registry/pipelines", "dbt"):
        (project / folder).mkdir(parents=True)
    secrets = home / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    for role in ROLES:
        shutil.copy(server.settings.secrets / f"postgres-{role}", secrets)
    database = f"test_{worker}"
    server.create_database(database)
    for name in ("landing", "archive", "rejected"):
        (tmp_path / name).mkdir()
    yield Settings(
        project=project,
        home=home,
        warehouse=SecretStr(server.uri(database)),
        settle_seconds=0,
        landing=tmp_path / "landing",
        archive=tmp_path / "archive",
        rejected=tmp_path / "rejected",
    )
    server.drop_database(database)


@pytest.fixture
def shop(settings: Settings) -> ShopProject:
    """The shop, before its first delivery."""
    shop = make_shop(settings)
    reuse_parse(settings, "shop")
    return shop


@pytest.fixture
def administrator(server: Server, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the superuser to the test's database, in autocommit."""
    with psycopg.connect(settings.warehouse.get_secret_value(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def loader(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An open connection as the loader; what a test does not commit is rolled back."""
    yield from role_connection(settings, "loader")


@pytest.fixture
def transformer(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An open connection as the transformer; what a test does not commit is rolled back."""
    yield from role_connection(settings, "transformer")


@pytest.fixture
def observer(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An open connection as the observer; what a test does not commit is rolled back."""
    yield from role_connection(settings, "observer")


@pytest.fixture
def reader(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An open connection as the reader; what a test does not commit is rolled back."""
    yield from role_connection(settings, "reader")


def role_connection(settings: Settings, role: Role) -> Iterator[psycopg.Connection[Any]]:
    connection = connect(settings, role, application_name=f"test {role}")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def object_store_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    # Imported here and not above: it takes a second, and most tests do without it.
    from tests.object_storage import object_storage

    with object_storage(tmp_path_factory.mktemp("airflow")) as client:
        yield client


@pytest.fixture
def bucket(object_store_client: Any) -> Bucket:
    """An empty bucket of an object store that speaks S3's protocol."""
    from tests.object_storage import new_bucket

    return new_bucket(object_store_client)


@pytest.fixture(scope="module")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    from tests.sftp_server import serving_files

    with serving_files(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture
def drop(sftp_server: FileServer) -> Iterator[FileServer]:
    """A server of files by SFTP, empty."""
    yield sftp_server
    for path in sftp_server.root.iterdir():
        shutil.rmtree(path)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other system users may pass through, as pytest's own, for root, is not."""
    folder = make_open_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
