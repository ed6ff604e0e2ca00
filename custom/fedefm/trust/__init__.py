"""Who vouches for a folder: one signed manifest over a hospital's kit, a job or models, checked before anything starts.

FLARE signs each file by itself, without its path: a file can be deleted, swapped or moved in unnoticed. Here one
list of all paths, sizes and SHA-256 values is signed once, together with the kind (`kit`, `job`, `model` or `report`)
and the name of the participant or the job.

    sign_folder(folder, certificate, key, kind=..., subject=...)   -> SignedManifest; writes two files into the folder
    verify_folder(folder, root, kind=..., subject=..., roles=...)  -> SignedManifest, or TrustError with one line

    sign_job(job, certificate, key)                                -> one manifest in each app of a FLARE job folder
    verify_job(job, root, roles=JOB_ROLES)                         -> checks them all
    verify_app(app, root, job_meta, app_name=..., site=...)        -> what a hospital checks: the app that reached it
    fingerprint(root)                                              -> what the consortium prints on paper

A kit is signed by the consortium's root key itself (`roles=KIT_ROLES`): whoever provisions holds that key anyway and
keeps it off line, while an administrator's key works every day on a laptop and must not be able to rewrite a hospital's
policies. A job is signed by a person, `lead` or `project_admin` (`roles=JOB_ROLES`); the role is the one that
`nvflare provision` writes into the certificate. Certificates of sites and servers carry no role: they sign nothing.

All that is read here is read by hand, with no library but `cryptography`: these bytes come before any trust, so there
is exactly one text for each manifest, and as little code as can be between a byte and its refusal.
"""

from fedefm.trust.certificates import JOB_ROLES, KIT_ROLES, CertificateFinding, fingerprint, lint_certificates
from fedefm.trust.disabled import read_disabled
from fedefm.trust.folder import sign_folder, verify_folder
from fedefm.trust.job import sign_job, verify_app, verify_job
from fedefm.trust.kinds import MANIFEST_NAME, SIGNATURE_NAME, Limits
from fedefm.trust.manifest import SignedManifest

__all__ = [
    "JOB_ROLES",
    "KIT_ROLES",
    "MANIFEST_NAME",
    "SIGNATURE_NAME",
    "CertificateFinding",
    "Limits",
    "SignedManifest",
    "fingerprint",
    "lint_certificates",
    "read_disabled",
    "sign_folder",
    "sign_job",
    "verify_app",
    "verify_folder",
    "verify_job",
]
