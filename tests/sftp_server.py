"""A server of files by SFTP, without a shell, and Airflow's connection to it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

CONNECTION = "drop"


class _Login(asyncssh.SSHServer):
    """One login, by password or by its key."""

    def __init__(
        self, key: asyncssh.SSHKey, connections: list[asyncssh.SSHServerConnection]
    ) -> None:
        self._key = key
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("loader", "loader-secret")

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "loader" and key.public_data == self._key.public_data


@dataclass
class FileServer:
    """The server, and its files as the sender who works on that machine sees them."""

    root: Path
    key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    login_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    port: int = 0
    has_posix_rename: bool = True
    _connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    def url(self, folder: str) -> str:
        return f"sftp://{CONNECTION}@{folder}"

    def put(self, name: str | bytes, data: bytes, age: float = 10.0) -> Path:
        """Deliver a file, written so many seconds ago."""
        path = self.root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{uuid.uuid4().hex}")
        draft.write_bytes(data)
        written = draft.stat().st_mtime - age
        os.utime(draft, (written, written))
        return draft.replace(path)

    def files(self) -> dict[str, bytes]:
        """All files, by their paths."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def start(self) -> None:
        """Start to serve, on the port that it had before if there was one."""
        server, root = self, os.fsencode(self.root)

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel: Any) -> None:
                super().__init__(channel, chroot=root)

            def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                if not server.has_posix_rename:
                    raise asyncssh.SFTPOpUnsupported("no such extension")
                super().posix_rename(oldpath, newpath)

        async def listening() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_factory=lambda: _Login(self.login_key, self._connections),
                sftp_factory=Files,
                server_host_keys=[self.key],
            )

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor = self._result(listening())
        self.port = self._acceptor.get_port()

    def stop(self) -> None:
        """Hang up on everybody."""

        async def closed() -> None:
            self._acceptor.close()
            for connection in self._connections:
                connection.abort()
            await self._acceptor.wait_closed()

        self._result(closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _result(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(30)

    def connection(self, **extra: str) -> str:
        """Airflow's connection, as a variable has it."""
        return json.dumps(
            {
                "conn_type": "sftp",
                "host": "127.0.0.1",
                "port": self.port,
                "login": "loader",
                "password": "loader-secret",
                "extra": extra or {"host_key": self.key.export_public_key().decode().strip()},
            }
        )


@contextmanager
def serving_files(folder: Path) -> Iterator[FileServer]:
    """A server of a new folder's files; each has a connection of its own in Airflow's store."""
    from tests.object_storage import forget_connections

    server = FileServer(folder / "files")
    server.root.mkdir()
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", server.connection())
        patch.setenv("AIRFLOW_HOME", str(folder / "airflow"))
        forget_connections()
        yield server
        forget_connections()
    server.stop()
