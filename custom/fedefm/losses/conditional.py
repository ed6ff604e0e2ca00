"""Conditional distillation, as in ConDistFL."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fedefm.data.label_sets import NOTHING_KNOWN


def conditional_distillation_loss(
    student: Float[Tensor, "b k h w"],
    teacher: Float[Tensor, "b k h w"],
    mask: Int64[Tensor, "b h w"],
    channels: Sequence[int],
    temperature: float,
) -> Float[Tensor, " b"]:
    """One minus the Dice of what two networks say of pixels that are of no labelled class; one value for each image.

    p(c | no labelled class) = p_c / (1 - sum of the labelled p), over background and the unlabelled classes, on the
    pixels that neither the labels nor the teacher give to a labelled class. Wang et al., ConDistFL: Conditional
    Distillation for Federated Learning from Partial Annotations, 2023. As in `foundation_loss`, the
    denominator has sums of squares, and 1 is added to numerator and denominator for a class that is not there.

    Args:
        student: logits of the network that learns.
        teacher: logits of the global model; gets no gradient.
        mask: the hospital's labels.
        channels: its label corpus.
        temperature: T of both softmax.
    """
    labelled = mask.new_tensor(list(channels))
    open_ = [k for k in range(student.shape[1]) if k not in channels]
    told = torch.isin(mask, labelled) | (mask < NOTHING_KNOWN)  # one of several classes is no open class either
    taught = ~told & ~torch.isin(teacher.argmax(1), labelled)
    weight = taught.unsqueeze(1).to(student.dtype)
    p = weight * (student[:, open_] / temperature).softmax(1)  # softmax over some logits is the conditional probability
    q = weight * (teacher[:, open_].detach() / temperature).softmax(1)
    overlap = 2 * (p * q).sum((2, 3)) + 1
    total = (p * p + q * q).sum((2, 3)) + 1
    return (1 - overlap / total).mean(1)
