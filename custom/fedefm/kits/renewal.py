"""A new kit in the place of a site's old one, with what must outlive it.

Without the ledger of jobs an old job could run again, without the deny list a revoked certificate would be good again,
and a server would forget whom it has suspended. `provisioning/kubernetes/kit.sh` does the same in a pod.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.kits.kit import PERSON, Kit, open_kit
from fedefm.trust import KIT_ROLES, verify_folder
from fedefm.trust.certificates import check_pair, load_certificate, load_key
from fedefm.trust.disabled import DISABLED_NAME
from fedefm.trust.kinds import PEERS_NAME, REVOKED_NAME, TEXT, WAITING_NAME
from fedefm.trust.ledger import JOBS, OUTBOX

KEPT = (OUTBOX, JOBS, REVOKED_NAME, PEERS_NAME, DISABLED_NAME, "audit.log", "local/fedefm_server.json")
OWN = "local/fedefm_site.json"  # a hospital's own; in a pod it comes from the cluster
_BESIDE = ("", ".0*", ".head")  # a ledger's closed parts, and its last hash


def renew(kit: Kit, archive: Path) -> Path:
    """Put the kit of a zip in the place of one that does not run.

    Args:
        kit: the site's, as it is.
        archive: the zip that the consortium sent.

    Returns:
        The folder of the old kit, which holds the old key.

    Raises:
        ConfigError: no such zip, it is another participant's or the same kit, or an earlier old kit is in the way.
        TrustError: its kit was not signed by this consortium, or the key does not belong to its certificate.
    """
    if kit.role == PERSON:
        raise ConfigError(f"{kit.folder}: a person's kit; nothing in it must be kept, so unpack the new one instead")
    place = kit.folder.resolve()
    old = place.with_name(f"{place.name}.old")
    if old.exists():
        raise ConfigError(f"{old}: is there from an earlier renewal; delete it or move it away, then try again")
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fedefm-") as folder:
        new = _unpacked(archive, Path(folder))
        _check(new, kit, archive)
        for name in (*KEPT, OWN):
            for path in (found for end in _BESIDE for found in kit.folder.glob(name + end)):
                shutil.copy2(path, new.folder / path.relative_to(kit.folder))
        if (kit.folder / WAITING_NAME).is_dir():
            shutil.copytree(kit.folder / WAITING_NAME, new.folder / WAITING_NAME)
        place.rename(old)
        try:
            new.folder.rename(place)
        except OSError:
            old.rename(place)
            raise
    return old


def _unpacked(archive: Path, folder: Path) -> Kit:
    """The kit of a zip, for its owner alone."""
    try:
        with zipfile.ZipFile(archive) as packed:
            if sum(one.file_size for one in packed.infolist()) > TEXT.bytes:
                raise ConfigError(f"{archive}: larger than any kit; ask the consortium for the zip of yours")
            for one in packed.infolist():
                path = Path(packed.extract(one, folder))
                path.chmod(0o700 if path.is_dir() else one.external_attr >> 16 & 0o700 | 0o600)
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{archive}: cannot be unpacked ({type(error).__name__}: {error}); copy it again") from error
    found = [path for path in folder.iterdir() if path.is_dir()]
    if len(found) != 1:
        raise ConfigError(f"{archive}: holds no kit; ask the consortium for the zip of yours")
    return open_kit(found[0])


def _check(new: Kit, kit: Kit, archive: Path) -> None:
    if (new.role, new.name) != (kit.role, kit.name):
        raise ConfigError(
            f"{archive}: the kit of {new.name}, and {kit.folder} is that of {kit.name}; name the right one"
        )
    certificate = load_certificate(new.certificate)
    if certificate == load_certificate(kit.certificate):
        raise ConfigError(f"{archive}: holds the certificate that {kit.folder} has; ask for one that was renewed")
    verify_folder(new.folder, kit.root, kind="kit", subject=kit.name, roles=KIT_ROLES)
    if not new.key.is_file():  # of a site that made its own key
        shutil.copy2(kit.key, new.key)
    check_pair(certificate, load_key(new.key), new.certificate.name)
