"""How far a network sees what a hospital has labelled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fedefm.data.frames import Split
from fedefm.data.label_sets import NOTHING_KNOWN, is_unsure
from fedefm.maths.masses import mass_similarity
from fedefm.training.scores import predict

FRAMES = 64
"""Frames that are looked at, evenly from all: enough to tell a silo that sees a class from one that does not."""


def agreement(
    model: nn.Module, split: Split, classes: Sequence[str], corpus: Sequence[str], least: int = 1
) -> dict[str, float]:
    """Mean `mass_similarity` in [0, 1] of what the network sees and what is labelled, by class of the label corpus.

    Over the frames that hold the class, and whose labels tell it from others; a class that fewer than
    `least` hold is left out.
    Whole pixels are compared, not probabilities: a network that gives a class a little everywhere sees it nowhere.

    Args:
        model: any network of this job.
        split: images and labels.
        classes: of the job, in label order.
        corpus: the classes that the labels annotate.
        least: fewest frames that a figure may rest on.
    """
    chosen = torch.linspace(0, len(split) - 1, min(FRAMES, len(split))).round().long()
    images, labelled = split.batch(chosen.tolist())
    seen = predict(model, images).masked_fill(labelled == NOTHING_KNOWN, 0)
    found = {}
    for channel, name in ((k, name) for k, name in enumerate(classes, 1) if name in corpus):
        told = ~is_unsure(labelled, channel)
        pairs = zip((seen[told] == channel).double(), (labelled[told] == channel).double(), strict=True)
        values = [mass_similarity(a, b) for a, b in pairs if b.any()]
        if len(values) >= max(1, least):
            found[name] = sum(values) / len(values)
    return found
