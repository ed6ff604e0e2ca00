"""The signed manifest of a kit; an unchanged kit keeps the one that it has."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fedefm.errors import TrustError
from fedefm.trust import KIT_ROLES, MANIFEST_NAME, SIGNATURE_NAME, sign_folder, verify_folder


def seal(kit: Path, subject: str, root: x509.Certificate, key: RSAPrivateKey, previous: Path | None = None) -> bool:
    """Sign a kit with the consortium's root key, unless the manifest of its last version still holds.

    Args:
        kit: the finished folder.
        subject: the participant's name.
        root: the consortium's root certificate.
        key: its key.
        previous: the kit that the participant has already, if any.

    Returns:
        Whether the kit was signed anew: it differs from the last one, and the participant needs it.

    Raises:
        TrustError: something in the kit cannot be signed.
    """
    if previous is not None and _keeps(kit, subject, root, previous):
        return False
    sign_folder(kit, root, key, kind="kit", subject=subject)
    return True


def _keeps(kit: Path, subject: str, root: x509.Certificate, previous: Path) -> bool:
    """Copy the last manifest if it is that of this very kit."""
    names = (MANIFEST_NAME, SIGNATURE_NAME)
    if not all((previous / name).is_file() for name in names):
        return False
    for name in names:
        shutil.copy(previous / name, kit / name)
    try:
        verify_folder(kit, root, kind="kit", subject=subject, roles=KIT_ROLES)
    except TrustError:
        for name in names:
            (kit / name).unlink()
        return False
    return True
