"""Sign a folder, and verify it."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from fedefm.errors import TrustError
from fedefm.files import write_together
from fedefm.trust import signature
from fedefm.trust.certificates import (
    check_issued,
    check_pair,
    check_root,
    load_certificate,
    load_key,
    name_of,
    role_of,
    utc_now,
)
from fedefm.trust.compare import check_same
from fedefm.trust.kinds import MANIFEST_NAME, SIGNATURE_NAME, Limits, kind_named
from fedefm.trust.listing import list_folder
from fedefm.trust.manifest import MAX_MANIFEST_BYTES, SignedManifest, parse_manifest
from fedefm.trust.names import shown


def sign_folder(
    folder: Path,
    certificate: Path | x509.Certificate,
    key: Path | RSAPrivateKey,
    *,
    kind: str,
    subject: str,
    claims: Mapping[str, Any] | None = None,
) -> SignedManifest:
    """Write `fedefm-manifest.json` and `fedefm-manifest.sig` into a folder.

    Sign last: what changes afterwards is refused. What a kind leaves unsigned stands in `fedefm.trust.kinds`.

    Args:
        folder: a kit, or an app folder of a job.
        certificate: of the signer; for a kit the consortium's root.
        key: its private key; as a file it must be its owner's alone.
        kind: `kit`, `job`, `model` or `report`.
        subject: name of the kit's participant, or of the job.
        claims: further facts to bind, as plain JSON values.

    Raises:
        TrustError: something in the folder cannot be signed, or the key is not that of the certificate.
        ConfigError: the folder cannot be written.
    """
    signer, private = load_certificate(certificate), load_key(key)
    check_pair(signer, private, "key")
    manifest = SignedManifest(
        kind=kind,
        subject=subject,
        made=utc_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        serial=secrets.token_hex(16),
        certificate=signer.public_bytes(Encoding.PEM).decode("ascii"),
        files=list_folder(folder, kind_named(kind)),
        claims=dict(claims or {}),
    )
    data = manifest.to_bytes()
    parse_manifest(data)  # what nobody could read must not be signed
    write_together(folder, {SIGNATURE_NAME: signature.sign(data, private), MANIFEST_NAME: data}, mode=0o600)
    return manifest


def verify_folder(
    folder: Path,
    root: Path | x509.Certificate,
    *,
    kind: str,
    roles: Collection[str],
    subject: str | None = None,
    now: datetime | None = None,
    limits: Limits | None = None,
) -> SignedManifest:
    """Check that a folder is what somebody with one of `roles` signed; nothing is written.

    Args:
        folder: a kit, or an app folder of a job.
        root: the consortium's root certificate; whoever calls must know it to be the right one.
        kind: `kit`, `job`, `model` or `report`.
        roles: who may sign: `KIT_ROLES` or `JOB_ROLES`.
        subject: the name that it must have been signed for; None allows any.
        now: the time, with its zone; this moment by default.
        limits: the most that it may hold; those of the kind by default.

    Raises:
        TrustError: one line that names the first thing that is wrong, and what to do.
    """
    manifest = read_signed(folder, root, roles=roles, now=now)
    if manifest.kind != kind:
        raise TrustError(f"{MANIFEST_NAME}: made for a {manifest.kind}, not for a {kind}; name the right folder")
    if subject is not None and manifest.subject != subject:
        raise TrustError(
            f"{MANIFEST_NAME}: made for {shown(manifest.subject)}, not for {shown(subject)}; {kind_named(kind).remedy}"
        )
    check_same(manifest.files, list_folder(folder, kind_named(kind), limits), kind_named(kind).remedy)
    return manifest


def read_signed(
    folder: Path, root: Path | x509.Certificate, *, roles: Collection[str], now: datetime | None = None
) -> SignedManifest:
    """The manifest of a folder, once its signature, signer and dates are checked; not yet the files.

    Raises:
        TrustError: unsigned, or signed by someone who may not.
    """
    data = _read(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(data)
    signer = load_certificate(manifest.certificate.encode(), "the signer's certificate")
    signature.check(data, _read(folder / SIGNATURE_NAME, signature.MAX_SIGNATURE_BYTES), signer)
    check_signer(signer, load_certificate(root), roles, now or utc_now())
    return manifest


def check_signer(signer: x509.Certificate, root: x509.Certificate, roles: Collection[str], now: datetime) -> None:
    """Refuse a signer whom this consortium did not give one of the roles.

    Raises:
        TrustError: another CA, out of time, or a certificate of a site, of a server or of another role.
    """
    check_root(root, now)
    who = f"the certificate of {name_of(signer) or 'the signer'}"
    check_issued(signer, root, now, who)
    role = role_of(signer, root)
    if not role or role not in roles:
        raise TrustError(
            f"{who}: may not sign this, its role is {role or 'none'}; have it signed by {' or '.join(sorted(roles))}"
        )


def _read(path: Path, limit: int) -> bytes:
    """Bytes of a regular file, at most one more than `limit`."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise TrustError(f"{path.name}: a link or device, not a file; have the folder signed again")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise TrustError(f"{path.name}: missing, the folder is not signed; have it signed by the consortium") from error
    if len(data) > limit:
        raise TrustError(f"{path.name}: more than {limit} bytes; have the folder signed again")
    return data
