"""Distillation from one expert (Eq. 11), class-aware and weighted."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from fedefm.errors import ConfigError
from fedefm.losses.corpus import fold_log_probabilities
from fedefm.losses.segmentation import foundation_loss


def distillation_loss(
    student: Float[Tensor, "b k h w"],
    teacher: Float[Tensor, "b k h w"],
    channels: Sequence[int],
    temperature: float,
    pixel_weight: Float[Tensor, "b h w"] | None = None,
) -> Float[Tensor, " b"]:
    """T^2 L_c(Q^tau_S, Q^tau_T) of each image, with Q^tau = softmax(logits / T); the teacher gets no gradient.

    Args:
        student: logits of the network that learns.
        teacher: logits of the expert, same shape.
        channels: classes that the expert's host annotates; it is asked about these, the others are folded together.
            All foreground channels give the plain distillation of the paper.
        temperature: T.
        pixel_weight: weight of every pixel (regional weights); None weighs all by 1.

    Raises:
        ConfigError: T is not above 0, or there is no channel to ask about.
    """
    if temperature <= 0 or not channels:
        raise ConfigError("distillation: the temperature must be above 0 and the teacher's label corpus not empty")
    log_p = fold_log_probabilities(student / temperature, channels)
    q = fold_log_probabilities(teacher.detach() / temperature, channels).exp()
    return temperature**2 * foundation_loss(log_p, q, pixel_weight)
