"""Dice and Jaccard (IoU): how much of two regions is common.

Empty against empty scores 1 in all of them, as nothing was to be found and nothing was marked; a class that only one of
the two holds scores 0. Read them beside the support, which counts the images that hold the class.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Integer

from fedefm.errors import DataError

Mask = Bool[np.ndarray, "h w"]
Labels = Integer[np.ndarray, "h w"]


def dice(prediction: Mask, truth: Mask) -> float:
    """2 |P and T| / (|P| + |T|), from 0 to 1; 1 where both are empty.

    Raises:
        DataError: the two differ in shape.
    """
    common, total = _counts(prediction, truth)
    return 2 * common / total if total else 1.0


def iou(prediction: Mask, truth: Mask) -> float:
    """|P and T| / |P or T|, the Jaccard index, from 0 to 1; 1 where both are empty.

    Raises:
        DataError: the two differ in shape.
    """
    common, total = _counts(prediction, truth)
    return common / (total - common) if total else 1.0


def mean_iou(prediction: Labels, truth: Labels, classes: Sequence[int]) -> float:
    """Mean IoU over foreground classes; one that is absent from both maps counts as 1.

    Args:
        prediction: label map, 0 for background.
        truth: likewise.
        classes: the labels to average over; without background.

    Raises:
        DataError: no class, or background among them, or the maps differ in shape.
    """
    if not classes or 0 in classes:
        raise DataError(f"mean IoU over classes {list(classes)}: name foreground labels, 1 or more")
    return float(np.mean([iou(prediction == label, truth == label) for label in classes]))


def check_pair(prediction: np.ndarray, truth: np.ndarray) -> None:
    """Refuse two maps that do not lie on the same pixels.

    Raises:
        DataError: their shapes differ.
    """
    if prediction.shape != truth.shape:
        raise DataError(f"prediction {prediction.shape} and truth {truth.shape} differ in shape; compare on one grid")


def _counts(prediction: Mask, truth: Mask) -> tuple[int, int]:
    check_pair(prediction, truth)
    return int(np.count_nonzero(prediction & truth)), int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
