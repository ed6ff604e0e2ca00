"""Certificates of a consortium: one root, which issues every other one directly, as `nvflare provision` does."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

from fedefm.errors import TrustError
from fedefm.trust.names import shown

ROOT_ROLE = "root"
KIT_ROLES = frozenset({ROOT_ROLE})
JOB_ROLES = frozenset({"lead", "project_admin"})
FORBIDDEN_ROLE = "super"  # passes every policy of FLARE
WARN_BEFORE = timedelta(days=30)
MIN_BITS = 2048
MAX_PEM = 16_000


def load_certificate(source: Path | bytes | x509.Certificate, name: str | None = None) -> x509.Certificate:
    """Read one certificate with an RSA key.

    Args:
        source: a PEM file, PEM bytes, or a certificate.
        name: for the message; the file's name by default.

    Raises:
        TrustError: not one PEM certificate, or a key that is not RSA of at least 2048 bits.
    """
    name = name or (source.name if isinstance(source, Path) else "certificate")
    certificate = source if isinstance(source, x509.Certificate) else _parse(source, name)
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise TrustError(f"{name}: the key is not RSA of at least {MIN_BITS} bits; have the certificate made again")
    return certificate


def load_key(source: Path | RSAPrivateKey) -> RSAPrivateKey:
    """Read a private key that only its owner may read.

    Raises:
        TrustError: no RSA key without passphrase, or readable by group or others.
    """
    if isinstance(source, RSAPrivateKey):
        return source
    check_private(source)
    try:
        key = serialization.load_pem_private_key(source.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrustError(
            f"{source.name}: not a readable PEM key ({type(error).__name__}); name the right file"
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise TrustError(f"{source.name}: not an RSA key; use the key that the provisioning made")
    return key


def check_private(path: Path) -> None:
    """Refuse a private key, or a file with private keys, that others than its owner may touch.

    Raises:
        TrustError: no such file, or mode too open.
    """
    if not path.is_file():
        raise TrustError(f"{path.name}: no such key; put it there or fetch the kit again")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise TrustError(f"{path.name}: private, but its mode is {mode:04o}; run chmod 600 on it")


def check_pair(certificate: x509.Certificate, key: RSAPrivateKey, name: str) -> None:
    """Refuse a private key that does not belong to the certificate.

    Raises:
        TrustError: the key is that of another certificate.
    """
    if certificate.public_key() != key.public_key():
        raise TrustError(f"{name}: the private key belongs to another certificate; fetch or request both again")


def name_of(certificate: x509.Certificate) -> str:
    """The one common name; empty when there is none or more than one."""
    return _only(certificate, NameOID.COMMON_NAME)


def end_of(certificate: x509.Certificate) -> float:
    """When it ends, in seconds since 1970."""
    return certificate.not_valid_after_utc.timestamp()


def role_of(certificate: x509.Certificate, root: x509.Certificate) -> str:
    """`root` for the root itself; else the role that the provisioning wrote; empty for sites and servers."""
    if certificate == root:
        return ROOT_ROLE
    role = _only(certificate, NameOID.UNSTRUCTURED_NAME)
    return "" if role in (ROOT_ROLE, FORBIDDEN_ROLE) else role


def fingerprint(source: Path | x509.Certificate) -> str:
    """SHA-256 of a certificate, as `AA:BB:...`, which is what `openssl x509 -fingerprint -sha256` prints too."""
    return load_certificate(source).fingerprint(hashes.SHA256()).hex(":").upper()


def same_fingerprint(one: str, other: str) -> bool:
    """Compare what a person typed: colons, spaces, case and `SHA256 Fingerprint=` before it do not count."""

    def bare(text: str) -> str:
        text = text.casefold().replace("sha256", "").replace("fingerprint", "")
        return "".join(c for c in text if c not in " :=\t\n")

    return len(bare(one)) == 64 and bare(one) == bare(other)


def check_root(root: x509.Certificate, now: datetime, name: str = "rootCA.pem") -> None:
    """Refuse a root that is no CA, did not sign itself, or is out of time.

    Raises:
        TrustError: one of these is the case; the message names the file and which.
    """
    if not _is_ca(root) or not _issued_by(root, root):
        raise TrustError(f"{name}: not the root of a consortium; name the rootCA.pem of your kit")
    check_time(root, now, name)


def check_issued(certificate: x509.Certificate, root: x509.Certificate, now: datetime, name: str) -> None:
    """Refuse a certificate that the root did not issue itself, that is out of time, or that could issue others.

    Raises:
        TrustError: one of these is the case; the message says whose certificate and which.
    """
    if certificate == root:
        return
    if not _issued_by(certificate, root):
        raise TrustError(f"{name}: issued by another CA than this consortium's; use a certificate of this consortium")
    if _is_ca(certificate):
        raise TrustError(f"{name}: a CA below the root, which no consortium has; ask its administrator")
    check_time(certificate, now, name)


def check_time(certificate: x509.Certificate, now: datetime, name: str) -> None:
    """Refuse a certificate outside its dates.

    Raises:
        TrustError: `now` is before its first moment or after its last.
    """
    if now < certificate.not_valid_before_utc:
        raise TrustError(f"{name}: not valid before {_day(certificate.not_valid_before_utc)}; set this machine's clock")
    if now > certificate.not_valid_after_utc:
        raise TrustError(f"{name}: expired on {_day(certificate.not_valid_after_utc)}; ask the consortium to renew it")


@dataclass(frozen=True)
class CertificateFinding:
    """What a look at a certificate found.

    Attributes:
        level: `pass`, `warn` or `fail`.
        name: the certificate's file name.
        text: one line.
    """

    level: str
    name: str
    text: str


def lint_certificates(paths: Iterable[Path], now: datetime | None = None) -> tuple[CertificateFinding, ...]:
    """Look at the dates: expired, not yet valid or unreadable fails, less than 30 days left warns."""
    return tuple(_lint(path, now or utc_now()) for path in paths)


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


def _lint(path: Path, now: datetime) -> CertificateFinding:
    try:
        certificate = load_certificate(path)
        check_time(certificate, now, path.name)
    except TrustError as error:
        return CertificateFinding("fail", path.name, str(error))
    left = certificate.not_valid_after_utc - now
    text = f"{path.name}: {left.days} days left, until {_day(certificate.not_valid_after_utc)}"
    if left < WARN_BEFORE:
        return CertificateFinding("warn", path.name, f"{text}; ask the consortium to renew it")
    return CertificateFinding("pass", path.name, text)


def _parse(source: Path | bytes, name: str) -> x509.Certificate:
    try:
        data = source if isinstance(source, bytes) else _read(source)
        found = x509.load_pem_x509_certificates(data)
    except (OSError, ValueError) as error:
        raise TrustError(
            f"{name}: not a readable PEM certificate ({type(error).__name__}); name the right file"
        ) from error
    if len(found) != 1:
        raise TrustError(f"{name}: {len(found)} certificates where one is expected; the root issues each one directly")
    return found[0]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PEM)


def _only(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    return shown(str(values[0].value)) if len(values) == 1 else ""


def _issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
