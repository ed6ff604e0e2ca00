"""A classifier on a segmentation network's encoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedefm.models.build import build_model, feature_maps
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


def build_tuned(spec: ModelSpec, classes: int, size: int) -> nn.Module:
    """The network of `tuned_spec`, with random weights: Theta's take their place, so no published ones are fetched.

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
