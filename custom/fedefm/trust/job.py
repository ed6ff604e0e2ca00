"""A job folder of FLARE: one manifest in each of its apps, since an app is all that reaches a hospital.

Measured with FLARE 2.9: a hospital receives the files of its app folder, configuration files written anew with the same
content, two signature files of FLARE in each folder, and in a header the content of `meta.json` with keys that the
server added. So each app's manifest binds the content of `meta.json` as it was written, and the name of the app.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fedefm.errors import TrustError
from fedefm.trust.certificates import FORBIDDEN_ROLE, JOB_ROLES
from fedefm.trust.configuration import check_configuration
from fedefm.trust.exact import canonical, strict_json
from fedefm.trust.folder import sign_folder, verify_folder
from fedefm.trust.kinds import JOB, Limits
from fedefm.trust.listing import list_folder
from fedefm.trust.manifest import SignedManifest
from fedefm.trust.names import check_path, shown

META = "meta.json"
MAX_META_BYTES = 100_000
# What FLARE's server adds to meta.json between submission and end; nothing here changes what runs at a site.
SERVER_KEYS = frozenset(
    {"job_id", "job_folder_name", "submitter_name", "submitter_org", "submitter_role", "status", "study", "job_clients"}
    | {"submit_time", "submit_time_iso", "start_time", "duration", "schedule_count", "last_schedule_time"}
    | {"schedule_history", "job_deploy_detail", "data_storage_format", "content_location", "result_location"}
)


def sign_job(job: Path, certificate: Path | x509.Certificate, key: Path | RSAPrivateKey) -> tuple[SignedManifest, ...]:
    """Sign every app of a job folder; before `nvflare job submit`, and anew for each submission.

    Raises:
        TrustError: `meta.json` cannot be used, an app is missing, or something in it cannot be signed, such as code.
    """
    meta = read_meta(job)
    for app in sorted(meta["deploy_map"]):
        check_configuration(one.path for one in list_folder(job / app, JOB))
    return tuple(
        sign_folder(job / app, certificate, key, kind=JOB.name, subject=meta["name"], claims={"app": app, "meta": meta})
        for app in sorted(meta["deploy_map"])
    )


def verify_job(
    job: Path,
    root: Path | x509.Certificate,
    *,
    roles: Collection[str] = JOB_ROLES,
    now: datetime | None = None,
) -> tuple[SignedManifest, ...]:
    """Check every app of a job folder against its manifest and `meta.json`.

    Raises:
        TrustError: one line that names the first thing that is wrong.
    """
    meta = read_meta(job)
    expected = {META, *meta["deploy_map"], *JOB.unsigned_anywhere}
    for name in sorted(one.name for one in job.iterdir()):
        if name not in expected:
            raise TrustError(f"{shown(name)}: in the job folder but in no app of its meta.json; take it out")
    checked = []
    for app in sorted(meta["deploy_map"]):
        checked.append(_verify(job / app, root, meta, app, roles, now))
    return tuple(checked)


def verify_app(
    app: Path,
    root: Path | x509.Certificate,
    job_meta: Mapping[str, Any],
    *,
    app_name: str,
    site: str,
    roles: Collection[str] = JOB_ROLES,
    now: datetime | None = None,
    limits: Limits | None = None,
) -> SignedManifest:
    """Check an app that reached a site.

    Args:
        app: folder with what the server sent.
        root: the root certificate in the site's kit.
        job_meta: as the server sent it.
        app_name: as the server sent it.
        site: the name of this site.
        roles: who may sign jobs.
        now: the time, with its zone; this moment by default.
        limits: the most that an app may hold at this site.

    Raises:
        TrustError: one line that names the first thing that is wrong.
    """
    if str(job_meta.get("submitter_role", "")).strip().casefold() == FORBIDDEN_ROLE:
        raise TrustError(
            f"{META}: submitted with the role {FORBIDDEN_ROLE}, which passes every policy; use another role"
        )
    manifest = _verify(app, root, job_meta, app_name, roles, now, limits)
    _check_destination(manifest.claims["meta"], app_name, site)
    return manifest


def read_meta(job: Path) -> dict[str, Any]:
    """Read a job's `meta.json`, as strictly as a manifest.

    Raises:
        TrustError: no such file, not JSON, without `name` or `deploy_map`, or with a key that the server writes.
    """
    try:
        data = (job / META).read_bytes()
        meta = strict_json(data) if len(data) <= MAX_META_BYTES else None
    except (OSError, ValueError) as error:
        raise TrustError(f"{META}: not readable ({type(error).__name__}); name a FLARE job folder") from error
    if (
        not isinstance(meta, dict)
        or not isinstance(meta.get("name"), str)
        or not isinstance(meta.get("deploy_map"), dict)
    ):
        raise TrustError(f"{META}: needs a 'name' and a 'deploy_map'; name a FLARE job folder")
    for key in sorted(SERVER_KEYS & set(meta)):
        raise TrustError(f"{META}: '{key}' is written by the server; take it out")
    for app in meta["deploy_map"]:
        if "/" in check_path(app):
            raise TrustError(f"{META}: the app {shown(app)} is not the name of a folder; correct 'deploy_map'")
    return meta


def _verify(
    app: Path,
    root: Path | x509.Certificate,
    meta: Mapping[str, Any],
    app_name: str,
    roles: Collection[str],
    now: datetime | None,
    limits: Limits | None = None,
) -> SignedManifest:
    subject = str(meta.get("name"))
    manifest = verify_folder(app, root, kind=JOB.name, subject=subject, roles=roles, now=now, limits=limits)
    if manifest.claims.get("app") != app_name:
        raise TrustError(f"{shown(app_name)}: signed as another app of the job; {JOB.remedy}")
    _check_meta(manifest.claims.get("meta"), meta)
    check_configuration(one.path for one in manifest.files)
    return manifest


def _check_meta(signed: Any, found: Mapping[str, Any]) -> None:
    """Refuse a `meta.json` that says anything else than the signed one, but for what a server adds."""
    if not isinstance(signed, dict):
        raise TrustError(f"{META}: not signed; {JOB.remedy}")
    for key in sorted(signed.keys() | found.keys()):
        if key in SERVER_KEYS:
            continue
        if key not in signed or key not in found or canonical(signed[key]) != canonical(found[key]):
            raise TrustError(f"{META}: '{shown(key)}' is not as it was signed; {JOB.remedy}")


def _check_destination(meta: Mapping[str, Any], app: str, site: str) -> None:
    targets = meta["deploy_map"].get(app) if isinstance(meta.get("deploy_map"), dict) else None
    sites = targets.get("sites") if isinstance(targets, dict) else targets
    if not isinstance(sites, list) or not any(one == site or str(one).upper() == "@ALL" for one in sites):
        raise TrustError(f"{META}: the app {shown(app)} was not signed for {shown(site)}; correct 'deploy_map'")
