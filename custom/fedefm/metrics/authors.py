"""The column "as in the authors' code": figures as published code computes them, for comparison only.

That code is not of one mind: Jaccard is averaged with background in one place and without in another, and a mean over
two devices is divided by three, the number of channels, in a third. We report none of these as our own figures.
"""

from collections.abc import Sequence

from fedefm.metrics.overlap import Labels, dice, iou


def authors_scores(prediction: Labels, truth: Labels, classes: Sequence[int]) -> dict[str, float]:
    """The three readings, side by side.

    Args:
        prediction: label map, 0 for background.
        truth: likewise.
        classes: foreground labels.

    Returns:
        `jaccard_with_background` and `jaccard_without_background`, means over classes, and `dice_over_channels`, the
        sum of the foreground classes' Dice divided by their number plus one. Absent classes count as 1, as in `dice`.

    Raises:
        DataError: the maps differ in shape.
    """
    jaccard = [iou(prediction == label, truth == label) for label in (0, *classes)]
    overlap = [dice(prediction == label, truth == label) for label in classes]
    return {
        "jaccard_with_background": sum(jaccard) / len(jaccard),
        "jaccard_without_background": sum(jaccard[1:]) / max(1, len(classes)),
        "dice_over_channels": sum(overlap) / (len(classes) + 1),
    }
