"""Where a device ends, and how far off that was found."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from scipy.spatial import KDTree
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
    whole = _window(mask)  # all work is done on the device's own rectangle
    piece = largest_piece(mask[whole])
    around = _window(piece)
    line = skeleton(piece[around])
    ends = _ends(line)
    corner = np.array([outer.start + inner.start for outer, inner in zip(whole, around, strict=True)])
    entry = ends[np.argmin(_distance_to_entry(ends + corner, mask.shape, carrier))]
    along, _ = MCP_Geometric(np.where(line, 1.0, np.inf)).find_costs([tuple(entry)])
    row, column = ends[np.argmax(along[ends[:, 0], ends[:, 1]])] + corner
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
    neighbours = ndimage.convolve(line.astype(np.uint8), EIGHT.astype(np.uint8), mode="constant")
    ends = np.argwhere(line & (neighbours <= 2))  # itself and one more
    return ends if len(ends) else np.argwhere(line)


def _window(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The smallest rectangle around a mask that is not empty, and a pixel more where there is one: thinning looks."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _distance_to_entry(
    places: Integer[np.ndarray, "n 2"], shape: tuple[int, ...], carrier: Bool[np.ndarray, "h w"] | None
) -> Float[np.ndarray, " n"]:
    """Pixels from each place to the carrier, or, without one, to the border."""
    if carrier is not None and carrier.any():
        tree = KDTree(np.argwhere(carrier), compact_nodes=False, balanced_tree=False)  # built for a few questions
        return np.asarray(tree.query(places)[0])
    return np.minimum(places, np.array(shape) - 1 - places).min(axis=1).astype(float)
