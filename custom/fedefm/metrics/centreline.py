"""Skeletons, and how well two thin structures follow each other."""

import numpy as np
from jaxtyping import Bool
from skimage.morphology import skeletonize

from fedefm.metrics.overlap import check_pair


def skeleton(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The centreline, one pixel wide (Zhang and Suen 1984); of one pixel the pixel, of nothing nothing."""
    thin: Bool[np.ndarray, "h w"] = skeletonize(mask)
    return thin if thin.any() or not mask.any() else mask.copy()  # a 2 x 2 block may vanish


def centreline_dice(prediction: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
    """ClDice (Shit et al., CVPR 2021): harmonic mean of two shares, from 0 to 1.

    Topology precision is the share of the prediction's centreline inside the truth, topology sensitivity the share of
    the truth's centreline inside the prediction. It asks whether a wire was followed, not how thick it was drawn.

    Returns:
        1 where both are empty, 0 where one is.

    Raises:
        DataError: the two differ in shape.
    """
    check_pair(prediction, truth)
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    precision = float(truth[skeleton(prediction)].mean())
    sensitivity = float(prediction[skeleton(truth)].mean())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0
