"""The Theta of an earlier job as the start of a new one: found, read and checked."""

from __future__ import annotations

from pathlib import Path

from fedefm.errors import CheckpointError
from fedefm.models.checkpoint import THETA_FILE, Checkpoint, load_weights
from fedefm.models.classifier import CLASSIFIER
from fedefm.models.spec import ModelSpec
from fedefm.settings import check_id
from fedefm.trust import JOB_ROLES, Limits, verify_folder

MODEL = "model"


def find_theta(models: Path, theta: str) -> Path:
    """File of the Theta of a finished foundation job in the server's folder of models.

    Raises:
        ConfigError: no id. CheckpointError: there is none.
    """
    path = models / check_id(theta) / THETA_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; put the Theta of job '{theta}' there, or correct the job's settings"
        )
    return path


def read_theta(
    path: Path, root: Path | None = None, subject: str | None = None, limits: Limits | None = None
) -> Checkpoint:
    """Read a Theta, once a command: all later steps take the value that comes from here.

    Args:
        path: a file of weights.
        root: the consortium's root certificate. With it, the file's folder must be signed (`fedefm trust sign`).
        subject: under which it must be signed, the job's id at a server; None takes any.
        limits: the most that the signed folder may hold.

    Raises:
        TrustError: unsigned, signed by someone who may not, or changed since.
        CheckpointError: missing or damaged, a classifier, which is no Theta, or tensors that do not fit its header.
    """
    if root is not None:
        verify_folder(path.parent, root, kind=MODEL, roles=JOB_ROLES, subject=subject, limits=limits)
    found = load_weights(path)
    if found.spec.architecture == CLASSIFIER:
        raise CheckpointError(f"{path}: a fine-tuned classifier; start from the Theta that it came from")
    return found


def check_named(found: Checkpoint, spec: ModelSpec, size: int, sha256: str) -> None:
    """Refuse a Theta that is not what a job names.

    Args:
        found: what was read.
        spec: the job's network.
        size: side of its images in pixels.
        sha256: fingerprint that Theta must have; empty takes any.

    Raises:
        CheckpointError: another network, image size or fingerprint.
    """
    if sha256 and found.sha256 != sha256:
        raise CheckpointError(f"{found.file}: SHA-256 is {found.sha256[:12]}..., the job wants {sha256[:12]}...")
    k = len(found.classes) + 1
    if found.spec.architecture_hash(k, found.size) != spec.architecture_hash(k, size):
        raise CheckpointError(
            f"{found.file}: holds {found.spec.architecture} with '{found.spec.encoder}' at {found.size} pixels, "
            f"the job wants {spec.architecture} with '{spec.encoder}' at {size}; correct its model and size"
        )
