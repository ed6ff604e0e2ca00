"""The consortium's deny list: certificates that are no longer good before their end. FLARE has no such list.

One file, `fedefm-revoked.json`, signed by a lead, a project admin or the root. Anyone may carry it: a site takes it
only if it is signed, newer than its own, and holds all that its own holds, so that nobody, a thief of a key least of
all, can take a certificate off again. A site that once had a list remembers its number, and does without it no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from fedefm.errors import TrustError
from fedefm.files import write_whole
from fedefm.trust import signature
from fedefm.trust.certificates import (
    JOB_ROLES,
    KIT_ROLES,
    check_pair,
    load_certificate,
    load_key,
    name_of,
    utc_now,
)
from fedefm.trust.exact import canonical, strict_json
from fedefm.trust.folder import check_signer
from fedefm.trust.kinds import REVOKED_NAME
from fedefm.trust.ledger import JOBS, Ledger
from fedefm.trust.names import shown

PURPOSE = b"fedefm-revoked-1\0"
ROLES = JOB_ROLES | KIT_ROLES
EVENT = "deny list"
MAX_BYTES, MAX_ENTRIES = 1_000_000, 5000
_FIELDS = {"number", "made", "certificate", "revoked"}
_MADE, _SERIAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), re.compile(r"[0-9a-f]{1,40}")
_ASK = "ask the consortium's administrator for the newest one"


@dataclass(frozen=True)
class Revoked:
    """One certificate that is no longer good.

    Attributes:
        serial: its serial number in hexadecimal digits, as `openssl x509 -serial` prints it, in small letters.
        name: whose it was.
        since: when it was revoked, in UTC.
    """

    serial: str
    name: str
    since: str


@dataclass(frozen=True)
class DenyList:
    """What a signed file holds.

    Attributes:
        number: rises with each list.
        made: when, in UTC.
        certificate: of the signer, PEM.
        revoked: sorted by serial.
    """

    number: int
    made: str
    certificate: str
    revoked: tuple[Revoked, ...]

    @property
    def serials(self) -> frozenset[str]:
        """Of all certificates on it."""
        return frozenset(one.serial for one in self.revoked)

    @property
    def entries(self) -> list[dict[str, str]]:
        """The certificates on it as plain values."""
        return [asdict(one) for one in self.revoked]

    def to_bytes(self) -> bytes:
        """The one text that is signed."""
        plain = {"number": self.number, "made": self.made, "certificate": self.certificate, "revoked": self.entries}
        return canonical(plain)


NONE = DenyList(0, "1970-01-01T00:00:00Z", "", ())


def serial_of(certificate: x509.Certificate) -> str:
    """A certificate's serial number, as it stands in a list."""
    return f"{certificate.serial_number:x}"


def revoke(
    before: DenyList, more: Iterable[tuple[str, str]], certificate: Path | x509.Certificate, key: Path | RSAPrivateKey
) -> tuple[DenyList, bytes]:
    """The next list, and the bytes of its file.

    Args:
        before: the list so far; `NONE` for the first.
        more: serial number and name of each certificate that is no longer good.
        certificate: of the signer.
        key: its private key.

    Raises:
        TrustError: nothing new is named, or the key is not that of the certificate.
    """
    signer, private = load_certificate(certificate), load_key(key)
    check_pair(signer, private, "key")
    now = _text(utc_now())
    new = {serial: Revoked(serial, name, now) for serial, name in more if serial not in before.serials}
    if not new:
        raise TrustError("all of these certificates are on the list already; name another")
    entries = tuple(sorted((*before.revoked, *new.values()), key=lambda one: one.serial))
    made = DenyList(before.number + 1, now, signer.public_bytes(Encoding.PEM).decode("ascii"), entries)
    text = made.to_bytes()
    signed = signature.sign(text, private, PURPOSE).decode("ascii").strip()
    data = canonical({"list": strict_json(text), "signature": signed})
    _parse(data)  # what nobody could read must not be signed
    return made, data


def verify(data: bytes, root: Path | x509.Certificate, now: datetime | None = None) -> DenyList:
    """Read a list from bytes that nobody vouches for yet.

    Its signer must have been good when it was made: a list outlives the certificate of whoever signed it.

    Raises:
        TrustError: not exactly what `revoke` writes, or signed by somebody who may not.
    """
    found, signed = _parse(data)
    signer = load_certificate(found.certificate.encode(), "the signer's certificate")
    signature.check(found.to_bytes(), signed.encode(), signer, PURPOSE)
    made = datetime.strptime(found.made, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if made > (now or utc_now()) + timedelta(days=1):
        raise _wrong("is of tomorrow; set this machine's clock")
    check_signer(signer, load_certificate(root), ROLES, made)
    if serial_of(signer) in found.serials:
        raise _wrong(f"is signed with a certificate that stands on it; {_ASK}")
    return found


def take(kit: Path, data: bytes, root: Path | x509.Certificate) -> DenyList:
    """Put a list into a kit, in place of the one that is there.

    Raises:
        TrustError: it is not signed by whom it must be, or is older than the one that is there, or lacks a certificate
            that is on that one. ConfigError: it cannot be written.
    """
    new, before, noted = verify(data, root), _data(kit), _noted(kit)
    now = NONE if before is None else verify(before, root)
    if data == before and new.number >= noted:
        return new
    if new.number <= now.number or new.number < noted:  # the newest one mends a site that has lost it
        raise _wrong(f"has number {new.number}, this site has {max(now.number, noted)} already; {_ASK}")
    if lost := now.serials - new.serials:
        raise _wrong(f"lacks {sorted(lost)[0]}, which is revoked here; {_ASK}")
    signer = serial_of(load_certificate(new.certificate.encode()))
    if signer in now.serials:
        raise _wrong(f"is signed with a certificate that was revoked before; {_ASK}")
    Ledger(kit, JOBS).append(EVENT, number=new.number, serials=len(new.serials))
    write_whole(kit / REVOKED_NAME, data, mode=0o600)
    return new


def read_list(kit: Path, root: Path | x509.Certificate) -> DenyList:
    """The list of a kit; an empty one where it never had any.

    Raises:
        TrustError: it is damaged, or it is gone or older than it was.
    """
    data, noted = _data(kit), _noted(kit)
    found = NONE if data is None else verify(data, root)
    if found.number < noted:
        raise TrustError(f"{REVOKED_NAME}: gone, or older than number {noted}, which was here; {_ASK}")
    return found


def _noted(kit: Path) -> int:
    """The highest number that a list of this site had."""
    return max((line.get("number", 0) for line in Ledger(kit, JOBS).read() if line.get("event") == EVENT), default=0)


def must_be_good(certificate: x509.Certificate, kit: Path, root: Path | x509.Certificate) -> None:
    """Refuse a certificate that is on the list of a kit.

    Raises:
        TrustError: it is, or the list cannot be read.
    """
    if serial_of(certificate) in read_list(kit, root).serials:
        who = name_of(certificate) or "the peer"
        raise TrustError(f"the certificate of {who} was revoked by the consortium; ask it for a new one")


def _data(kit: Path) -> bytes | None:
    path = kit / REVOKED_NAME
    if not path.exists() and not path.is_symlink():
        return None
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(f"cannot be read ({error.strerror or type(error).__name__}); {_ASK}") from error


def _parse(data: bytes) -> tuple[DenyList, str]:
    try:
        plain = strict_json(data) if len(data) <= MAX_BYTES else None
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or set(plain) != {"list", "signature"} or canonical(plain) != data:
        raise _wrong(f"not in the form that is signed; {_ASK}")
    inner, signed = plain["list"], plain["signature"]
    good = (
        isinstance(inner, dict)
        and set(inner) == _FIELDS
        and isinstance(signed, str)
        and type(inner["number"]) is int
        and 0 < inner["number"] < 10**9
        and _matches(_MADE, inner["made"])
        and isinstance(inner["certificate"], str)
        and len(inner["certificate"]) <= 16_000
        and isinstance(inner["revoked"], list)
        and 0 < len(inner["revoked"]) <= MAX_ENTRIES
    )
    if not good:
        raise _wrong(f"holds a value that no list holds; {_ASK}")
    entries = tuple(_entry(one) for one in inner["revoked"])
    serials = [one.serial for one in entries]
    if serials != sorted(set(serials)):
        raise _wrong(f"its certificates are not sorted, or one stands twice; {_ASK}")
    return DenyList(inner["number"], inner["made"], inner["certificate"], entries), signed


def _entry(plain: Any) -> Revoked:
    right = (
        isinstance(plain, dict)
        and set(plain) == {"serial", "name", "since"}
        and _matches(_SERIAL, plain["serial"])
        and isinstance(plain["name"], str)
        and shown(plain["name"]) == plain["name"]
        and _matches(_MADE, plain["since"])
    )
    if not right:
        raise _wrong(f"holds an entry that is no certificate; {_ASK}")
    return Revoked(**plain)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _wrong(text: str) -> TrustError:
    return TrustError(f"{REVOKED_NAME}: {text}")
