"""Can the server be reached: against servers on loopback with real certificates and mutual TLS."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fedefm.doctor.finding import FAIL, PASS, Finding
from fedefm.doctor.network import reach
from fedefm.doctor.proxy import EXCEPTIONS, NAMES, proxy_for
from fedefm.errors import ConfigError
from support.consortium_certificates import Authority, Pair
from support.kits import write_kit

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
Answer = Callable[[socket.socket], object]


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """A server of one connection on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            try:
                raw, _ = server.accept()
                with raw:
                    raw.settimeout(5)
                    answer(raw)
            except OSError:  # a refused handshake is one
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(15)
        assert not thread.is_alive()


def flare(folder: Path, consortium: Authority, own: Pair) -> Answer:
    """Mutual TLS, then the first frame of HTTP/2, as a gRPC server sends it."""
    certificate, key = own.write(folder, "server")
    root, _ = consortium.root.write(folder, "root")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(root)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])

    def answer(raw: socket.socket) -> None:
        with context.wrap_socket(raw, server_side=True) as tls:
            tls.recv(100)
            tls.sendall(SETTINGS)

    return answer


def seen(folder: Path, consortium: Authority, own: Pair, answer: Answer) -> Finding:
    with listening(answer) as port:
        (found,) = reach(write_kit(folder / "kit", consortium, own, port=port), seconds=1.0)
    return found


def test_the_consortiums_server_is_reached(consortium: Authority, tmp_path: Path) -> None:
    server = flare(tmp_path, consortium, consortium.issue("localhost"))
    found = seen(tmp_path, consortium, consortium.issue("hospital-a"), server)
    assert found.status == PASS, found


def test_t3_a_hospitals_certificate_as_the_servers_fails(consortium: Authority, tmp_path: Path) -> None:
    server = flare(tmp_path, consortium, consortium.issue("hospital-b"))
    found = seen(tmp_path, consortium, consortium.issue("hospital-a"), server)
    assert found.status == FAIL and "wrong certificate" in found.text and "do not start" in found.remedy


def test_a_server_of_another_ca_fails(consortium: Authority, tmp_path: Path) -> None:
    server = flare(tmp_path, consortium, Authority("somebody").issue("localhost"))
    found = seen(tmp_path, consortium, consortium.issue("hospital-a"), server)
    assert found.status == FAIL and "wrong certificate" in found.text


def test_a_kit_whose_certificate_the_server_refuses_fails(consortium: Authority, tmp_path: Path) -> None:
    """With TLS 1.3 the handshake ends well at our side; only what follows tells."""
    server = flare(tmp_path, consortium, consortium.issue("localhost"))
    found = seen(tmp_path, consortium, Authority("somebody").issue("hospital-a"), server)
    assert found.status == FAIL and "certificate" in found.text


ODD: dict[str, Answer] = {
    "plaintext": lambda raw: (raw.recv(100), raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "closed": lambda raw: raw.recv(1),
    "silent": lambda raw: [None for _ in iter(lambda: raw.recv(1000), b"")],
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_flare_server_fails_in_time_with_a_remedy(odd: str, consortium: Authority, tmp_path: Path) -> None:
    found = seen(tmp_path, consortium, consortium.issue("hospital-a"), ODD[odd])
    assert found.status == FAIL and found.remedy


def test_a_closed_port_fails(consortium: Authority, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, so that nobody else takes it, and not listening
        taken.bind(("127.0.0.1", 0))
        kit = write_kit(tmp_path, consortium, consortium.issue("hospital-a"), port=taken.getsockname()[1])
        (found,) = reach(kit, seconds=1.0)
    assert found.status == FAIL and "refuses connections" in found.text


def carrying(target: int, status: str = "200 Connection established", heard: list[bytes] | None = None) -> Answer:
    """A proxy of one connection: it answers CONNECT, then carries bytes to a port of the loopback."""

    def answer(raw: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += raw.recv(100)
        if heard is not None:
            heard.append(asked)
        raw.sendall(f"HTTP/1.1 {status}\r\nVia: x\r\n\r\n".encode())
        if not status.startswith("200"):
            return
        with socket.create_connection(("127.0.0.1", target), 5) as there:
            back = threading.Thread(target=carry, args=(there, raw))
            back.start()
            carry(raw, there)
            back.join()

    return answer


def carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*NAMES, *EXCEPTIONS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_server_behind_a_proxy_is_reached_with_the_users_name(
    consortium: Authority, tmp_path: Path, no_proxy: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    server = flare(tmp_path, consortium, consortium.issue("localhost"))
    with listening(server) as port, listening(carrying(port, heard=heard)) as at:
        no_proxy.setenv("https_proxy", f"http://it:p%40ss@127.0.0.1:{at}")
        (found,) = reach(write_kit(tmp_path / "kit", consortium, consortium.issue("hospital-a"), port=port), 2.0)
    assert found.status == PASS and "through the proxy 127.0.0.1" in found.text, found
    assert heard[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic aXQ6cEBzcw==\r\n" in heard[0] and "p@ss" not in found.text


def test_a_proxy_that_refuses_is_named_with_what_it_said(
    consortium: Authority, tmp_path: Path, no_proxy: pytest.MonkeyPatch
) -> None:
    with listening(carrying(0, "403 Forbidden")) as at:
        no_proxy.setenv("https_proxy", f"http://127.0.0.1:{at}")
        (found,) = reach(write_kit(tmp_path / "kit", consortium, consortium.issue("hospital-a"), port=8002), 2.0)
    assert found.status == FAIL and "HTTP/1.1 403 Forbidden" in found.text and "CONNECT localhost:8002" in found.remedy


def test_a_proxy_that_is_not_there_is_named(
    consortium: Authority, tmp_path: Path, no_proxy: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        no_proxy.setenv("grpc_proxy", f"127.0.0.1:{taken.getsockname()[1]}")
        (found,) = reach(write_kit(tmp_path / "kit", consortium, consortium.issue("hospital-a"), port=8002), 2.0)
    assert found.status == FAIL and "the proxy 127.0.0.1" in found.text and found.remedy == "correct grpc_proxy"


def test_grpcs_order_of_variables_and_its_exceptions() -> None:
    both = {"https_proxy": "http://p:1", "http_proxy": "http://q:2"}
    assert str(proxy_for("server", both)) == "p:1 (https_proxy)"
    assert str(proxy_for("server", {"http_proxy": "q"})) == "q:80 (http_proxy)"
    assert proxy_for("server", {"HTTPS_PROXY": "http://p:1"}) is None  # gRPC does not read it
    assert proxy_for("fl.example.org", both | {"no_proxy": "localhost, .Example.org"}) is None
    assert proxy_for("fl.example.org", both | {"no_proxy": ".example.org", "no_grpc_proxy": "x"}) is not None
    for wrong in ("socks5://p:1", "http://", "http://p:x"):
        with pytest.raises(ConfigError, match="https_proxy: is no address"):
            proxy_for("server", {"https_proxy": wrong})
