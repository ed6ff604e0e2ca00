"""Sign a job after a look at its settings: what a job would refuse at every site is refused before it is signed."""

from __future__ import annotations

from pathlib import Path

from fedefm.flare.job_summary import TENSORS, read_settings
from fedefm.models.outline import outline
from fedefm.trust import SignedManifest, sign_job
from fedefm.trust.job import read_meta


def sign_checked(job: Path, certificate: Path, key: Path) -> tuple[SignedManifest, ...]:
    """Sign every app of a job folder whose settings can be used.

    Args:
        job: the job folder.
        certificate: of who signs.
        key: its private key.

    Raises:
        ConfigError: a setting is unknown or out of range, or its network cannot be built.
        TrustError: the folder is no job, or holds what no job may hold.
    """
    for app in sorted(read_meta(job)["deploy_map"]):
        check_settings(job / app)
    return sign_job(job, certificate, key)


def check_settings(app: Path) -> None:
    """Read the settings of an app as its job does, and lay out its network. A job of another kind is let through.

    Raises:
        ConfigError: a setting is unknown or out of range, or the network cannot be built.
    """
    found = read_settings(app)
    spec = getattr(found, "model", None)
    if spec is not None:
        outline(spec, len(found.classes), found.size, TENSORS)
