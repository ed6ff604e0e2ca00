"""The network that a checkpoint holds the weights of."""

from __future__ import annotations

from torch import nn

from fedefm.errors import CheckpointError, ConfigError
from fedefm.models.build import build_model
from fedefm.models.checkpoint import Checkpoint


def restore(checkpoint: Checkpoint, whose: str = "the weights") -> nn.Module:
    """Build a checkpoint's segmentation network on the CPU and load it, ready to predict.

    Args:
        checkpoint: of `load_weights`.
        whose: what an error calls the weights, such as their file.

    Raises:
        CheckpointError: the weights do not fit their architecture, or that is no segmentation network.
    """
    spec = checkpoint.spec
    network = f"{spec.architecture} with '{spec.encoder}'"
    try:
        model = build_model(spec, len(checkpoint.classes) + 1, checkpoint.size)
    except ConfigError as error:
        text = f"{whose}: for {network}, no segmentation network that can be built here; {error}"
        raise CheckpointError(text) from error
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{whose}: not those of {network}") from error
    return model.eval()
