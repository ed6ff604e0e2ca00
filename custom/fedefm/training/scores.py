"""Pooled Dice and pooled IoU of each class over a split: what training tells; see `fedefm.metrics.table`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from fedefm.data.frames import BATCH, Split
from fedefm.data.label_sets import NOTHING_KNOWN, is_unsure
from fedefm.metrics.pair import Pair
from fedefm.metrics.scores import Tally
from fedefm.metrics.table import Metric, pooled


def predict(model: nn.Module, images: Tensor, batch: int = BATCH) -> Int64[Tensor, "n h w"]:
    """Label maps of normalised images, on the CPU."""
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        parts = [model(images[k : k + batch].to(device)).argmax(1).cpu() for k in range(0, len(images), batch)]
    return torch.cat(parts) if parts else torch.zeros(0, *images.shape[-2:], dtype=torch.int64)


def overlap_scores(
    prediction: Int64[Tensor, "n h w"],
    truth: Int64[Tensor, "n h w"],
    classes: Sequence[str],
    annotated: Sequence[str],
    metrics: Sequence[Metric] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures of a split for each annotated class, by their names; pooled Dice and pooled IoU unless others are named.

    Pooled figures count the pixels of all images together, not image by image: an image without the class then weighs
    only by its false positives. A class that is neither there nor predicted scores 1. `support` says how many images
    hold it. Images with pixels of which nobody said whether they are of this class or another are left out; a class
    that no image can score is missing. Pixels of which nothing is known do not count, nor do images without any other.

    Args:
        prediction: label maps, 0 for background and k for the k-th class.
        truth: likewise; below 0 a union of classes, or nothing known (`data.label_sets`).
        classes: foreground class names, in label order.
        annotated: those of them that the truths annotate.
        metrics: rows of `fedefm.metrics.table`, of pooled pixels or of images; None for all pooled ones.
    """
    scores = _Scores(classes, annotated, metrics)
    scores.add(prediction, truth)
    return scores.found()


def score(
    model: nn.Module,
    split: Split,
    classes: Sequence[str],
    annotated: Sequence[str],
    metrics: Sequence[Metric] | None = None,
) -> dict[str, dict[str, Any]]:
    """`overlap_scores` of a network on a split, a batch at a time; empty where the split is."""
    scores = _Scores(classes, annotated, metrics)
    for images, masks in split.batches():
        scores.add(predict(model, images), masks)
    return scores.found()


class _Scores:
    """See `overlap_scores`."""

    def __init__(self, classes: Sequence[str], annotated: Sequence[str], metrics: Sequence[Metric] | None):
        rows = pooled() if metrics is None else metrics
        self._of = {k: (name, Tally(rows)) for k, name in enumerate(classes, 1) if name in annotated}

    def add(self, prediction: Int64[Tensor, "n h w"], truth: Int64[Tensor, "n h w"]) -> None:
        for channel, (_, tally) in self._of.items():
            kept = ~is_unsure(truth, channel) & (truth != NOTHING_KNOWN).flatten(1).any(1)
            known = truth[kept]
            marked = ((prediction[kept] == channel) & (known != NOTHING_KNOWN)).numpy()
            for p, t in zip(marked, (known == channel).numpy(), strict=True):
                tally.add(Pair(p, t))

    def found(self) -> dict[str, dict[str, Any]]:
        seen = {name: tally for name, tally in self._of.values() if tally.images}
        return {name: {**tally.figures(), "support": tally.support} for name, tally in seen.items()}


def mean_dice(scores: dict[str, dict[str, Any]]) -> float | None:
    """Mean pooled Dice of the classes that have one; None where none has."""
    known = [s["dice"] for s in scores.values() if s["dice"] is not None]
    return sum(known) / len(known) if known else None
