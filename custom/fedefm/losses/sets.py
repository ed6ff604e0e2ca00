"""The foundation loss where some labels are sets of classes: a tool, but nobody said which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fedefm.data.label_sets import sets_in
from fedefm.losses.corpus import fold_possible


def set_loss(
    log_p: Float[Tensor, "b folded h w"], mask: Int64[Tensor, "b h w"], channels: Sequence[int], k: int
) -> Float[Tensor, " b"]:
    """`foundation_loss` against labels of which some are sets, one an image.

    Cross-entropy: minus the logarithm of the sum of the probabilities of what a pixel may be, averaged over the pixels
    of which something is known. Dice: the classes that share a set in this image are one class, for nobody can say
    where the one ends and the other begins. So no gradient moves a pixel of a set from one of its classes to another.
    Without sets this is `segmentation_loss`.

    Args:
        log_p: as `fold_log_probabilities` gives them.
        mask: labels, some below 0 as in `fedefm.data.label_sets`.
        channels: the hospital's label corpus.
        k: channels before folding.
    """
    possible = fold_possible(mask, channels, k)
    groups = [merge(_folded(sets_in(one), channels), len(channels)) for one in mask]
    return torch.stack([_image_loss(*image) for image in zip(log_p, possible, groups, strict=True)])


def merge(sets: Iterable[Sequence[int]], count: int) -> list[list[int]]:
    """Classes 1 to `count` in groups: those of one set are together, and so are sets that share a class."""
    groups = [[k] for k in range(1, count + 1)]
    for together in sets:
        touched = [group for group in groups if set(group) & set(together)]
        groups = [group for group in groups if group not in touched] + [sorted(k for group in touched for k in group)]
    return sorted(groups)


def _folded(sets: Iterable[Sequence[int]], channels: Sequence[int]) -> list[list[int]]:
    """Sets in the folded channels; one that may be of the rest too says nothing of where a class ends."""
    place = {channel: position for position, channel in enumerate(channels, 1)}
    return [[place[k] for k in one] for one in sets if all(k in place for k in one)]


def _image_loss(
    log_p: Float[Tensor, "k h w"], possible: Bool[Tensor, "k h w"], groups: Sequence[Sequence[int]]
) -> Float[Tensor, ""]:
    known = ~possible.all(0)
    likelihood = log_p.masked_fill(~possible, -torch.inf).logsumexp(0)
    entropy = -(likelihood * known).sum() / known.sum().clamp_min(1)
    return entropy + torch.stack([_dice_loss(log_p, possible, group) for group in groups]).mean()


def _dice_loss(
    log_p: Float[Tensor, "k h w"], possible: Bool[Tensor, "k h w"], group: Sequence[int]
) -> Float[Tensor, ""]:
    """One minus the Dice of a group of classes, over the pixels that are known to be of it or not to be."""
    others = [k for k in range(len(log_p)) if k not in group]
    may_be, may_be_other = possible[list(group)].any(0), possible[others].any(0)
    sure = (may_be != may_be_other).to(log_p.dtype)
    p, target = sure * log_p[list(group)].logsumexp(0).exp(), sure * may_be
    return 1 - (2 * (p * target).sum() + 1) / ((p * p + target * target).sum() + 1)
