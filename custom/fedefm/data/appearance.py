"""What an image looks like in ten figures, whatever it shows: its grey values, its sharpness and its noise.

They are taken of what the network sees, so they know nothing of the size or the depth of a file. No figure knows where
something lies, and ten of them give no picture back.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fedefm.data.normalise import BLACK

FIGURES = 10
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEAST = 1e-4  # of a band's mean square, in squared units of `normalise`; a plain picture has none
_FEWEST = 8  # pixels to a side


def appearance(images: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n d"]:
    """Ten figures of each image.

    Five quantiles of its grey values; how strong its details are in three bands (finer than 3, 9 and 27 pixels), as the
    logarithm of their mean square; how far the finest band is from normal noise, as the logarithm of its kurtosis; and
    the share of its darkest values that lie together.

    Args:
        images: normalised, on the network's square; the black border that fills it up does not count.

    Returns:
        float64; zeros for an image that is nothing but border.
    """
    return np.stack([_figures(_without_border(image.astype(np.float64))) for image in images])


def _figures(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, " d"]:
    if min(image.shape) < _FEWEST:
        return np.zeros(FIGURES)
    smooth = [image, *(ndimage.uniform_filter(image, width) for width in (3, 9, 27))]
    bands = [fine - coarse for fine, coarse in pairwise(smooth)]
    energy = [float(np.mean(band**2)) + _LEAST for band in bands]
    kurtosis = (float(np.mean(bands[0] ** 4)) + _LEAST**2) / energy[0] ** 2
    quantiles = np.quantile(image, _QUANTILES)
    dark = image < quantiles[0]
    together = float(ndimage.uniform_filter(dark.astype(np.float64), 3)[dark].mean()) if dark.any() else 0.0
    return np.array([*quantiles, *np.log(energy), np.log(kurtosis), together])


def _without_border(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """The picture without rows and columns at its edges that are wholly black."""
    shown = image != BLACK
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else image[:0]
