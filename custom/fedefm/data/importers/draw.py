"""Outlines and lines to pixels.

The pixel of row i and column j covers x in [j, j + 1) and y in [i, i + 1); its centre is (j + 1/2, i + 1/2).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from skimage.draw import polygon


def fill_polygon(shape: tuple[int, int], points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "h w"]:
    """The pixels whose centre lies inside an outline.

    Args:
        shape: rows and columns.
        points: x and y of the corners, at least three; the last is joined to the first.
    """
    region = np.zeros(shape, bool)
    rows, columns = polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, shape)
    region[rows, columns] = True
    return region


def stroke_line(shape: tuple[int, int], points: Float[np.ndarray, "n 2"], width: float) -> Bool[np.ndarray, "h w"]:
    """The pixels whose centre is at most half a width from a line.

    Args:
        shape: rows and columns.
        points: x and y of its corners, at least one.
        width: in pixels.
    """
    region = np.zeros(shape, bool)
    for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
        window = _window(shape, np.stack([start, end]), width / 2 + 1)
        rows, columns = np.mgrid[window]
        centres = np.stack([columns, rows], -1) + 0.5
        region[window] |= _distance(centres, start, end) <= width / 2
    return region


def _window(shape: tuple[int, int], ends: Float[np.ndarray, "2 2"], margin: float) -> tuple[slice, slice]:
    """Rows and columns around both ends of a piece."""
    low, high = np.floor(ends.min(0) - margin), np.ceil(ends.max(0) + margin)
    sides: Sequence[int] = (shape[1], shape[0])
    columns, rows = (slice(int(np.clip(low[k], 0, sides[k])), int(np.clip(high[k], 0, sides[k]))) for k in range(2))
    return rows, columns


def _distance(
    at: Float[np.ndarray, "r c 2"], start: Float[np.ndarray, " 2"], end: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "r c"]:
    """From points to the piece between two ends."""
    along = end - start
    length = float(along @ along)
    share = np.clip((at - start) @ along / length, 0, 1) if length else np.zeros(at.shape[:2])
    return np.hypot(*np.moveaxis(at - start - share[..., None] * along, -1, 0))
