"""The proxy between a site and the server, where there is one: the same that gRPC takes, asked in the same way.

gRPC's core reads `grpc_proxy`, `https_proxy` and `http_proxy` in this order, in small letters alone, and leaves the
proxy out for hosts that end with an entry of `no_grpc_proxy` or, without that, `no_proxy`.
Source: gRPC, doc/environment_variables.md.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from fedefm.errors import ConfigError

NAMES = ("grpc_proxy", "https_proxy", "http_proxy")
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
_MOST = 8192  # bytes of an answer's head


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and what it is told of who asks.

    Attributes:
        variable: the environment variable that names it.
        host: its name.
        port: its port.
        credentials: user and password as HTTP's basic scheme sends them; empty for none.
    """

    variable: str
    host: str
    port: int
    credentials: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({self.variable})"


def proxy_for(host: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that gRPC would take to a host; None where it connects by itself.

    Raises:
        ConfigError: the variable is no address of an HTTP proxy.
    """
    name = next((name for name in NAMES if environment.get(name)), None)
    if name is None or _is_exception(host, environment):
        return None
    value = environment[name]
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError
        return Proxy(name, parts.hostname, parts.port or 80, _credentials(parts))
    except ValueError as error:
        raise ConfigError(f"{name}: is no address such as http://proxy.hospital.example:3128; correct it") from error


def open_tunnel(raw: socket.socket, proxy: Proxy, host: str, port: int) -> str:
    """Ask a connected proxy to carry bytes to a host (CONNECT, RFC 9110, 9.3.6).

    Returns:
        Empty where it does; else its refusal, such as `HTTP/1.1 403 Forbidden`.
    """
    asked = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
    if proxy.credentials:
        asked += f"Proxy-Authorization: Basic {proxy.credentials}\r\n"
    raw.sendall(f"{asked}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MOST:
        piece = raw.recv(1)  # what follows the head is the server's
        if not piece:
            break
        answer += piece
    first = answer.partition(b"\r\n")[0].decode("ascii", "replace")[:80]
    words = first.split(" ")
    return "" if words[0].startswith("HTTP/1.") and words[1:2] and words[1].startswith("2") else first or "no answer"


def _is_exception(host: str, environment: Mapping[str, str]) -> bool:
    listed = next((environment[name] for name in EXCEPTIONS if environment.get(name)), "")
    return any(host.lower().endswith(entry) for entry in map(str.strip, listed.lower().split(",")) if entry)


def _credentials(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base64.b64encode(both.encode()).decode()
