"""The one table of metrics: a row says what a metric is called, how it is computed, what is better, where it shows.

All that shows a metric reads this table: the record of an evaluation, its page, the model card, the figures of a
fine-tune job and the choice of its best round. To add a metric, write its plain function and a row here.

Two figures are called Dice, and they differ on the same masks. "Dice" is computed image by image and then averaged: an
evaluation job tells it. "Pooled Dice" counts the pixels of all images of a split as if they were one picture: an image
without the class then weighs by its false positives alone. Foundation and fine-tune jobs tell it. The same holds for
IoU. In JSON both have the key `dice`, since finished results and their hashes hang on it: in the record of an
evaluation (`kind: evaluation`) it is Dice, in every other record pooled Dice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fedefm.metrics.centreline import centreline_dice
from fedefm.metrics.continuity import pieces
from fedefm.metrics.overlap import dice, iou
from fedefm.metrics.pair import Pair
from fedefm.metrics.presence import area_under_roc, f1

MOST = 1e6
"""More than any figure can be: losses lie around 1, distances and pieces below the pixels of an image."""


class Over(StrEnum):
    """What one value is computed from. Of images, the figure of a split is the mean of the images' values."""

    EITHER = "each image where the class is there or was marked"
    THERE = "each image where the class is there"
    BOTH = "each image where the class is there and was marked"
    POOLED = "the pixels of all images of a split"
    STATED = "all images of a split that state whether the class is there"
    LOSS = "the batches of a split, by the job's own loss"


class Place(StrEnum):
    """Where a metric shows, besides the record of an evaluation by class and its page, which hold all of images."""

    MATRIX = "models by hospitals, in the record of an evaluation"
    PAGE = "the same matrix on its page; needs MATRIX"
    CARD = "the model card's table of an evaluation"
    FINETUNE = "the figures of a fine-tune job, any of which may choose the best round"


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        name: key in records.
        title: over a table of its own.
        heading: of a column.
        over: what a value is computed from.
        value: the plain function: of a `Pair` (one image), of an `Overlap` (the pixels of all images), of a `Presence`,
            or of the mean loss. It gives None where the metric is undefined.
        higher_is_better: None where neither is.
        is_share: whether each value lies in [0, 1].
        shows: where.
        note: a sentence for readers.
    """

    name: str
    title: str
    heading: str
    over: Over
    value: Callable[[Any], float | None]
    higher_is_better: bool | None
    is_share: bool = False
    shows: frozenset[Place] = frozenset()
    note: str = ""

    def counts(self, pair: Pair) -> bool:
        """Whether an image has a value."""
        if self.over is Over.EITHER:
            return pair.marked or pair.there
        return pair.there and (self.over is Over.THERE or pair.marked)

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value that a hospital may tell; no figure is negative."""
        return (0.0, 1.0) if self.is_share else (0.0, MOST)

    @property
    def explained(self) -> str:
        """The note, and which values are better."""
        better = {True: "The higher the better.", False: "The lower the better.", None: ""}[self.higher_is_better]
        return " ".join(filter(None, (better, self.note)))


_MATRIX_AND_CARD = frozenset({Place.MATRIX, Place.CARD})
_EVALUATION = _MATRIX_AND_CARD | {Place.PAGE}
_CARD = frozenset({Place.CARD})
_FINETUNE = frozenset({Place.FINETUNE})
_SQUARE = "Pixels are those of the network's square, to which every image was scaled."
IMAGES = (Over.EITHER, Over.THERE, Over.BOTH)


def _dice(pair: Pair) -> float:
    return dice(pair.prediction, pair.truth)


def _iou(pair: Pair) -> float:
    return iou(pair.prediction, pair.truth)


METRICS: tuple[Metric, ...] = (
    Metric("dice", "Dice", "Dice", Over.EITHER, _dice, True, True, _EVALUATION, "1 is perfect."),
    Metric("iou", "IoU", "IoU", Over.EITHER, _iou, True, True, _MATRIX_AND_CARD),
    Metric(
        "cldice",
        "Centreline Dice (clDice)",
        "clDice",
        Over.EITHER,
        lambda pair: centreline_dice(pair.prediction, pair.truth),
        True,
        True,
        _EVALUATION,
        "Overlap of the centrelines.",
    ),
    Metric(
        "missed",
        "Missed: images with the class where nothing was marked",
        "Missed",
        Over.THERE,
        lambda pair: float(not pair.marked),
        False,
        True,
        _EVALUATION,
        "A share of the images with the class. Distances and tip errors leave these images out.",
    ),
    Metric(
        "hd95_px",
        "Surface distance (HD95), pixels",
        "HD95 px",
        Over.BOTH,
        lambda pair: pair.surface_px,
        False,
        False,
        _EVALUATION,
        f"Over images where a class is there and was marked; see how many were missed. {_SQUARE}",
    ),
    Metric(
        "hd95_mm",
        "Surface distance (HD95), mm",
        "HD95 mm",
        Over.BOTH,
        lambda pair: pair.surface_mm,
        False,
    ),
    Metric(
        "tip_px",
        "Tip error, pixels",
        "Tip px",
        Over.BOTH,
        lambda pair: pair.tip_px,
        False,
        False,
        _EVALUATION,
        f"Over images where a device is there and was marked; see how many were missed. {_SQUARE}",
    ),
    Metric(
        "tip_mm",
        "Tip error, mm",
        "Tip mm",
        Over.BOTH,
        lambda pair: pair.tip_mm,
        False,
        False,
        _MATRIX_AND_CARD,
    ),
    Metric(
        "pieces",
        "Connected pieces of what was marked",
        "Pieces",
        Over.THERE,
        lambda pair: float(pieces(pair.prediction)),
        None,
        False,
        _CARD,
    ),
    Metric(
        "pieces_truth",
        "Connected pieces of what is there",
        "Pieces in truth",
        Over.THERE,
        lambda pair: float(pieces(pair.truth)),
        None,
    ),
    Metric("dice", "Pooled Dice", "pooled Dice", Over.POOLED, lambda pixels: pixels.dice, True, True, _FINETUNE),
    Metric("iou", "Pooled IoU", "pooled IoU", Over.POOLED, lambda pixels: pixels.iou, True, True, _FINETUNE),
    Metric("auc", "Area under the ROC curve", "AUC", Over.STATED, area_under_roc, True, True, _FINETUNE),
    Metric("f1", "F1 at a probability of 0.5", "F1", Over.STATED, f1, True, True, _FINETUNE),
    Metric("loss", "Loss", "loss", Over.LOSS, float, False, False, _FINETUNE),
)


def of_images(place: Place | None = None) -> tuple[Metric, ...]:
    """What an evaluation job computes, image by image; with a place, those that show there."""
    return tuple(row for row in METRICS if row.over in IMAGES and (place is None or place in row.shows))


def of_finetune(over: Iterable[Over]) -> tuple[Metric, ...]:
    """What a fine-tune job tells, of these kinds."""
    kinds = frozenset(over)
    return tuple(row for row in METRICS if row.over in kinds and Place.FINETUNE in row.shows)


def pooled() -> tuple[Metric, ...]:
    """What is counted over the pixels of a whole split."""
    return tuple(row for row in METRICS if row.over is Over.POOLED)


def heading(name: str) -> str:
    """How a fine-tune job's figure is called over a column; a class behind a slash stays."""
    base, slash, label = name.partition("/")
    return next((row.heading for row in of_finetune(tuple(Over)) if row.name == base), base) + slash + label


def lower_is_better(name: str) -> bool:
    """Whether a fine-tune job's figure, of all classes or of one (`loss`, `dice/CLASS`), should be low."""
    base = name.partition("/")[0]
    return any(row.name == base and row.higher_is_better is False for row in of_finetune(tuple(Over)))


def ranges(rows: Iterable[Metric]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each of these figures, by name."""
    return {row.name: row.range for row in rows}
