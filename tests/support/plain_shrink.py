"""The definition of `fit_masks` by scipy's filters over whole frames: plain and slow, the oracle of the quick one."""

import math

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import ndimage

from fedefm.data.letterbox import Letterbox, mean_width

LEAST = 0.4
THICK = 0.5 / LEAST
TIE = 1 - 1e-9


def plain_shrink(frame: NDArray[np.integer], box: Letterbox) -> NDArray[np.integer]:
    if box.inner == frame.shape:
        return frame
    areas = np.bincount(frame.ravel())
    shrunk = np.zeros(box.inner, np.int64)
    for value in np.argsort(-areas, kind="stable"):  # the smallest is painted last and stays
        if value != 0 and areas[value] > 0:
            shrunk[_shrink_region(frame == value, box)] = value
    return shrunk


def _shrink_region(region: Bool[np.ndarray, "h w"], box: Letterbox) -> Bool[np.ndarray, "r c"]:
    shrunk = _coverage(region, box.inner) >= 0.5 * TIE
    width = THICK / box.scale
    thin = _thin_parts(region, math.ceil(width))
    while thin.any():
        width /= 2
        thinner = _thin_parts(thin, math.ceil(width))
        band = thin & ~thinner
        if band.any():
            least = LEAST * mean_width(band) * box.scale
            shrunk |= _coverage(thin, box.inner) >= least * TIE
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
