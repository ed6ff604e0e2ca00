"""Pictures and masks of any size to one square, aspect kept, and masks back again."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Integer
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from fedefm.data.normalise import BLACK
from fedefm.errors import DataError

_LEAST = 0.4  # share of a thin structure's full coverage that a pixel of the square must have
_THICK = 0.5 / _LEAST  # width, in pixels of the square, from which on half of a pixel is the bound for thin ones too
_TIE = 1 - 1e-9  # a share that rounding puts just below its bound has reached it


@dataclass(frozen=True)
class Letterbox:
    """Geometry of one picture in a square: scaled by one factor, centred, the rest padded.

    Attributes:
        height: rows of the picture in the file.
        width: columns of the picture in the file.
        size: side of the square.
    """

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.size) < 1:
            raise DataError(f"a picture of {self.height} x {self.width} does not fit a square of {self.size}")

    @property
    def scale(self) -> float:
        """Pixels of the square for one pixel of the file."""
        return self.size / max(self.height, self.width)

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of the scaled picture inside the square."""
        return max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale))

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the scaled picture lies in the square."""
        rows, columns = self.inner
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        return slice(top, top + rows), slice(left, left + columns)


def fit_images(frames: Float[np.ndarray, "f h w"], box: Letterbox) -> Float[Tensor, "f 1 s s"]:
    """Normalised frames on the square, float32; antialiased bilinear, the border black."""
    images = torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32))[:, None]
    if box.inner != (box.height, box.width):
        images = functional.interpolate(images, size=box.inner, mode="bilinear", antialias=True, align_corners=False)
    if box.inner == (box.size, box.size):
        return images
    square = torch.full((len(images), 1, box.size, box.size), BLACK)
    square[:, :, box.window[0], box.window[1]] = images
    return square


def fit_masks(labels: Integer[np.ndarray, "f h w"], box: Letterbox) -> Int64[Tensor, "f s s"]:
    """Label maps (0 for background, small whole numbers for classes) on the square, int64, the border background.

    Each class gets the pixels of the square of which it covers half, and those of which its thin parts cover 0.4 w/f,
    with w their mean width in the frame and f the file's pixels to one of the square. Thin is what no square of 1.25 f
    pixels fits into, but for the border of what is thick. Where several classes qualify, the one with the smallest area
    in the frame wins, so that a wire is not lost inside a vessel.

    The reason: a line of width w < f covers w/f of what it crosses, shared by two pixels at worst, so 0.5 w/f keeps it
    in one piece, where nearest neighbour or a bound of 1/2 tears a wire apart; the rest is slack for a width that was
    drawn unevenly. Thin parts are measured by themselves because a class may hold both: of a tree of vessels the mean
    width is that of its trunk, which would cut the twigs off.
    """
    square = np.zeros((len(labels), box.size, box.size), np.int64)
    for frame, target in zip(labels, square, strict=True):
        target[box.window] = _shrink(frame, box)
    return torch.from_numpy(square)


def restore_mask(mask: Integer[np.ndarray, "s s"], box: Letterbox) -> Integer[np.ndarray, "h w"]:
    """A label map of the square back on the pixels of the file, nearest neighbour."""
    inner = mask[box.window]
    rows = (np.arange(box.height) * 2 + 1) * box.inner[0] // (2 * box.height)
    columns = (np.arange(box.width) * 2 + 1) * box.inner[1] // (2 * box.width)
    return inner[rows[:, None], columns]


def _shrink(frame: NDArray[np.integer], box: Letterbox) -> NDArray[np.integer]:
    if box.inner == frame.shape:
        return frame
    areas = np.bincount(frame.ravel())
    shrunk = np.zeros(box.inner, np.int64)
    for value in np.argsort(-areas, kind="stable"):  # the smallest is painted last and stays
        if value != 0 and areas[value] > 0:
            shrunk[_shrink_region(frame == value, box)] = value
    return shrunk


def _shrink_region(region: Bool[np.ndarray, "h w"], box: Letterbox) -> Bool[np.ndarray, "r c"]:
    shrunk = _coverage(region, box.inner) >= 0.5 * _TIE
    width = _THICK / box.scale
    thin = _thin_parts(region, math.ceil(width))
    while thin.any():
        width /= 2
        thinner = _thin_parts(thin, math.ceil(width))
        band = thin & ~thinner
        if band.any():
            least = _LEAST * mean_width(band) * box.scale
            shrunk |= _coverage(thin, box.inner) >= least * _TIE
        thin = thinner
    return shrunk


def _thin_parts(region: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """Where no square of `width` pixels fits in, without the slivers along the border of what is thick."""
    if width <= 1:
        return np.zeros_like(region)
    thick = ndimage.grey_opening(region.view(np.uint8), width, mode="constant").view(bool)
    thin = region & ~thick
    away = thin & ~ndimage.maximum_filter(thick, width | 1, mode="constant")
    parts, count = ndimage.label(thin, np.ones((3, 3), bool))
    kept = np.zeros(count + 1, bool)
    kept[parts[away]] = True
    return kept[parts]


def mean_width(region: Bool[np.ndarray, "h w"]) -> float:
    """Mean width of a region in pixels: twice its area by its outline, that of a long band; 0 where it is empty."""
    padded = np.pad(region, 1)
    outline = np.count_nonzero(np.diff(padded, axis=0)) + np.count_nonzero(np.diff(padded, axis=1))
    return 2.0 * np.count_nonzero(region) / outline if outline else 0.0


def _coverage(region: Bool[np.ndarray, "h w"], shape: tuple[int, int]) -> Float[np.ndarray, "r c"]:
    """The share of each pixel of a coarser (or finer) grid that a region covers, exact."""
    return _area_average(_area_average(region.astype(np.float64), shape[0]).T, shape[1]).T


def _area_average(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Average `values` along the first axis over `count` equal, possibly fractional, intervals."""
    length = len(values)
    edges = np.arange(count + 1) * (length / count)
    whole = np.minimum(edges.astype(np.int64), length - 1)
    before = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at_edge = before[whole] + (edges - whole)[:, None] * values[whole]
    return np.diff(at_edge, axis=0) * (count / length)
