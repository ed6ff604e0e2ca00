"""The relay between a hospital and the server, against a plain server of the loopback."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from fedefm.errors import FedefmError
from fedefm.federation.link import Link, carrying
from fedefm.federation.place import free_ports

TIMEOUT = 20


@contextmanager
def echo():
    """A server that sends back what it gets; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def answer(connection):
    with connection, suppress(OSError):
        while piece := connection.recv(65536):
            connection.sendall(piece)


@pytest.fixture
def link():
    with echo() as port:
        yield Link(free_ports(1)[0], port)


def connect(link):
    connection = socket.create_connection(("127.0.0.1", link.port), TIMEOUT)
    connection.settimeout(TIMEOUT)
    return connection


def said_back(connection, text):
    """What comes back, byte for byte; as long as the text or until the end."""

    def send():
        with suppress(OSError):
            connection.sendall(text)

    threading.Thread(target=send, daemon=True).start()
    found = b""
    while len(found) < len(text) and (piece := connection.recv(65536)):
        found += piece
    return found


def test_bytes_go_both_ways_unchanged_and_are_counted(link):
    text = bytes(range(256)) * 2000
    with carrying(link), connect(link) as connection:
        assert said_back(connection, text) == text
        assert link.carried == 2 * len(text)


def test_a_thin_line_takes_its_time_and_shares_it_among_connections(link):
    """Two times 100 kB each way at 200 kB/s: one second, however many connections there are."""
    link.rate = 200e3
    text = b"x" * 100_000
    with carrying(link), connect(link) as one, connect(link) as other:
        begin = time.monotonic()
        found = []
        threads = [threading.Thread(target=lambda c=c: found.append(said_back(c, text))) for c in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        took = time.monotonic() - begin
    assert found == [text, text]
    assert took >= 1.0


def test_a_cut_line_breaks_what_stands_and_takes_nothing_new_until_it_is_mended(link):
    with carrying(link):
        with connect(link) as connection:
            assert said_back(connection, b"before") == b"before"
            link.cut = True
            with suppress(OSError):
                assert connection.recv(1) == b""
        with suppress(OSError), connect(link) as connection:
            assert said_back(connection, b"meanwhile") == b""
        assert link.broken >= 2
        link.cut = False
        with connect(link) as connection:
            assert said_back(connection, b"after") == b"after"


def test_a_held_line_keeps_the_bytes_and_tells_nobody(link):
    with carrying(link), connect(link) as connection:
        assert said_back(connection, b"before") == b"before"
        link.held = True
        connection.sendall(b"held")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        link.held = False
        connection.settimeout(TIMEOUT)
        assert connection.recv(4) == b"held"


def test_dropped_connections_end_and_new_ones_are_taken(link):
    with carrying(link), connect(link) as connection:
        assert said_back(connection, b"before") == b"before"
        link.drop()
        with suppress(OSError):
            assert connection.recv(1) == b""
        with connect(link) as again:
            assert said_back(again, b"again") == b"again"


def test_a_server_that_is_not_there_ends_the_connection(link):
    link.target = free_ports(1)[0]
    with carrying(link), connect(link) as connection, suppress(OSError):
        assert connection.recv(1) == b""


def test_nothing_is_left_of_it(link):
    before = threading.active_count()
    with carrying(link), connect(link):
        pass
    assert threading.active_count() == before
    with pytest.raises(OSError), connect(link):
        pass


def test_a_port_that_is_taken_is_told(link, monkeypatch):
    monkeypatch.setattr("fedefm.federation.link.READY_SECONDS", 0.5)
    with (
        socket.create_server(("127.0.0.1", link.port)),
        pytest.raises(FedefmError, match=f"port {link.port}: is taken"),
        carrying(link),
    ):
        pass
    with pytest.raises(FedefmError, match="is not at work"):
        link.drop()
