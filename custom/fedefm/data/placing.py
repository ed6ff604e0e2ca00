"""A mask on the pixels of its image, where both say how they lie in space.

Two tools may store one and the same stack from different corners, each with the header that says so; and a mask may
hold only the part of the picture that was drawn in. A viewer shows both in place, so they are brought there: by flips,
swaps of axes and whole steps, never by resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from fedefm.data.nifti_header import Geometry
from fedefm.errors import DataError

_MOST_OFF = 0.25  # pixels by which a rounded header may miss a whole step at a corner of the mask
_Matrix = Float64[np.ndarray, "4 4"]
_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Placing:
    """How a mask of (frames, rows, columns) becomes that of its image.

    Attributes:
        axes: for each axis of the image, which one of the mask it is.
        flipped: axes of the image that the mask runs through backwards.
        start: where the mask begins in the image.
        shape: frames, rows and columns of the image.
    """

    axes: tuple[int, ...]
    flipped: tuple[int, ...]
    start: tuple[int, ...]
    shape: _Shape

    def place(self, labels: Int64[np.ndarray, "n r c"]) -> Int64[np.ndarray, "f h w"]:
        """The labels on the image; 0 where the mask does not reach."""
        turned = np.flip(labels.transpose(self.axes), self.flipped)
        if turned.shape == self.shape:
            return np.ascontiguousarray(turned)
        whole: NDArray[np.int64] = np.zeros(self.shape, np.int64)
        window = tuple(slice(first, first + side) for first, side in zip(self.start, turned.shape, strict=True))
        whole[window] = turned
        return whole


def placing(name: str, mask: Geometry | None, shape: _Shape, image: Geometry | None, target: _Shape) -> Placing | None:
    """How to bring a mask to its image; None where their headers do not say, and the order stored is all there is.

    Args:
        name: the mask's file name, for the message.
        mask: how it lies, or None where its format does not say.
        shape: its frames, rows and columns.
        image: how the image lies; None stands for a picture on a screen, of pixels of any size.
        target: frames, rows and columns of the image.

    Raises:
        DataError: both say where they lie, and no flip or whole step brings the one onto the other.
    """
    theirs = None if mask is None else mask.matrix
    if mask is None or theirs is None:
        return None
    ours = _screen(theirs) if image is None else image.matrix
    found = None if ours is None else _found(ours, theirs, shape, target)
    if found is None and image is not None and image.is_stated and mask.is_stated and shape == target:
        raise DataError(
            f"{name}: lies elsewhere in space than its image, by the headers of both (origin, spacing or direction); "
            "export the mask on the grid of its image"
        )
    return found


def _screen(theirs: _Matrix) -> _Matrix:
    """A screen whose pixels are as large as those of the mask; columns run to the left, rows to the back."""
    sides = np.linalg.norm(theirs[:3, :3], axis=0)
    return np.diag([-sides[0], -sides[1], sides[2], 1.0])


def _found(ours: _Matrix, theirs: _Matrix, shape: _Shape, target: _Shape) -> Placing | None:
    if min(abs(np.linalg.det(ours)), abs(np.linalg.det(theirs))) < 1e-12:
        return None
    theirs = theirs.copy()
    lengths = np.linalg.norm(ours[:3, 2]), np.linalg.norm(theirs[:3, 2])
    if shape[0] == target[0] and abs(ours[:3, 2] @ theirs[:3, 2]) > 0.999 * lengths[0] * lengths[1]:
        theirs[:3, 2] *= lengths[0] / lengths[1]  # what lies between frames is often time, and in other units
    steps = np.linalg.solve(ours, theirs)  # from columns, rows and frames of the mask to those of the image
    if shape[0] == target[0] == 1:
        steps[2, 3] = 0.0
        steps[2, 2] = 1.0
    whole = np.round(steps)
    corners = np.array([(i, j, k, 1) for i in (0, shape[2] - 1) for j in (0, shape[1] - 1) for k in (0, shape[0] - 1)])
    turns = whole[:3, :3]
    if np.abs((steps - whole) @ corners.T).max() > _MOST_OFF or not _is_turn(turns):
        return None
    # axes of arrays run the other way: frames, rows, columns
    turns, first = turns[::-1, ::-1], whole[2::-1, 3]
    axes = tuple(int(np.abs(row).argmax()) for row in turns)
    signs = turns.sum(axis=1)
    sides = [shape[axis] for axis in axes]
    start = [int(f if sign > 0 else f - side + 1) for f, sign, side in zip(first, signs, sides, strict=True)]
    if any(s < 0 or s + side > most for s, side, most in zip(start, sides, target, strict=True)):
        return None
    return Placing(axes, tuple(int(k) for k in np.flatnonzero(signs < 0)), tuple(start), target)


def _is_turn(turns: Float64[np.ndarray, "3 3"]) -> bool:
    """Whether each axis becomes one axis."""
    ones: Sequence[NDArray[np.float64]] = (np.abs(turns).sum(axis=0), np.abs(turns).sum(axis=1))
    return bool(np.abs(turns).max() <= 1) and all((one == 1).all() for one in ones)
