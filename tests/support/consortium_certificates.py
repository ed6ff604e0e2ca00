"""A small consortium: one root that issues each certificate directly, as `nvflare provision` does."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@cache
def new_key(name: str) -> rsa.RSAPrivateKey:
    """One key a name: making them is slow."""
    return rsa.generate_private_key(65537, 2048)


def subject(name: str, role: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "org")]
    return x509.Name(parts + ([x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, role)] if role else []))


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / f"{stem}.crt", folder / f"{stem}.key"
        paths[0].write_bytes(self.certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        paths[1].chmod(0o600)
        return paths


@dataclass(frozen=True)
class Authority:
    name: str = "consortium"
    root: Pair = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self._issue(self.name, None, NOW - 400 * DAY, NOW + 400 * DAY, ca=True))

    def issue(
        self, name: str, role: str | None = None, begin: datetime = NOW - DAY, end: datetime = NOW + 90 * DAY
    ) -> Pair:
        return self._issue(name, role, begin, end, ca=False)

    def _issue(self, name: str, role: str | None, begin: datetime, end: datetime, ca: bool) -> Pair:
        key, signer = new_key(f"{self.name}/{name}"), new_key(f"{self.name}/{self.name}")
        builder = x509.CertificateBuilder().subject_name(subject(name, role)).issuer_name(subject(self.name, None))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        return Pair(builder.sign(signer, hashes.SHA256()), key)


def write_job(folder: Path, name: str = "foundation", **meta: object) -> Path:
    """A FLARE job folder of one app."""
    config = folder / "app" / "config"
    config.mkdir(parents=True)
    plain = {"name": name, "min_clients": 1, "deploy_map": {"app": ["@ALL"]}, **meta}
    (folder / "meta.json").write_text(json.dumps(plain))
    for side in ("client", "server"):
        (config / f"config_fed_{side}.json").write_text(json.dumps({"format_version": 2, "side": side}))
    (config / "foundation.json").write_text(json.dumps({"classes": ["catheter"], "seed": 0}))
    return folder
