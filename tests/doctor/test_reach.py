"""Can the server be reached: against servers on loopback with real certificates and mutual TLS."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedefm.doctor.finding import FAIL, PASS, Finding
from fedefm.doctor.network import reach
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
