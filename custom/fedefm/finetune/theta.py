"""Where a fine-tune job's Theta comes from, and whether it may be used."""

from __future__ import annotations

from pathlib import Path

from fedefm.errors import CheckpointError
from fedefm.finetune.network import check_theta
from fedefm.finetune.settings import FineTune
from fedefm.models.checkpoint import Checkpoint, load_weights
from fedefm.settings import check_id
from fedefm.trust import JOB_ROLES, verify_folder

THETA_FILE = "theta.safetensors"
MODEL = "model"


def read_theta(path: Path, settings: FineTune, root: Path | None = None, subject: str | None = None) -> Checkpoint:
    """Read a Theta for a job, or refuse it.

    Args:
        path: a file of weights.
        settings: the job that wants it.
        root: the consortium's root certificate. With it, the file's folder must be signed (`fedefm trust sign`).
        subject: under which it must be signed, the job's id at a server; None takes any.

    Raises:
        TrustError: unsigned, signed by someone who may not, or changed since.
        CheckpointError: missing, damaged, of another network or size, or another fingerprint than the job wants.
    """
    if root is not None:
        verify_folder(path.parent, root, kind=MODEL, roles=JOB_ROLES, subject=subject)
    found = load_weights(path)
    check_theta(found, settings, str(path))
    return found


def find_theta(models: Path, theta: str) -> Path:
    """File of the Theta of a finished foundation job in the server's folder of models.

    Raises:
        ConfigError: no id. CheckpointError: there is none.
    """
    path = models / check_id(theta) / THETA_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; put the Theta of job '{theta}' there, or correct the job's 'theta'"
        )
    return path
