"""The live page on this machine: one page and its figures, to be read by a browser of this machine alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fedefm.errors import ConfigError

HOST = "127.0.0.1"
HTML, JSON = "text/html; charset=utf-8", "application/json"


class Shown:
    """What the page shows now.

    Attributes:
        page: HTML.
        plain: the same figures as JSON-able values.
    """

    def __init__(self, page: str, plain: Any):
        self.page, self.plain = page, plain


class LiveServer(ThreadingHTTPServer):
    """Serves `/` and `/status.json`, read-only, on the loopback.

    Args:
        port: 0 for any that is free.
        shown: what is shown first.
        policy: the page's Content-Security-Policy.
    """

    daemon_threads = True

    def __init__(self, port: int, shown: Shown, policy: str):
        super().__init__((HOST, port), _Handler)
        self.shown, self.policy = shown, policy

    @property
    def hosts(self) -> frozenset[str]:
        """The names by which a browser of this machine calls it; another one is a page of somebody else's."""
        return frozenset(f"{name}:{self.server_port}" for name in (HOST, "localhost"))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.server_port}"


@contextmanager
def serving(port: int, shown: Shown, policy: str) -> Iterator[LiveServer]:
    """A server that answers while the block lasts.

    Raises:
        ConfigError: the port is taken.
    """
    try:
        made = LiveServer(port, shown, policy)
    except OSError as error:
        raise ConfigError(f"port {port}: cannot be used ({error.strerror}); leave out --port for a free one") from error
    with made as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET at two paths to browsers that call the server by its own name; anything else is refused."""

    server: LiveServer
    server_version, sys_version = "fedefm", ""
    timeout = 10

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.path == "/":
            self._send(HTML, self.server.shown.page)
        elif self.path == "/status.json":
            self._send(JSON, json.dumps(self.server.shown.plain))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal, where the address stands."""

    def _send(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", self.server.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
