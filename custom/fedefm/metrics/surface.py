"""Distance between outlines."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from fedefm.metrics.overlap import check_pair


def hausdorff95(
    prediction: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], spacing: tuple[float, float] = (1.0, 1.0)
) -> float | None:
    """The 95th percentile Hausdorff distance (HD95), in the units of `spacing`.

    For each outline the distances of its pixels to the other outline are taken and their 95th percentile (linear
    interpolation); the result is the larger of the two. The outline is what an erosion by a cross of five pixels
    removes, so a mask of one pixel is its own outline, and the picture's border counts as outside.

    Args:
        prediction: the region that was marked.
        truth: the region to find.
        spacing: of rows and columns, such as millimetres a pixel.

    Returns:
        0 where both are empty; None where only one is: no distance is defined, and a made-up one would hide a miss.

    Raises:
        DataError: the two differ in shape.
    """
    check_pair(prediction, truth)
    if not prediction.any() or not truth.any():
        return None if prediction.any() or truth.any() else 0.0
    ours, theirs = _outline(prediction), _outline(truth)
    there, back = _distances(ours, theirs, spacing), _distances(theirs, ours, spacing)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    outline: Bool[np.ndarray, "h w"] = mask & ~ndimage.binary_erosion(mask)
    return outline


def _distances(
    start: Bool[np.ndarray, "h w"], end: Bool[np.ndarray, "h w"], spacing: tuple[float, float]
) -> Float[np.ndarray, " n"]:
    distances: Float[np.ndarray, " n"] = ndimage.distance_transform_edt(~end, sampling=spacing)[start]
    return distances
