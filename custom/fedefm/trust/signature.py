"""A detached signature over a manifest: RSA-PSS with SHA-256."""

from __future__ import annotations

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from fedefm.errors import TrustError
from fedefm.trust.kinds import SIGNATURE_NAME

_PURPOSE = b"fedefm-manifest-1\0"  # these keys sign other things for FLARE; none of those is ever a manifest
_PADDING = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
MAX_SIGNATURE_BYTES = 4096


def sign(data: bytes, key: RSAPrivateKey, purpose: bytes = _PURPOSE) -> bytes:
    """The signature of `data`, as one line of base64; it holds for this purpose and no other."""
    return base64.b64encode(key.sign(purpose + data, _PADDING, hashes.SHA256())) + b"\n"


def check(data: bytes, signature: bytes, certificate: x509.Certificate, purpose: bytes = _PURPOSE) -> None:
    """Refuse a signature that the certificate's key did not make over `data`.

    Raises:
        TrustError: it is no base64, the key is of another kind, or it does not fit the data.
    """
    key = certificate.public_key()
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature
        key.verify(raw, purpose + data, _PADDING, hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise TrustError(
            f"{SIGNATURE_NAME}: not the signature of this manifest; have the folder signed again"
        ) from error
