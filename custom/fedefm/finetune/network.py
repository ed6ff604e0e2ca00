"""The network that is tuned, how Theta's weights come into it, and which of its parameters learn how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fedefm.errors import CheckpointError, ConfigError
from fedefm.finetune.lora import add_lora, merge_lora
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.models.build import Weights, take_weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.models.classifier import CLASSIFIER, build_tuned, check_fits
from fedefm.models.spec import ModelSpec


def tuned_spec(settings: FineTune) -> ModelSpec:
    """How a tuned network names itself in its file: a classifier is no segmentation network, and says so."""
    spec = settings.model
    if settings.task != CLASSIFICATION:
        return spec
    return ModelSpec(CLASSIFIER, spec.encoder, {"of": spec.architecture, "options": dict(spec.options)})


def build_seeded(settings: FineTune) -> nn.Module:
    """The network of a job with random weights; the same seed gives the same bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build_tuned(tuned_spec(settings), len(settings.classes), settings.size)


def check_theta(found: Checkpoint, settings: FineTune, where: str) -> None:
    """Refuse a Theta that is not what the job names.

    Raises:
        CheckpointError: another network, image size or fingerprint, or tensors that do not fit.
    """
    if settings.theta_sha256 and found.sha256 != settings.theta_sha256:
        raise CheckpointError(
            f"{where}: SHA-256 is {found.sha256[:12]}..., the job wants {settings.theta_sha256[:12]}..."
        )
    wanted, k = settings.model, len(found.classes) + 1
    if found.spec.architecture_hash(k, found.size) != wanted.architecture_hash(k, settings.size):
        raise CheckpointError(
            f"{where}: holds {found.spec.architecture} with '{found.spec.encoder}' at {found.size} pixels, the job "
            f"wants {wanted.architecture} with '{wanted.encoder}' at {settings.size}; correct its model and size"
        )
    check_fits(found, where)


def start_weights(theta: Checkpoint | None, settings: FineTune) -> Weights:
    """Theta's weights in the network of the job; without a Theta, random ones from the seed.

    Where the classes differ the last layer is new, but a class of the same name, and the background, keep their rows.
    A classifier takes the encoder alone.
    """
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


def open_for_tuning(model: nn.Module, settings: FineTune) -> list[dict[str, Any]]:
    """Freeze and open parameters as the mode says; groups of `params` with their `share` of the learning rate.

    Call `close_tuning` before the weights are taken.
    """
    model.requires_grad_(settings.mode == "full")
    for name, part in model.named_children():
        if is_head(name):
            part.requires_grad_(True)
        elif settings.mode == "lora":
            add_lora(part, settings.rank, settings.alpha)
    by_share: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and share(name, settings) > 0:
            by_share.setdefault(share(name, settings), []).append(parameter)
    return [{"params": parameters, "share": rate} for rate, parameters in by_share.items()]


def close_tuning(model: nn.Module) -> None:
    """Merge what LoRA learned and open every parameter again."""
    merge_lora(model)
    model.requires_grad_(True)


def is_head(name: str) -> bool:
    """Whether a parameter or part belongs to the head."""
    return name.split(".")[0] in ("segmentation_head", "head")


def share(name: str, settings: FineTune) -> float:
    """A parameter's share of the learning rate: general features change least, the head most."""
    if is_head(name):
        return settings.head_rate
    return settings.encoder_rate if name.startswith("encoder.") else settings.decoder_rate


def check_state(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights.

    Raises:
        CheckpointError: they do not fit.
    """
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CheckpointError("the weights do not fit this job's network") from error
