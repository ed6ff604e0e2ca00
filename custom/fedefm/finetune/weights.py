"""A fine-tune job's weights on their way in and out: Theta from its file into the job's network, tuned ones to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from fedefm.errors import ConfigError
from fedefm.finetune.network import build_seeded, tuned_spec
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.models.assurance import Assurance
from fedefm.models.build import Weights, take_weights
from fedefm.models.checkpoint import Checkpoint, save_weights
from fedefm.training.theta import check_named

TUNED_FILE = "tuned.safetensors"


def check_theta(found: Checkpoint, settings: FineTune) -> None:
    """Refuse a Theta that is not what the job names.

    Raises:
        CheckpointError: another network, image size or fingerprint.
    """
    check_named(found, settings.model, settings.size, settings.theta_sha256)


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


def save_tuned(settings: FineTune, weights: Weights, path: Path, assurance: Assurance | None = None) -> str:
    """Write weights of a job's network, with what was measured of them; their fingerprint.

    Raises:
        ConfigError: the file cannot be written.
    """
    return save_weights(
        path, weights, spec=tuned_spec(settings), classes=settings.classes, size=settings.size, assurance=assurance
    )


def publish(settings: FineTune, weights: Weights | None, folder: Path) -> dict[str, str] | None:
    """Write what a federated job leaves; path (relative to `folder`) and SHA-256. None where hospitals kept their own.

    Raises:
        ConfigError: the file cannot be written.
    """
    if weights is None:
        return None
    return {"path": TUNED_FILE, "sha256": save_tuned(settings, weights, folder / TUNED_FILE)}
