import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from nvflare.lighter.entity import Participant
from nvflare.lighter.impl.cert import _CertState
from nvflare.lighter.utils import generate_keys

from fedefm.errors import ConfigError, TrustError
from fedefm.flare.provision.certificates import CertificateBuilder
from fedefm.kits.request import MAX_BYTES, read_request
from fedefm.trust.certificates import role_of

KEY = rsa.generate_private_key(65537, 2048)


def csr(name="hospital-c", org="hospital_c", key=KEY, twice=False):
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, org)]
    names += [x509.NameAttribute(NameOID.COMMON_NAME, "hospital-a")] if twice else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def read(tmp_path, data):
    path = tmp_path / "c.csr"
    path.write_bytes(data)
    return read_request(path, "hospital-c", "hospital_c")


def test_the_key_of_a_request(tmp_path):
    assert read(tmp_path, csr()) == KEY.public_key()


def forged():
    """Someone else's name under a request that another key signed."""
    der = x509.load_pem_x509_csr(csr(name="hospital-x")).public_bytes(Encoding.DER)
    return x509.load_der_x509_csr(der.replace(b"hospital-x", b"hospital-c")).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (csr(name="hospital-a"), r"is of name \['hospital-a'\]"),
        (csr(org="hospital_a"), r"is of org \['hospital_a'\]"),
        (csr(twice=True), "is of name"),
        (csr(key=rsa.generate_private_key(65537, 1024)), "RSA key of at least 2048"),
        (csr(key=ec.generate_private_key(ec.SECP256R1())), "RSA key of at least 2048"),
        (forged(), "not signed by its own key"),
        (b"", "no certificate request"),
        (csr()[:-80], "no certificate request"),
        (b"x" * (MAX_BYTES + 1), "are no certificate request"),
    ],
    ids=["name", "org", "two-names", "short", "elliptic", "forged", "empty", "cut", "huge"],
)
def test_what_is_not_signed(tmp_path, data, why):
    with pytest.raises(TrustError, match=why):
        read(tmp_path, data)


def test_a_person_whose_role_changed_keeps_no_old_certificate(tmp_path):
    builder = CertificateBuilder(root_valid_days=3650)
    builder.persistent_state = _CertState(str(tmp_path))
    builder._build_root("fedefm", "consortium")
    key = generate_keys()[1]

    def person(role):
        more = {"role": role, "request": "jo.csr"}
        return Participant(type="admin", name="jo@fedefm.test", org="consortium", props=more)

    first = builder._answer(person("lead"), key)
    assert role_of(first, builder.root_cert) == "lead"
    assert builder._answer(person("lead"), key) == first
    with pytest.raises(ConfigError, match="project file says member"):
        builder._answer(person("member"), key)
