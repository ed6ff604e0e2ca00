"""A certificate request: a hospital makes its key, keeps it, and sends only this."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from fedefm.errors import TrustError

MIN_BITS = 2048
MAX_BYTES = 64_000


def read_request(path: Path, name: str, org: str) -> RSAPublicKey:
    """The public key of a PEM request that was made for this participant.

    Args:
        path: the `.csr` file that `nvflare cert request` makes beside the key.
        name: the participant's name in the project file.
        org: its organisation there.

    Raises:
        TrustError: missing, damaged, not signed by its own key, of someone else, or a weak key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrustError(f"{path}: {error.strerror}; ask {name} for its request (nvflare cert request)") from error
    if len(data) > MAX_BYTES:
        raise TrustError(f"{path}: {len(data)} bytes are no certificate request; ask {name} for another")
    try:
        request = x509.load_pem_x509_csr(data)
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise TrustError(f"{path}: no certificate request in PEM form; ask {name} for another") from error
    if not signed:
        raise TrustError(f"{path}: not signed by its own key; ask {name} for another")
    for what, oid, wanted in (("name", NameOID.COMMON_NAME, name), ("org", NameOID.ORGANIZATION_NAME, org)):
        found = [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid)]
        if found != [wanted]:
            raise TrustError(f"{path}: is of {what} {found}, the project file says '{wanted}'; do not sign it")
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise TrustError(f"{path}: needs an RSA key of at least {MIN_BITS} bits; ask {name} for another")
    return key
