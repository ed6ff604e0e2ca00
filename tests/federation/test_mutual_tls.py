"""T1 and T2: who may connect, on the port of the hospitals and on that of the people."""

import socket
import ssl
import threading
import time
import warnings

import pytest

from fedefm.federation.sites import CONSOLE, running, site_process, write_site_config
from support.http2_peer import HELLO, context, greet
from support.rogues import Ear, kit_with, pairs

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def certificates(place, tmp_path_factory):
    return pairs(place, tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def server(place):
    with running(place, {}):
        yield place


@pytest.fixture(params=["fl_port", "admin_port"])
def port(request, server):
    return getattr(server, request.param)


def test_a_certificate_of_the_consortium_is_accepted(place, certificates, port):
    assert greet(port, context(place, certificates["good"])) is None


@pytest.fixture
def said(place):
    """Waits until the server says something that it did not say before this test."""
    heard = Ear(place.kit(place.server) / CONSOLE)

    def wait(reason):
        deadline = time.monotonic() + 10
        while reason not in heard():
            assert time.monotonic() < deadline, heard()
            time.sleep(0.1)

    return wait


REASONS = {
    "another CA": "certificate signature failure",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    None: "PEER_DID_NOT_RETURN_A_CERTIFICATE",
}


@pytest.mark.parametrize("wrong", REASONS)
def test_t1_any_other_certificate_is_refused_and_the_reason_is_in_the_log(place, certificates, port, said, wrong):
    assert greet(port, context(place, certificates.get(wrong))) is not None
    said(REASONS[wrong])


def test_t2_plaintext_is_refused(port, said):
    assert greet(port, None) is not None
    said("WRONG_VERSION_NUMBER")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_t2_old_tls_is_refused_although_this_client_can_speak_it(place, certificates, port, said, version):
    pair = certificates["good"]
    assert greet(port, context(place, pair, version)) is not None
    said("UNSUPPORTED_PROTOCOL")
    assert old_tls_works(place, version), "this Python cannot speak old TLS, so that the test says nothing"
    assert greet(port, context(place, pair, ssl.TLSVersion.TLSv1_2)) is None


def old_tls_works(place, version):
    """The same client against a server of Python's that has this version and no other."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    startup = place.kit(place.server) / "startup"
    own.load_cert_chain(startup / "server.crt", startup / "server.key")
    own.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own.minimum_version = own.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answered = threading.Thread(target=_answer, args=(listener, own))
        answered.start()
        try:
            return greet(listener.getsockname()[1], context(place, version=version)) is None
        finally:
            answered.join()


def _answer(listener, own):
    raw, _ = listener.accept()
    with raw, own.wrap_socket(raw, server_side=True) as line:
        line.recv(len(HELLO))
        line.sendall(b"\0\0\0\4\0\0\0\0\0")


@pytest.mark.parametrize("wrong", ["another CA", "expired", "not yet valid", "hospital-b's"])
def test_t1_start_refuses_such_a_kit_and_says_why(place, certificates, folders, tmp_path, wrong):
    pair = certificates.get(wrong) or place.kit("hospital-b") / "startup"
    kit = kit_with(place.kit("hospital-a"), pair, tmp_path)
    write_site_config(kit, folders["hospital-a"])
    with site_process(kit) as process:
        assert process.wait(120) != 0
    said = (kit / "console.txt").read_text()
    assert "[FAIL]" in said
    assert "client.crt" in said.partition("[FAIL]")[2]
    assert not (kit / "log.txt").exists()
