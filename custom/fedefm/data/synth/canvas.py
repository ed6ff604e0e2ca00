"""Where a frame lies in the scene, and how curves become projected tubes.

Scenes are measured in reference units: one unit is one pixel of a 256 x 256 frame at magnification 1. The field of view
is centred on the origin, x to the right and y downwards, and reaches 128 / magnification units to each side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

REFERENCE = 256
"""Pixels of the frame in which a unit is a pixel."""

SUPERSAMPLE = 2
"""Tubes are drawn on a grid this many times finer than the frame, and averaged."""

_MOST_PIXELS = 1_000_000  # stamped at a time, which bounds the memory of large frames


@dataclass(frozen=True)
class Canvas:
    """The square pixel grid of one frame.

    Attributes:
        size: rows and columns of the frame.
        magnification: zoom of the field of view; 2 shows half the width of 1.
        shift: x and y by which the scene lies off the field's centre, in units; `grid` knows it, tubes do not.
    """

    size: int
    magnification: float
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def half(self) -> float:
        """Half the width of the field of view, in units."""
        return REFERENCE / 2 / self.magnification

    @property
    def unit(self) -> float:
        """Width of one pixel, in units."""
        return 2 * self.half / self.size

    def grid(self) -> tuple[Float[np.ndarray, "1 w"], Float[np.ndarray, "h 1"]]:
        """Return the x of each column and the y of each row, at the pixels' centres, in units, float32."""
        axis = ((np.arange(self.size) + 0.5) * self.unit - self.half).astype(np.float32)
        return axis[None, :] - np.float32(self.shift[0]), axis[:, None] - np.float32(self.shift[1])


@dataclass(frozen=True)
class Tubes:
    """Round tubes given by samples along their centrelines.

    Attributes:
        points: (n, 2) x and y of the samples, in units, dense against the radius (see `resample`).
        radii: (n,) radius at each sample, in units.
        weights: (n,) what the filling attenuates against full strength, 0 to 1.
    """

    points: Float[np.ndarray, "n 2"]
    radii: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]


def project_tubes(canvas: Canvas, tubes: Tubes) -> Float[np.ndarray, "h w"]:
    """Return how long the ray through each fine pixel runs inside the tubes, in units, float32.

    A tube is the union of the balls around its samples, so that the chord at distance d from a sample of radius r is
    2 sqrt(r^2 - d^2); where tubes overlap the longest weighted chord counts, as in a vessel that branches.

    Returns:
        An array of `SUPERSAMPLE * canvas.size` rows and columns.
    """
    fine = canvas.size * SUPERSAMPLE
    image = np.zeros(fine * fine, dtype=np.float32)
    scale = SUPERSAMPLE / canvas.unit
    centres = (tubes.points + canvas.half) * scale - 0.5
    radii = tubes.radii * scale
    seen = np.all((centres > -radii[:, None]) & (centres < fine + radii[:, None]), axis=1)
    reach = np.ceil(radii).astype(np.int64)
    for width in np.unique(reach[seen]):
        chosen = np.flatnonzero(seen & (reach == width))
        pieces = len(chosen) * (2 * int(width) + 1) ** 2 // _MOST_PIXELS + 1
        for part in np.array_split(chosen, pieces):
            _stamp(image, fine, centres[part], radii[part], tubes.weights[part], int(width))
    return (image / scale).reshape(fine, fine)


def _stamp(
    image: Float[np.ndarray, " p"],
    fine: int,
    centres: Float[np.ndarray, "n 2"],
    radii: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    reach: int,
) -> None:
    """Raise `image` to the weighted chords of balls whose radius is at most `reach` fine pixels, in place."""
    offset = np.arange(-reach, reach + 1)
    base = np.rint(centres).astype(np.int64)
    column = base[:, 0, None, None] + offset[None, None, :]
    row = base[:, 1, None, None] + offset[None, :, None]
    across = (column - centres[:, 0, None, None]).astype(np.float32)
    down = (row - centres[:, 1, None, None]).astype(np.float32)
    inside = (radii**2).astype(np.float32)[:, None, None] - across**2 - down**2
    hit = (inside > 0) & (column >= 0) & (column < fine) & (row >= 0) & (row < fine)
    index = (row * fine + column)[hit]
    value = (2 * np.sqrt(np.maximum(inside, 0)) * weights.astype(np.float32)[:, None, None])[hit]
    np.maximum.at(image, index, value)


def to_pixels(fine: Float[np.ndarray, "f f"]) -> Float[np.ndarray, "h w"]:
    """Average the fine grid down to the frame's pixels."""
    size = fine.shape[0] // SUPERSAMPLE
    return fine.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE).mean(axis=(1, 3))


def coverage(fine: Float[np.ndarray, "f f"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of which a tube covers at least half."""
    return to_pixels((fine > 0).astype(np.float32)) >= 0.5
