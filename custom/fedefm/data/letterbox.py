"""Pictures and masks of any size to one square, aspect kept, and masks back again."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from numpy.typing import NDArray
from scipy import ndimage, sparse
from torch import Tensor
from torch.nn import functional

from fedefm.data.normalise import BLACK
from fedefm.errors import DataError

VERSION = 1
"""To be raised with every change of the pixels that come out: what was kept of an earlier one is then made anew."""

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


def fit_masks(labels: Integer[np.ndarray, "f h w"], box: Letterbox) -> Integer[np.ndarray, "f s s"]:
    """Label maps (0 for background, small whole numbers for classes) on the square, of the type that they came in.

    The border is background.
    Each class gets the pixels of the square of which it covers half, and those of which its thin parts cover 0.4 w/f,
    with w their mean width in the frame and f the file's pixels to one of the square. Thin is what no square of 1.25 f
    pixels fits into, but for the border of what is thick. Where several classes qualify, the one with the smallest area
    in the frame wins, so that a wire is not lost inside a vessel.

    The reason: a line of width w < f covers w/f of what it crosses, shared by two pixels at worst, so 0.5 w/f keeps it
    in one piece, where nearest neighbour or a bound of 1/2 tears a wire apart; the rest is slack for a width that was
    drawn unevenly. Thin parts are measured by themselves because a class may hold both: of a tree of vessels the mean
    width is that of its trunk, which would cut the twigs off.
    """
    square = np.zeros((len(labels), box.size, box.size), labels.dtype)
    for frame, target in zip(labels, square, strict=True):
        target[box.window] = _shrink(frame, box)
    return square


def restore_mask(mask: Integer[np.ndarray, "s s"], box: Letterbox) -> Integer[np.ndarray, "h w"]:
    """A label map of the square back on the pixels of the file, nearest neighbour."""
    inner = mask[box.window]
    rows = (np.arange(box.height) * 2 + 1) * box.inner[0] // (2 * box.height)
    columns = (np.arange(box.width) * 2 + 1) * box.inner[1] // (2 * box.width)
    return inner[rows[:, None], columns]


def _shrink(frame: NDArray[np.integer], box: Letterbox) -> NDArray[np.integer]:
    if box.inner == frame.shape:
        return frame
    shrunk = np.zeros(box.inner, frame.dtype)
    areas = np.bincount(frame.ravel())
    for value in np.argsort(-areas, kind="stable"):  # the smallest is painted last and stays
        if value != 0 and areas[value] > 0:
            region = frame == value
            # A device fills a small part of the frame, so only that part is looked at: whole pixels of the square.
            rows, columns = (_Sums.around(region.any(1 - axis), box.inner[axis]) for axis in (0, 1))
            part = _shrink_region(region[rows.source, columns.source], rows, columns, box.scale)
            shrunk[rows.target, columns.target][part] = value
    return shrunk


def _shrink_region(
    region: Bool[np.ndarray, "h w"], rows: "_Sums", columns: "_Sums", scale: float
) -> Bool[np.ndarray, "r c"]:
    def coverage(part: NDArray[np.bool_]) -> NDArray[np.int32]:
        """How much of each pixel of a coarser (or finer) grid a part of the region covers; exact, of `whole`."""
        return (columns.weights @ (rows.weights @ part.astype(np.int32)).T).T

    whole = rows.total * columns.total
    of_region = coverage(region)
    shrunk = of_region >= 0.5 * _TIE * whole
    width = _THICK / scale
    thin = _thin_parts(region, math.ceil(width))
    while thin.any():
        width /= 2
        thinner = _thin_parts(thin, math.ceil(width))
        band = thin & ~thinner
        if band.any():
            least = _LEAST * mean_width(band) * scale
            covered = of_region if thin is region else coverage(thin)
            shrunk |= covered >= least * _TIE * whole
        thin = thinner
    return shrunk


def _thin_parts(region: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """Where no square of `width` pixels fits in, without the slivers along the border of what is thick."""
    if width <= 1:
        return np.zeros_like(region)
    thick = _opening(region, width)
    if not thick.any():
        return region
    thin = region & ~thick
    away = thin & ~_widened(thick, width // 2)
    if not away.any():
        return away
    parts, count = ndimage.label(thin, np.ones((3, 3), bool))
    kept = np.zeros(count + 1, bool)
    kept[parts[away]] = True
    thin[thin] = kept[parts[thin]]
    return thin


def _opening(region: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """All squares of `width` pixels that lie within the region: its morphological opening."""
    if width > min(region.shape):
        return np.zeros_like(region)
    corners = _in_windows(region, width, np.logical_and)
    return _in_windows(np.pad(corners, width - 1), width, np.logical_or)


def _widened(region: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """All that lies at most `reach` pixels from the region, diagonals counted as one."""
    return _in_windows(np.pad(region, reach), 2 * reach + 1, np.logical_or)


def _in_windows(region: NDArray[np.bool_], width: int, join: Callable[..., NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """`join` over each square of `width` pixels, by its upper left corner; the rows first, then the columns.

    A run of twice the length is two runs, so few passes over the whole do; scipy's filters look at pixel by pixel.
    """
    for _ in range(2):
        reach = 1
        while reach < width:
            step = min(reach, width - reach)
            region = join(region[:-step], region[step:])
            reach += step
        region = region.T
    return region


def mean_width(region: Bool[np.ndarray, "h w"]) -> float:
    """Mean width of a region in pixels: twice its area by its outline, that of a long band; 0 where it is empty."""
    padded = np.pad(region, 1)
    outline = np.count_nonzero(np.diff(padded, axis=0)) + np.count_nonzero(np.diff(padded, axis=1))
    return 2.0 * np.count_nonzero(region) / outline if outline else 0.0


@dataclass(frozen=True)
class _Sums:
    """Sums along one axis over equal, possibly fractional, intervals: a part of them, and the pixels that they touch.

    Attributes:
        target: which intervals.
        source: which pixels.
        weights: how much of each pixel lies in each interval, in whole numbers.
        total: what the weights of an interval sum to.
    """

    target: slice
    source: slice
    weights: sparse.csr_array
    total: int

    @classmethod
    def around(cls, there: Bool[np.ndarray, " n"], count: int) -> "_Sums":
        """Those of `count` intervals that touch a pixel which is there.

        Args:
            there: for each pixel; one at least is.
            count: intervals in all.
        """
        length = len(there)
        first, last = int(there.argmax()), length - 1 - int(there[::-1].argmax())
        begins, indices, shares = _shares(length, count)
        start, stop = first * count // length, -(-(last + 1) * count // length)
        entries = slice(begins[start], begins[stop])
        source = slice(int(indices[entries][0]), int(indices[entries][-1]) + 1)
        shape = (stop - start, source.stop - source.start)
        places = (shares[entries], indices[entries] - source.start, begins[start : stop + 1] - begins[start])
        return cls(slice(start, stop), source, sparse.csr_array(places, shape=shape), length)


@lru_cache(maxsize=64)  # a hospital's files have few sizes
def _shares(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Of `count` intervals over `length` pixels: where each begins in what follows, its pixels, and their shares.

    On a line of length * count, a pixel is `count` long and an interval `length`: all ends are whole numbers.
    """
    starts = np.arange(count) * length
    first, last = starts // count, (starts + length - 1) // count
    touched = last - first + 1
    begins = np.concatenate([[0], np.cumsum(touched)])
    interval = np.repeat(np.arange(count), touched)
    pixel = np.arange(begins[-1]) - np.repeat(begins[:-1] - first, touched)
    shares = np.minimum(starts[interval] + length, (pixel + 1) * count) - np.maximum(starts[interval], pixel * count)
    return begins, pixel, shares.astype(np.int32)
