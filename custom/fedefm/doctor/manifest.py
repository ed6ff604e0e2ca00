"""The kit is what the consortium signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from fedefm.doctor.finding import Finding, failed, failed_with, passed, warned
from fedefm.errors import TrustError
from fedefm.kits.kit import Kit
from fedefm.trust import KIT_ROLES, fingerprint, read_disabled, verify_folder
from fedefm.trust.certificates import load_certificate, same_fingerprint
from fedefm.trust.revoked import read_list, serial_of


def root(kit: Kit, printed: str | None) -> Iterator[Finding]:
    """The root certificate in the kit is the consortium's.

    Whoever replaces the whole kit replaces its root too, so nothing inside the kit can vouch for it: only what came by
    another way does, such as a letter.
    """
    try:
        found = fingerprint(kit.root)
    except TrustError as error:
        yield failed_with("consortium", error)
        return
    if printed is None:
        yield warned(
            "consortium",
            f"rootCA.pem has the fingerprint {found}",
            "compare it with the consortium's letter, or give that as --root-fingerprint",
        )
    elif same_fingerprint(printed, found):
        yield passed("consortium", "rootCA.pem has the fingerprint that was given")
    else:
        yield failed(
            "consortium",
            f"rootCA.pem has the fingerprint {found}, not the one that was given",
            "do not start; fetch the kit again and call the consortium's administrator",
        )


def files(kit: Kit, now: datetime) -> Iterator[Finding]:
    """Every file of the kit is as it was signed, none is missing or added, and modes are tight."""
    try:
        signed = verify_folder(kit.folder, kit.root, kind="kit", subject=kit.name, roles=KIT_ROLES, now=now)
    except TrustError as error:
        yield failed_with("kit", error)
        return
    yield passed("kit", f"{len(signed.files)} files as signed for {signed.subject} on {signed.made[:10]}")


def disabled(kit: Kit) -> Iterator[Finding]:
    """Whom a server shuts out, as `nvflare system disable-client` left it."""
    try:
        names = read_disabled(kit.folder)
    except TrustError as error:
        yield failed_with("disabled hospitals", error)
        return
    if not names:
        yield passed("disabled hospitals", "none")
        return
    remedy = "well if they are suspended, removed or revoked; `fedefm consortium resume NAME --kit ...` lets one in"
    yield warned("disabled hospitals", f"{', '.join(names)} may not connect", remedy)


def revoked(kit: Kit) -> Iterator[Finding]:
    """The deny list of the consortium is whole, and this kit's own certificate is not on it."""
    try:
        found = read_list(kit.folder, kit.root)
        if serial_of(load_certificate(kit.certificate)) in found.serials:
            text = f"the certificate of this kit was revoked ({found.made[:10]})"
            yield failed("deny list", text, "ask the consortium's administrator for a new kit")
            return
    except TrustError as error:
        yield failed_with("deny list", error)
        return
    if not found.number:
        yield passed("deny list", "none has come yet")
    else:
        yield passed("deny list", f"number {found.number} of {found.made[:10]}, {len(found.revoked)} certificates")
