"""Certificates of a kit: dates, issuer, name, private key; and the clock that the dates are read by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from fedefm.doctor.finding import Finding, failed, failed_with, passed, warned
from fedefm.errors import TrustError
from fedefm.kits.kit import Kit
from fedefm.trust import lint_certificates
from fedefm.trust.certificates import (
    check_issued,
    check_pair,
    check_private,
    check_root,
    load_certificate,
    load_key,
    name_of,
)
from fedefm.trust.folder import MANIFEST_NAME
from fedefm.trust.manifest import MAX_MANIFEST_BYTES, parse_manifest

SLOW = timedelta(minutes=5)


def dates(kit: Kit, now: datetime) -> Iterator[Finding]:
    """Every certificate of the kit is valid now, and for 30 days more."""
    for found in lint_certificates([kit.root, kit.certificate], now):
        text, _, remedy = found.text.rpartition("; ")
        if found.level == "pass":
            yield passed("certificate", found.text)
        else:
            yield (warned if found.level == "warn" else failed)("certificate", text, remedy)


def identity(kit: Kit, now: datetime) -> Iterator[Finding]:
    """The certificate is this participant's, from this consortium."""
    try:
        root, own = load_certificate(kit.root), load_certificate(kit.certificate)
        check_root(root, now)
        check_issued(own, root, now, kit.certificate.name)
    except TrustError as error:
        yield failed_with("identity", error)
        return
    if name_of(own) != kit.name:
        yield failed(
            "identity",
            f"{kit.certificate.name} was made for {name_of(own) or 'nobody'}, the kit for {kit.name}",
            "fetch the kit again from the consortium's administrator",
        )
        return
    yield passed("identity", f"{kit.name}, a certificate of this consortium")


def private_key(kit: Kit) -> Iterator[Finding]:
    """The private key is that of the certificate, and only its owner may read it."""
    try:
        check_private(kit.key)
        check_pair(load_certificate(kit.certificate), load_key(kit.key), kit.key.name)
    except TrustError as error:
        yield failed_with("private key", error)
        return
    yield passed("private key", f"{kit.key.name} belongs to the certificate and can be read by its owner alone")


def clock(kit: Kit, now: datetime) -> Iterator[Finding]:
    """This machine's clock is not slow: the kit was made before now. A fast clock shows as certificates out of date."""
    made = [load_certificate(path).not_valid_before_utc for path in (kit.root, kit.certificate)]
    if (kit.folder / MANIFEST_NAME).is_file():
        with (kit.folder / MANIFEST_NAME).open("rb") as file:
            text = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1)).made
        made.append(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    if now < max(made) - SLOW:
        yield failed(
            "clock", f"it is {now:%Y-%m-%d %H:%M} UTC here, the kit was made {max(made):%Y-%m-%d %H:%M}", "set up NTP"
        )
        return
    yield passed("clock", f"{now:%Y-%m-%d %H:%M} UTC, after the kit was made")
