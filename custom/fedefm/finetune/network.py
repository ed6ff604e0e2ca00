"""The network that is tuned, how Theta's weights come into it, and which of its parameters learn how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedefm.errors import CheckpointError, ConfigError
from fedefm.finetune.lora import add_lora, merge_lora
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.models.build import Weights, build_model, feature_maps, take_weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.models.spec import ModelSpec

CLASSIFIER = "Classifier"


class Classifier(nn.Module):
    """An encoder with its deepest maps averaged over the image, and a linear head: one logit a class.

    Args:
        encoder: of a segmentation network.
        classes: how many.
        size: side of the images in pixels; a trial image tells the number of channels.
    """

    def __init__(self, encoder: nn.Module, classes: int, size: int):
        super().__init__()
        self.encoder = encoder
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            channels = feature_maps(encoder(torch.zeros(2, 1, size, size)))[-1].shape[1]
        self.head = nn.Linear(channels, classes)

    def forward(self, images: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b k"]:
        """Logits."""
        return self.head(feature_maps(self.encoder(images))[-1].mean((2, 3)))


def tuned_spec(settings: FineTune) -> ModelSpec:
    """How a tuned network names itself in its file: a classifier is no segmentation network, and says so."""
    spec = settings.model
    if settings.task != CLASSIFICATION:
        return spec
    return ModelSpec(CLASSIFIER, spec.encoder, {"of": spec.architecture, "options": dict(spec.options)})


def build_tuned(spec: ModelSpec, classes: int, size: int) -> nn.Module:
    """The network of `tuned_spec`, with random weights: published ones are never fetched, as Theta's come in anyway.

    Args:
        spec: of `tuned_spec`, or of a file.
        classes: foreground classes.
        size: side of the images in pixels.

    Raises:
        ConfigError: as `build_model`.
    """
    if spec.architecture != CLASSIFIER:
        return build_model(spec, classes + 1, size)
    options = spec.options.get("options")
    plain = ModelSpec(str(spec.options.get("of")), spec.encoder, options if isinstance(options, Mapping) else {})
    return Classifier(build_model(plain, 1, size).encoder, classes, size)


def build_seeded(settings: FineTune) -> nn.Module:
    """The network of a job with random weights; the same seed gives the same bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build_tuned(tuned_spec(settings), len(settings.classes), settings.size)


def check_fits(found: Checkpoint, where: str) -> None:
    """Refuse a file whose tensors are not those of the network that its header names.

    Raises:
        CheckpointError: so; ConfigError: there is no such network.
    """
    schema = {
        name: value.shape
        for name, value in build_tuned(found.spec, len(found.classes), found.size).state_dict().items()
    }
    if {name: value.shape for name, value in found.weights.items()} != schema:
        raise CheckpointError(
            f"{where}: its tensors are not those of {found.spec.architecture} with {len(found.classes)} classes; "
            "fetch it again"
        )


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
