"""Masks that look like nothing, like blobs and like wires."""

import numpy as np
from scipy import ndimage


def blobs(seed: int, shape: tuple[int, int] = (48, 40), share: float = 0.2) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.5)
    return noise > np.quantile(noise, 1 - share)


def wire(seed: int, shape: tuple[int, int] = (64, 64), width: int = 3) -> np.ndarray:
    """A curve from the left border into the picture."""
    source = np.random.default_rng(seed)
    columns = np.arange(0, int(source.integers(30, 60)))
    rows = 32 + 12 * np.sin(columns / source.uniform(8, 16) + source.uniform(0, 6))
    mask = np.zeros(shape, bool)
    mask[rows.round().astype(int), columns] = True
    return ndimage.binary_dilation(mask, iterations=width // 2)


def point(row: int, column: int, shape: tuple[int, int] = (9, 9)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[row, column] = True
    return mask


EMPTY = np.zeros((9, 9), bool)
