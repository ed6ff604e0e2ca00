"""Dice and IoU of each class over a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from fedefm.data.dataset import Split
from fedefm.data.label_sets import NOTHING_KNOWN, is_unsure


def predict(model: nn.Module, images: Tensor, batch: int = 16) -> Int64[Tensor, "n h w"]:
    """Label maps of normalised images, on the CPU."""
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        parts = [model(images[k : k + batch].to(device)).argmax(1).cpu() for k in range(0, len(images), batch)]
    return torch.cat(parts) if parts else torch.zeros(0, *images.shape[-2:], dtype=torch.int64)


def overlap_scores(
    prediction: Int64[Tensor, "n h w"], truth: Int64[Tensor, "n h w"], classes: Sequence[str], annotated: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Dice and IoU over the pixels of all images, for each annotated class.

    Counted over the whole split, not image by image: an image without the class then weighs only by its false
    positives. A class that is neither there nor predicted scores 1; `support` says how many images hold it.
    Images with pixels of which nobody said whether they are of this class or another are left out; a class that no
    image can score is missing. Pixels of which nothing is known do not count.
    """
    scores = {}
    for channel, name in enumerate(classes, 1):
        if name in annotated:
            kept = ~is_unsure(truth, channel)
            if not kept.any():
                continue
            p, t = (prediction[kept] == channel) & (truth[kept] != NOTHING_KNOWN), truth[kept] == channel
            both, total = int((p & t).sum()), int(p.sum()) + int(t.sum())
            scores[name] = {
                "dice": 2 * both / total if total else 1.0,
                "iou": both / (total - both) if total else 1.0,
                "support": int(t.flatten(1).any(1).sum()),
            }
    return scores


def score(
    model: nn.Module, split: Split, classes: Sequence[str], annotated: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """`overlap_scores` of a network on a split; empty where the split is."""
    return overlap_scores(predict(model, split.images), split.masks, classes, annotated) if len(split.images) else {}


def mean_dice(scores: dict[str, dict[str, Any]]) -> float | None:
    """Mean Dice of the classes; None where there are none."""
    return sum(s["dice"] for s in scores.values()) / len(scores) if scores else None
