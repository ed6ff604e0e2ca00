"""A fine-tune job's weights on their way in and out: Theta from its file into the job's network, tuned ones to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from fedefm.errors import CheckpointError, ConfigError
from fedefm.finetune.network import build_seeded, tuned_spec
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.models.build import Weights, take_weights
from fedefm.models.checkpoint import THETA_FILE, Checkpoint, load_weights, save_weights
from fedefm.models.classifier import CLASSIFIER
from fedefm.settings import check_id
from fedefm.trust import JOB_ROLES, Limits, verify_folder

MODEL = "model"
TUNED_FILE = "tuned.safetensors"


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


def check_theta(found: Checkpoint, settings: FineTune) -> None:
    """Refuse a Theta that is not what the job names.

    Raises:
        CheckpointError: another network, image size or fingerprint.
    """
    if settings.theta_sha256 and found.sha256 != settings.theta_sha256:
        raise CheckpointError(
            f"{found.file}: SHA-256 is {found.sha256[:12]}..., the job wants {settings.theta_sha256[:12]}..."
        )
    wanted, k = settings.model, len(found.classes) + 1
    if found.spec.architecture_hash(k, found.size) != wanted.architecture_hash(k, settings.size):
        raise CheckpointError(
            f"{found.file}: holds {found.spec.architecture} with '{found.spec.encoder}' at {found.size} pixels, "
            f"the job wants {wanted.architecture} with '{wanted.encoder}' at {settings.size}; "
            "correct its model and size"
        )


def with_theta_named(settings: FineTune, theta: Checkpoint | None) -> FineTune:
    """The settings with the fingerprint of the Theta that was read: then they fix the start weights alone."""
    return settings if theta is None else replace(settings, theta_sha256=theta.sha256)


def start_weights(theta: Checkpoint | None, settings: FineTune) -> Weights:
    """Theta's weights in the network of the job; without a Theta, random ones from the seed.

    Where the classes differ the last layer is new, but a class of the same name, and the background, keep their rows.
    A classifier takes the encoder alone.

    Raises:
        CheckpointError: as `check_theta`.
    """
    if theta is not None:
        check_theta(theta, settings)
    model = build_seeded(settings)
    weights = take_weights(model)
    if theta is None:
        return weights
    rows = set() if settings.task == CLASSIFICATION else _last_layer(model)
    shared = {name for name in weights if name in theta.weights and name not in rows and _carries(name, settings)}
    weights |= {name: theta.weights[name].clone() for name in shared}
    for name in rows:
        _copy_rows(weights[name], theta.weights[name], settings.classes, theta.classes)
    return weights


def _carries(name: str, settings: FineTune) -> bool:
    return settings.task != CLASSIFICATION or name.startswith("encoder.")


def _last_layer(model: nn.Module) -> set[str]:
    """Names of the tensors with one row an output channel."""
    found = [name for name, part in model.segmentation_head.named_modules() if isinstance(part, nn.Conv2d)]
    if not found:
        raise ConfigError("model: its head has no convolution to put new classes into; choose another architecture")
    return {name for name in model.state_dict() if name.startswith(f"segmentation_head.{found[-1]}.")}


def _copy_rows(new: Tensor, old: Tensor, classes: Sequence[str], known: Sequence[str]) -> None:
    new[0] = old[0]
    for row, name in enumerate(classes, 1):
        if name in known:
            new[row] = old[1 + known.index(name)]


def save_tuned(settings: FineTune, weights: Weights, path: Path) -> str:
    """Write weights of a job's network; their fingerprint.

    Raises:
        ConfigError: the file cannot be written.
    """
    return save_weights(path, weights, spec=tuned_spec(settings), classes=settings.classes, size=settings.size)


def publish(settings: FineTune, weights: Weights | None, folder: Path) -> dict[str, str] | None:
    """Write what a federated job leaves; path (relative to `folder`) and SHA-256. None where hospitals kept their own.

    Raises:
        ConfigError: the file cannot be written.
    """
    if weights is None:
        return None
    return {"path": TUNED_FILE, "sha256": save_tuned(settings, weights, folder / TUNED_FILE)}
