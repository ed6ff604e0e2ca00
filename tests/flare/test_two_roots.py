"""Why the root is not rotated with an overlap: what FLARE does with a `rootCA.pem` of two certificates, measured.

Where one of these fails, FLARE reads both, and `docs/consortium-admin.md` (Rotate) can promise more.
"""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from nvflare.lighter.utils import load_crt
from nvflare.private.fed.utils.identity_utils import (
    IdentityAsserter,
    IdentityVerifier,
    InvalidAsserterCert,
    load_cert_file,
)

from fedefm.errors import TrustError
from fedefm.trust.certificates import load_certificate
from support.consortium_certificates import Authority, Pair

ROOTS = ("new", "old")


@pytest.fixture
def hospitals(tmp_path: Path) -> dict[str, Pair]:
    """A hospital with a certificate of each root, and the file `both.pem`, the new root first."""
    made, bundle = {}, b""
    for root in ROOTS:
        consortium = Authority(f"{root} root")  # two names: OpenSSL tells two roots of one name apart by it alone
        certificate, _ = consortium.root.write(tmp_path / root, "root")
        bundle += certificate.read_bytes()
        made[root] = consortium.issue("hospital-a")
        made[root].write(tmp_path / root, "client")
    (tmp_path / "both.pem").write_bytes(bundle)
    return made


def test_tls_lets_in_whoever_has_a_certificate_of_either(hospitals: dict[str, Pair], tmp_path: Path) -> None:
    for root in ROOTS:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(tmp_path / "both.pem")
        server.load_cert_chain(tmp_path / "new" / "client.crt", tmp_path / "new" / "client.key")
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.load_verify_locations(tmp_path / "both.pem")
        client.load_cert_chain(tmp_path / root / "client.crt", tmp_path / root / "client.key")
        assert shake_hands(server, client) == hospitals[root].certificate.serial_number


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """Serial number of the client's certificate, as the server saw it."""
    ins = [ssl.MemoryBIO() for _ in range(4)]
    ends = (
        server.wrap_bio(ins[0], ins[1], server_side=True),
        client.wrap_bio(ins[2], ins[3], server_hostname="hospital-a"),
    )
    for _ in range(4):
        for end in reversed(ends):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
            ins[2].write(ins[1].read())
            ins[0].write(ins[3].read())
    data = ends[0].getpeercert(binary_form=True)
    assert data is not None
    return x509.load_der_x509_certificate(data).serial_number


def test_flare_registers_only_who_has_a_certificate_of_the_first(hospitals: dict[str, Pair], tmp_path: Path) -> None:
    verifier = IdentityVerifier(str(tmp_path / "both.pem"))
    for root in ROOTS:
        own = (str(tmp_path / root / f"client.{end}") for end in ("key", "crt"))
        asserter = IdentityAsserter(*own)
        said = asserter.sign_common_name(nonce="nonce")
        certificate = load_cert_file(str(tmp_path / root / "client.crt"))
        if root == "new":
            assert verifier.verify_common_name("hospital-a", "nonce", certificate, said)
            continue
        with pytest.raises(InvalidAsserterCert):
            verifier.verify_common_name("hospital-a", "nonce", certificate, said)


def test_flare_checks_its_signatures_of_a_job_with_the_first(hospitals: dict[str, Pair], tmp_path: Path) -> None:
    """As `verify_folder_signature` reads the root, at the server and at each hospital."""
    assert load_crt(tmp_path / "both.pem") == load_certificate(tmp_path / "new" / "root.crt")


def test_our_own_checks_take_one_root(hospitals: dict[str, Pair], tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="2 certificates where one is expected"):
        load_certificate(tmp_path / "both.pem")
