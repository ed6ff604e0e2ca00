"""Dice and Jaccard (IoU): how much of two regions is common.

Empty against empty scores 1 in all of them, as nothing was to be found and nothing was marked; a class that only one of
the two holds scores 0. Read them beside the support, which counts the images that hold the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer

from fedefm.errors import DataError

Mask = Bool[np.ndarray, "h w"]
Labels = Integer[np.ndarray, "h w"]


@dataclass(frozen=True)
class Overlap:
    """Two regions in pixels; of several images it is the sum.

    Attributes:
        common: pixels of both.
        total: pixels of the one and of the other, added.
    """

    common: int = 0
    total: int = 0

    @classmethod
    def of(cls, prediction: Mask, truth: Mask) -> "Overlap":
        """Count the pixels of two masks.

        Raises:
            DataError: the two differ in shape.
        """
        check_pair(prediction, truth)
        total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
        return cls(int(np.count_nonzero(prediction & truth)), total)

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.common + other.common, self.total + other.total)

    @property
    def dice(self) -> float:
        """2 |P and T| / (|P| + |T|), from 0 to 1; 1 where both are empty."""
        return 2 * self.common / self.total if self.total else 1.0

    @property
    def iou(self) -> float:
        """|P and T| / |P or T|, the Jaccard index, from 0 to 1; 1 where both are empty."""
        return self.common / (self.total - self.common) if self.total else 1.0


def dice(prediction: Mask, truth: Mask) -> float:
    """`Overlap.dice` of two masks.

    Raises:
        DataError: the two differ in shape.
    """
    return Overlap.of(prediction, truth).dice


def iou(prediction: Mask, truth: Mask) -> float:
    """`Overlap.iou` of two masks.

    Raises:
        DataError: the two differ in shape.
    """
    return Overlap.of(prediction, truth).iou


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
