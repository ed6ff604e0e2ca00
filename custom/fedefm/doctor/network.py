"""Can this site reach the server: name, port, proxy, and a mutual TLS handshake with the kit's certificate."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

from fedefm.doctor.finding import Finding, failed, failed_with, passed
from fedefm.doctor.proxy import Proxy, open_tunnel, proxy_for
from fedefm.errors import ConfigError
from fedefm.kits.kit import Kit

SECONDS = 5.0
# What an HTTP/2 client says first, and the type of the frame that a server must answer first (RFC 9113, 3.4 and 6.5).
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS = 4
_CALL = "call the consortium's administrator"


def reach(kit: Kit, seconds: float = SECONDS) -> Iterator[Finding]:
    """Every host and port that the kit connects to; outbound TCP only, through the proxy that gRPC would take."""
    for host, port in kit.endpoints:
        try:
            proxy = proxy_for(host, os.environ)
        except ConfigError as error:
            yield failed_with("network", error)
            continue
        yield _reach(kit, host, port, seconds) if proxy is None else _reach_through(proxy, kit, host, port, seconds)


def _reach_through(proxy: Proxy, kit: Kit, host: str, port: int, seconds: float) -> Finding:
    """The proxy resolves the server's name; here only its own has to be known."""
    where = f"{host}:{port}"
    try:
        with socket.create_connection((proxy.host, proxy.port), seconds) as raw:
            refusal = open_tunnel(raw, proxy, host, port)
            if refusal:
                remedy = f"ask your IT to let the proxy carry CONNECT {where}"
                return failed("network", f"the proxy {proxy} does not carry to {where} ({refusal})", remedy)
            return _shake(kit, host, raw, f"{where} through the proxy {proxy}")
    except TimeoutError:
        return failed("network", f"the proxy {proxy} does not answer", f"ask your IT, or correct {proxy.variable}")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return failed("network", f"the proxy {proxy} cannot be reached ({reason})", f"correct {proxy.variable}")


def _reach(kit: Kit, host: str, port: int, seconds: float) -> Finding:
    where = f"{host}:{port}"
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return failed(
            "network", f"{host} has no address here", "ask your IT for DNS of that name, or correct /etc/hosts"
        )
    try:
        with socket.create_connection((host, port), seconds) as raw:
            return _shake(kit, host, raw, where)
    except ConnectionRefusedError:
        return failed("network", f"{where} refuses connections", "ask the consortium whether the server runs")
    except TimeoutError:
        return failed("network", f"{where} does not answer", f"ask your IT to allow outbound TCP to {where}")
    except OSError as error:
        return failed("network", f"{where} cannot be reached ({error.strerror})", f"allow outbound TCP to {where}")


def _shake(kit: Kit, host: str, raw: socket.socket, where: str) -> Finding:
    try:
        with _context(kit).wrap_socket(raw, server_hostname=host) as tls:
            return _greet(tls, where)
    except ssl.SSLCertVerificationError as error:
        return failed(
            "network", f"{where} shows a wrong certificate ({error.verify_message})", f"do not start; {_CALL}"
        )
    except ssl.SSLError as error:
        return failed("network", f"{where} does not speak TLS 1.2 or newer as FLARE does ({error.reason})", _CALL)
    except (TimeoutError, ConnectionError):
        return failed(
            "network", f"{where} ends the handshake", f"allow TLS to {where} without inspection by a proxy, or {_CALL}"
        )


def _greet(tls: ssl.SSLSocket, where: str) -> Finding:
    """Wait for the server's first bytes: with TLS 1.3 it judges our certificate only after the handshake."""
    try:
        tls.sendall(_HELLO)
        answer = tls.recv(9)
    except (ssl.SSLError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return failed("network", f"{where} does not accept this kit's certificate ({reason})", _CALL)
    except TimeoutError:
        answer = b""
    if len(answer) < 4 or answer[3] != _SETTINGS:
        return failed("network", f"{where} is not a FLARE server, or refused this kit's certificate", _CALL)
    return passed("network", f"{where} reached, {tls.version()}, both certificates accepted")


def _context(kit: Kit) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # FLARE's certificates lack an optional extension that it wants
    context.load_verify_locations(kit.root)
    context.load_cert_chain(kit.certificate, kit.key)
    context.set_alpn_protocols(["h2"])
    return context
