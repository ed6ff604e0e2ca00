"""Where a device ends, and how far off that was found."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Integer
from scipy import ndimage
from skimage.graph import MCP_Geometric

from fedefm.metrics.centreline import skeleton
from fedefm.metrics.continuity import EIGHT, largest_piece


class Tip(NamedTuple):
    """A place in pixels: the centre of the first pixel of a picture is (0, 0)."""

    x: float
    y: float


def device_tip(mask: Bool[np.ndarray, "h w"], carrier: Bool[np.ndarray, "h w"] | None = None) -> Tip | None:
    """The tip of a device: the end of its centreline that is farthest, along it, from where it comes in.

    Only the largest connected piece counts. It comes in at the end nearest to its carrier (the catheter that a
    guidewire leaves), or, without one, at the end nearest to the border of the picture. A ring has no end; then any of
    its pixels may be where it comes in.

    Args:
        mask: the device.
        carrier: what it comes out of; None or empty if nothing.

    Returns:
        The place in pixels; of one pixel that pixel; None for an empty mask.
    """
    if not mask.any():
        return None
    line = skeleton(largest_piece(mask))
    ends = _ends(line)
    entry = ends[np.argmin(_distance_to_entry(mask.shape, carrier)[ends[:, 0], ends[:, 1]])]
    along, _ = MCP_Geometric(np.where(line, 1.0, np.inf)).find_costs([tuple(entry)])
    row, column = ends[np.argmax(along[ends[:, 0], ends[:, 1]])]
    return Tip(float(column), float(row))


def tip_distance(prediction: Tip | None, truth: Tip | None, spacing: tuple[float, float] = (1.0, 1.0)) -> float | None:
    """Distance of two tips, in the units of `spacing`.

    Args:
        prediction: where it was marked.
        truth: where it is.
        spacing: of rows and columns, such as millimetres a pixel.

    Returns:
        None where either is missing: a device that was not found has no tip error.
    """
    if prediction is None or truth is None:
        return None
    return float(np.hypot(spacing[1] * (prediction.x - truth.x), spacing[0] * (prediction.y - truth.y)))


def _ends(line: Bool[np.ndarray, "h w"]) -> Integer[np.ndarray, "n 2"]:
    """Pixels of a centreline with at most one neighbour; all of it where there is none such."""
    neighbours = ndimage.convolve(line.astype(np.int64), EIGHT.astype(np.int64), mode="constant") - 1
    ends = np.argwhere(line & (neighbours <= 1))
    return ends if len(ends) else np.argwhere(line)


def _distance_to_entry(shape: tuple[int, ...], carrier: Bool[np.ndarray, "h w"] | None) -> np.ndarray:
    if carrier is not None and carrier.any():
        return np.asarray(ndimage.distance_transform_edt(~carrier))
    rows, columns = (np.minimum(np.arange(side), side - 1 - np.arange(side)) for side in shape)
    return np.minimum(rows[:, None], columns[None, :])
