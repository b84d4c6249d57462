"""A real HTTP server on this machine that answers as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Reply:
    """An answer; the body's length is said unless the headers say another.

    Attributes:
        delay_seconds: before its first byte.
        drip_seconds: after each byte of its body.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    drip_seconds: float = 0.0


def records(*found: Any, **beside: Any) -> Reply:
    """An answer of the usual shape."""
    return Reply(json.dumps({"results": list(found), **beside}).encode())


class HttpApi:
    """The server.

    Attributes:
        answer: what it answers to a request; set by the test.
        asked: all requests, in the order in which they came.
        most_at_once: how many were open at the same time.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Reply] = lambda _: records()
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._open = 0
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                api.serve(self, Asked(parts.path, dict(parse_qsl(parts.query)), headers, body))

            do_POST = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/users"

    def serve(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        try:
            reply = self.answer(asked)
            time.sleep(reply.delay_seconds)
            handler.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                handler.send_header(name, value)
            handler.end_headers()
            if reply.drip_seconds:
                for byte in reply.body:
                    handler.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_seconds)
            handler.wfile.write(b"" if reply.drip_seconds else reply.body)
            if "Content-Length" in reply.headers:
                handler.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked has given up
        finally:
            with self._lock:
                self._open -= 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def http_api() -> Iterator[HttpApi]:
    api = HttpApi()
    yield api
    api.close()
