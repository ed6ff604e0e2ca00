"""All checks of a kit, in the order in which a person mends them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fedefm.doctor import certificates, data, machine, manifest, network, policies
from fedefm.doctor.finding import FAIL, Finding, failed_with, guarded
from fedefm.doctor.kit import HOSPITAL, PERSON, Kit, open_kit
from fedefm.errors import ConfigError
from fedefm.flare.site_config import SiteConfig
from fedefm.trust.certificates import utc_now


def examine(
    folder: Path,
    *,
    data_folder: Path | None = None,
    root_fingerprint: str | None = None,
    offline: bool = False,
    now: datetime | None = None,
) -> list[Finding]:
    """Look at a kit and the machine that it lies on; writes nothing.

    Args:
        folder: the kit.
        data_folder: read every image there; without it only that the site's configured folder exists.
        root_fingerprint: of the consortium's root certificate, as it came by another way than the kit.
        offline: do not try to reach the server.
        now: the time, with its zone; this moment by default.
    """
    now = now or utc_now()
    found = guarded("Python", machine.python) + guarded("packages", machine.packages)
    found += guarded("disk", lambda: machine.disk(folder)) + guarded("memory", machine.memory)
    try:
        kit = open_kit(folder)
    except ConfigError as error:
        return [*found, failed_with("kit", error)]
    found += _trust(kit, root_fingerprint, now)
    if kit.role != PERSON:
        found += guarded("policy", lambda: policies.policies(kit))
    if kit.role == HOSPITAL:
        found += _site(kit, data_folder)
    if not offline:
        found += guarded("network", lambda: network.reach(kit))
    return found


def ok(found: list[Finding]) -> bool:
    """Nothing failed."""
    return all(one.status != FAIL for one in found)


def _trust(kit: Kit, root_fingerprint: str | None, now: datetime) -> list[Finding]:
    return [
        *guarded("consortium", lambda: manifest.root(kit, root_fingerprint)),
        *guarded("kit", lambda: manifest.files(kit, now)),
        *guarded("clock", lambda: certificates.clock(kit, now)),
        *guarded("certificate", lambda: certificates.dates(kit, now)),
        *guarded("identity", lambda: certificates.identity(kit, now)),
        *guarded("private key", lambda: certificates.private_key(kit)),
    ]


def _site(kit: Kit, data_folder: Path | None) -> list[Finding]:
    config = data.site_config(kit)
    found = guarded("site", lambda: data.configured(config))
    if isinstance(config, SiteConfig):
        found += guarded("GPU", lambda: machine.gpu(config.device))
    if data_folder is not None:
        found += guarded("data", lambda: data.images(data_folder))
    return found
