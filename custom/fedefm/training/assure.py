"""How sure to be of a network, and what it has seen, measured on hospitals' own images.

Only figures of all images together leave this file: two numbers for the confidence, and mean, covariance and one bound
of the ten figures of `data/appearance.py` for each hospital. Where there are too few images there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from fedefm.data.appearance import FIGURES, appearance
from fedefm.data.dataset import SiteData
from fedefm.data.frames import Split
from fedefm.data.label_sets import NOTHING_KNOWN, may_be
from fedefm.metrics.calibration import expected_calibration_error, fit_sigmoid
from fedefm.metrics.suppression import DIGITS, LEAST_IMAGES
from fedefm.models.assurance import MOST_LOOKS, Assurance, Confidence, Look

LEAST_SEEN = 2 * FIGURES
"""Training images that a covariance rests on, at least."""

_QUANTILE = 0.95  # of the distances of validation images, which becomes the threshold
_RIDGE = 0.05  # figures that hardly vary among few images are less certain than they seem
_MOST_PIXELS = 2_000_000  # that a fit looks at; it has two numbers


def assure(model: nn.Module, sites: Sequence[SiteData], classes: Sequence[str], least: int = LEAST_IMAGES) -> Assurance:
    """Measure a segmentation network on the validation images of hospitals, and what their training images look like.

    Args:
        model: with logits for background and each class.
        sites: their images. A look is measured for each, the confidence over all.
        classes: foreground class names, in label order.
        least: fewest images that a figure may rest on.

    Returns:
        Without a confidence, or without a hospital's look, where too few images carry it.
    """
    looks = measure_looks([(site.train, site.val) for site in sites[:MOST_LOOKS]], least)
    return Assurance(measure_confidence(model, [(site.val, site.corpus) for site in sites], classes, least), looks)


def measure_confidence(
    model: nn.Module, splits: Sequence[tuple[Split, Sequence[str]]], classes: Sequence[str], least: int
) -> Confidence | None:
    """Fit the calibrated confidence of a marked pixel.

    Args:
        model: as in `assure`.
        splits: frames, and the classes that their masks annotate; marks of other classes do not count.
        classes: foreground class names, in label order.
        least: fewest images with marks.

    Returns:
        None for fewer images, or where marks are all right or all wrong.
    """
    seen = [marked for split, corpus in splits for marked in marked_pixels(model, split, classes, corpus)]
    seen = [marked for marked in seen if len(marked[0])]
    if len(seen) < max(least, 1):
        return None
    scores, correct = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    step = -(-len(scores) // _MOST_PIXELS)
    scores, correct = scores[::step], correct[::step]
    if (found := fit_sigmoid(scores, correct)) is None:
        return None
    slope, offset = (round(value, DIGITS) for value in found)
    plain = Confidence(max(slope, 10.0**-DIGITS), offset, len(seen), 0.0, 0.0)
    before = expected_calibration_error(scores.astype(np.float64), correct)
    after = expected_calibration_error(plain.of(scores), correct)
    return Confidence(plain.slope, offset, len(seen), round(before or 0.0, DIGITS), round(after or 0.0, DIGITS))


def marked_pixels(
    model: nn.Module, split: Split, classes: Sequence[str], corpus: Sequence[str]
) -> Iterator[tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]]:
    """Of each frame the score of every pixel that is marked as an annotated class, and whether the mask says the same.

    A pixel of which the mask leaves open whether it is of that class does not count.
    """
    device = next(model.parameters()).device
    model.eval()
    for images, masks in split.batches():
        with torch.inference_mode():
            scores, labels = model(images.to(device)).softmax(1).max(1)
        scores, labels = scores.cpu(), labels.cpu()
        counted, correct = torch.zeros_like(labels, dtype=torch.bool), labels == masks
        for channel in (1 + classes.index(name) for name in corpus if name in classes):
            open_ = may_be(masks, channel) & (masks <= NOTHING_KNOWN)
            counted |= (labels == channel) & ~open_
        for score, right, kept in zip(scores, correct, counted, strict=True):
            yield score[kept].numpy(), right[kept].numpy()


def measure_looks(splits: Sequence[tuple[Split, Split]], least: int) -> tuple[Look, ...]:
    """What hospitals' images look like, with one threshold for all: of validation images to the nearest look.

    With a threshold for each, a hospital whose images differ much would make strange ones of others familiar.

    Args:
        splits: training and validation frames of each hospital.
        least: fewest images of a hospital in either; of training images at least `LEAST_SEEN`.

    Returns:
        Of hospitals with enough images.
    """
    few, least = max(least, LEAST_SEEN), max(least, 1)
    enough = [(train, val) for train, val in splits if len(train) >= few and len(val) >= least]
    if not enough:
        return ()
    looks = tuple(_look(_figures(train), len(val)) for train, val in enough)
    distances = Assurance(None, looks).strangeness(np.concatenate([_figures(val) for _, val in enough]))
    threshold = max(round(float(np.quantile(distances, _QUANTILE)), DIGITS), 10.0**-DIGITS)
    return tuple(replace(look, threshold=threshold, validated=len(distances)) for look in looks)


def _look(seen: Float[np.ndarray, "n d"], validated: int) -> Look:
    """A look whose threshold is a distance of 1, from the figures of its training images."""
    share = FIGURES / (FIGURES + len(seen))  # few images: what varies together is less certain than what varies
    covariance = np.cov(seen, rowvar=False)
    spread = (1 - share) * covariance + share * np.diag(np.diag(covariance)) + _RIDGE * np.eye(FIGURES)
    centre, precision = np.round(seen.mean(0), DIGITS), np.round(np.linalg.inv(spread), DIGITS)
    rows = tuple(tuple(row) for row in precision.tolist())
    return Look(tuple(centre.tolist()), rows, len(seen), 1.0, validated)


def _figures(split: Split) -> Float[np.ndarray, "n d"]:
    return np.concatenate([appearance(images[:, 0].numpy()) for images, _ in split.batches()])
