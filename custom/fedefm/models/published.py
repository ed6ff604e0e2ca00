"""Start weights whose encoder comes from a published file, for machines that reach no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fedefm.errors import CheckpointError, ConfigError
from fedefm.models.build import Weights, initial_weights
from fedefm.models.checkpoint import save_weights
from fedefm.models.schema import misvalued
from fedefm.models.spec import ModelSpec

PREFIX, ENCODER = "tu-", "encoder."
LEAST_TAKEN = 0.9  # of the weights of the encoder's layers; a few belong to parts that a file may lack


def write_start(path: Path, spec: ModelSpec, classes: Sequence[str], size: int, seed: int, encoder: Path | None) -> str:
    """Write start weights: all from the seed, but for the encoder's where a file of them is given.

    The file is that of timm's own network of the encoder's name, as it is published; its classifier is left out, the
    weights of its three colours are added up to one grey channel, and BatchNorm's scale and shift become GroupNorm's.

    Args:
        path: the new file.
        spec: the network; with a file its encoder must be one of timm (`tu-...`).
        classes: foreground class names, in label order.
        size: side of the images in pixels.
        seed: of all weights that are random.
        encoder: safetensors file of published weights.

    Returns:
        The fingerprint of the start weights.

    Raises:
        CheckpointError: the file is none, or its weights are of another network.
        ConfigError: there is no such network, or `path` cannot be written.
    """
    if encoder is not None:
        _check(encoder, spec)
    weights = initial_weights(spec, len(classes) + 1, size, seed)
    if encoder is not None:
        weights = _with_encoder(weights, spec, len(classes) + 1, size, seed, encoder)
        spec = replace(spec, pretrained=encoder.name)
    return save_weights(path, weights, spec=spec, classes=classes, size=size)


def _with_encoder(plain: Weights, spec: ModelSpec, classes: int, size: int, seed: int, encoder: Path) -> Weights:
    try:
        found = initial_weights(spec, classes, size, seed, encoder)
    except ConfigError as error:
        raise CheckpointError(f"{encoder.name}: cannot be taken for {spec.encoder}; {error}") from error
    # timm takes what it knows by name and leaves the rest random: then the file is of another network.
    known = [name for name, value in plain.items() if name.startswith(ENCODER) and value.ndim > 1]
    taken = sum(plain[name].numel() for name in known if not torch.equal(plain[name], found[name]))
    whole = sum(plain[name].numel() for name in known)
    if taken < LEAST_TAKEN * whole:
        raise CheckpointError(f"{encoder.name}: does not fit {spec.encoder}; it has {taken} of its {whole} weights")
    if reason := misvalued(found):
        raise CheckpointError(f"{encoder.name}: {reason}; take another file")
    return found


def _check(encoder: Path, spec: ModelSpec) -> None:
    if not spec.encoder.startswith(PREFIX):
        raise ConfigError(
            f"--encoder takes weights of timm; write the network as {PREFIX}NAME, such as Unet:tu-resnet34"
        )
    if encoder.suffix != ".safetensors":
        raise CheckpointError(
            f"{encoder.name}: only safetensors is read; take the page's model.safetensors, no .bin or .pth"
        )
    if not encoder.is_file():
        raise CheckpointError(f"{encoder.name}: no such file")
