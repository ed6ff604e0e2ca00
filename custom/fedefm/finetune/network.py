"""The network that is tuned, and which of its parameters learn how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fedefm.errors import CheckpointError
from fedefm.finetune.lora import add_lora, merge_lora
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.models.classifier import CLASSIFIER, build_tuned
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
