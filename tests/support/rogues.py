"""Certificates and kits that a consortium must not accept, made with its own CA key where that is the point."""

import json
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from fedefm.errors import FedefmError

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
RUN_TIME = shutil.ignore_patterns(
    "log.*", "*_log.txt", "log_fl.*", "console.txt", "stats*", "*.fl", "audit.log", "transfer", "????????-????-*"
)  # what FLARE writes into a kit


def authority(place):
    """Certificate and key of the consortium's CA."""
    state = json.loads((place.kits.parent / "state" / "cert.json").read_text())
    root = x509.load_pem_x509_certificate(state["root_cert"].encode())
    return root, load_pem_private_key(state["root_pri_key"].encode(), None)


def another_authority():
    """A CA with the same name as ours and a key of its own."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedefm")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY)
    builder = builder.not_valid_after(NOW + DAY).add_extension(x509.BasicConstraints(True, None), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def pair(folder, name, org, root, key, begin=NOW - DAY, end=NOW + DAY, role=None):
    """`client.crt` and `client.key` of a participant in a folder; people have a role, sites have none."""
    own = rsa.generate_private_key(65537, 2048)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, org)]
    names += [x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, role)] if role else []
    subject = x509.Name(names)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(root.subject).public_key(own.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    certificate = builder.sign(key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "client.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    plain = own.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "client.key").write_bytes(plain)
    return folder


def pairs(place, folder):
    """Certificates in the name of hospital-a by what is wrong with them; `good` has nothing wrong."""
    root, key = authority(place)
    other = another_authority()
    who = ("hospital-a", "hospital_a")
    return {
        "good": pair(folder / "good", *who, root, key),
        "another CA": pair(folder / "another", *who, *other),
        "expired": pair(folder / "expired", *who, root, key, NOW - 2 * DAY, NOW - DAY),
        "not yet valid": pair(folder / "early", *who, root, key, NOW + DAY, NOW + 2 * DAY),
    }


def kit_with(kit: Path, startup: Path, folder: Path, side: str = "client") -> Path:
    """A copy of a kit, in a folder of the same name, with certificate and key from another place."""
    copy = folder / kit.name
    shutil.copytree(kit, copy, ignore=RUN_TIME)
    for name in (f"{side}.crt", f"{side}.key"):
        shutil.copy(startup / name, copy / "startup" / name)
        (copy / "startup" / name).chmod(0o600)
    return copy


def change(path: Path, *keys, value):
    """Set one value of a JSON file, `keys` deep."""
    plain = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(plain))


class Ear:
    """What a log says from now on: the kits of a session have served other tests."""

    def __init__(self, log: Path):
        self._log = log
        self._heard = log.stat().st_size if log.exists() else 0

    def __call__(self) -> str:
        return self._log.read_bytes()[self._heard :].decode() if self._log.exists() else ""


def connected(lead):
    """How many hospitals the server has; it takes having none for an error."""
    with suppress(FedefmError):
        return len(lead.call("system", "status")["clients"])
    return 0


def alive(process):
    """Whether a process still runs; a zombie does not."""
    try:
        return process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False


def until(ready, seconds=60):
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.2)
