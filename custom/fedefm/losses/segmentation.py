"""The foundation loss L_c: cross-entropy + Dice, against labels or against another network's predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from fedefm.losses.corpus import fold_log_probabilities, fold_target
from fedefm.losses.sets import set_loss


def foundation_loss(
    log_p: Float[Tensor, "b k h w"],
    q: Float[Tensor, "b k h w"],
    pixel_weight: Float[Tensor, "b h w"] | None = None,
) -> Float[Tensor, " b"]:
    """L_c(P, Q) of each image: cross-entropy of P under the target Q, plus one minus the Dice of the foreground.

    The Dice term has sums of squares in its denominator (Milletari et al., V-Net, 2016), so that P = Q is its minimum
    for soft targets too. To numerator and denominator 1 is added: an absent class costs nothing if it is not predicted.

    Args:
        log_p: log-probabilities of the network that learns; channel 0 is background.
        q: target probabilities, one-hot for labels.
        pixel_weight: weight of every pixel; None weighs all by 1.

    Returns:
        One loss for each image, without unit.
    """
    weight = pixel_weight.unsqueeze(1) if pixel_weight is not None else log_p.new_ones(1)
    entropy = -(weight * q * log_p).sum(1).mean((1, 2))
    p, target = log_p[:, 1:].exp(), q[:, 1:]
    overlap = 2 * (weight * p * target).sum((2, 3)) + 1
    total = (weight * (p * p + target * target)).sum((2, 3)) + 1
    return entropy + (1 - overlap / total).mean(1)


def segmentation_loss(
    logits: Float[Tensor, "b k h w"], mask: Int64[Tensor, "b h w"], channels: Sequence[int]
) -> Float[Tensor, " b"]:
    """L_c against the labels of a hospital that annotates `channels` only; the rest folds into background.

    Labels below 0 are sets of classes, see `set_loss`.
    """
    log_p = fold_log_probabilities(logits, channels)
    if bool((mask < 0).any()):
        return set_loss(log_p, mask, channels, logits.shape[1])
    target = fold_target(mask, channels, logits.shape[1])
    return foundation_loss(log_p, F.one_hot(target, log_p.shape[1]).movedim(-1, 1).to(log_p.dtype))
