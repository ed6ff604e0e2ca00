"""The checks of a kit that need the packages of fedefm."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fedefm.doctor import authority, certificates, data, machine, manifest, network, policies
from fedefm.doctor.finding import Finding, failed, failed_with, guarded
from fedefm.errors import ConfigError
from fedefm.flare.site_config import SiteConfig
from fedefm.kits.kit import HOSPITAL, PERSON, SERVER, Kit, open_kit
from fedefm.trust.certificates import utc_now


def participant(
    folder: Path,
    data_folder: Path | None,
    show_names: bool,
    root_fingerprint: str | None,
    offline: bool,
    now: datetime | None,
) -> list[Finding]:
    """All that `fedefm.doctor.examine` says of a kit, or of the folder of the provisioning."""
    now = now or utc_now()
    if authority.is_authority(folder):
        if data_folder is not None or root_fingerprint is not None:
            remedy = "name a kit, the folder that holds startup/"
            return [failed("kit", f"{folder}: the folder of the provisioning has no images and no fingerprint", remedy)]
        return guarded("modes", lambda: authority.modes(folder)) + guarded(
            "certificate", lambda: authority.ends(folder, now)
        )
    try:
        kit = open_kit(folder)
    except ConfigError as error:
        return [failed_with("kit", error)]
    found = _trust(kit, root_fingerprint, now)
    if kit.role != PERSON:
        found += guarded("policy", lambda: policies.policies(kit))
    if kit.role == SERVER:
        found += guarded("disabled hospitals", lambda: manifest.disabled(kit))
    if kit.role == HOSPITAL:
        found += _site(kit, data_folder, show_names)
    if not offline:
        found += guarded("network", lambda: network.reach(kit))
    return found


def _trust(kit: Kit, root_fingerprint: str | None, now: datetime) -> list[Finding]:
    return [
        *guarded("consortium", lambda: manifest.root(kit, root_fingerprint)),
        *guarded("kit", lambda: manifest.files(kit, now)),
        *guarded("clock", lambda: certificates.clock(kit, now)),
        *guarded("certificate", lambda: certificates.dates(kit, now)),
        *guarded("identity", lambda: certificates.identity(kit, now)),
        *guarded("deny list", lambda: manifest.revoked(kit)),
        *guarded("private key", lambda: certificates.private_key(kit)),
    ]


def _site(kit: Kit, data_folder: Path | None, show_names: bool) -> list[Finding]:
    config = data.site_config(kit)
    found = guarded("site", lambda: data.configured(config))
    if isinstance(config, SiteConfig):
        slurm = config.slurm
        found += guarded("GPU", lambda: machine.cluster(slurm) if slurm else machine.gpu(config.device))
    if data_folder is not None:
        found += guarded("data", lambda: data.images(data_folder, show_names))
    return found
