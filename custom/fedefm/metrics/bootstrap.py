"""How sure a mean is, with as few images as hospitals have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedefm.errors import DataError

RESAMPLES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean with its percentile interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: Sequence[float],
    groups: Sequence[str] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Mean of figures of images, with its percentile bootstrap interval (Efron 1979).

    Args:
        values: one figure an image.
        groups: the patient of each image; patients are then drawn, not images, as frames of one patient are alike.
        seed: the same seed gives the same interval.
        resamples: how many samples are drawn.
        level: share of the samples inside the interval.

    Returns:
        None for no values; both ends equal the mean where there is one group only, which says nothing of the spread.

    Raises:
        DataError: values and groups differ in number, or a value is NaN or infinite.
    """
    if groups is not None and len(groups) != len(values):
        raise DataError(f"bootstrap: {len(values)} values and {len(groups)} groups; give one group a value")
    if not np.isfinite(values).all():
        raise DataError("bootstrap: a value is NaN or infinite; leave out images without the figure")
    if not len(values):
        return None
    sums, counts = _by_group(values, range(len(values)) if groups is None else groups)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (resamples, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def _by_group(values: Sequence[float], groups: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    order = {group: k for k, group in enumerate(dict.fromkeys(groups))}
    place = np.array([order[group] for group in groups])
    return np.bincount(place, weights=np.asarray(values, float)), np.bincount(place)
