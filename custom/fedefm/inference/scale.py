"""The grey scale of a run that is too long to hold: the percentiles of `fedefm.data.normalise`, frame by frame."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy.typing import NDArray

from fedefm.data.normalise import CLIP, PERCENTILES
from fedefm.data.shutter import without_rim
from fedefm.errors import DataError

MOST_VALUES = 1 << 20  # distinct grey values that are counted exactly; 16 bits have 65,536
_MOST_WHOLE = 1 << 17  # from the least to the greatest of whole numbers that are counted one by one


@dataclass(frozen=True)
class Scale:
    """The grey values that become -2 and 2; alike where a picture has one value only.

    Attributes:
        low: becomes -2.
        high: becomes 2.
        least: the darkest value, which padding (NaN) gets.
        field: where the X-ray picture is, as `field_of_view` finds it; None where it fills the frame.
    """

    low: float
    high: float
    least: float = 0.0
    field: Bool[np.ndarray, "h w"] | None = field(default=None, compare=False)

    @cached_property
    def inner(self) -> Bool[np.ndarray, "h w"] | None:
        """Where the X-ray picture is, without its rim; None where it fills the frame."""
        return None if self.field is None else without_rim(self.field)

    def normalise(self, frame: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
        """A frame as the network saw them in training; equals `fedefm.data.normalise.normalise` of the whole file."""
        unit = self._unit(frame)
        np.clip(unit, *CLIP, out=unit)
        unit -= np.float32(0.5)
        unit /= np.float32(0.25)
        return unit

    def to_grey(self, frame: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """A frame as 8 bits for the eye."""
        unit = self._unit(frame)
        np.clip(unit, 0, 1, out=unit)
        unit *= 255
        return np.round(unit, out=unit).astype(np.uint8)

    def _unit(self, frame: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
        span = np.float32(self.high - self.low)
        if span < np.finfo(np.float32).tiny:
            return np.full(frame.shape, np.float32(0.5))
        if (padding := np.isnan(frame)).any():
            frame = np.where(padding, np.float32(self.least), frame)
        with np.errstate(over="ignore"):
            unit: Float32[np.ndarray, "h w"] = frame - np.float32(self.low)
            unit /= span
        return unit


def survey(frames: Iterable[Float32[np.ndarray, "h w"]], most: int = MOST_VALUES) -> Scale:
    """The scale of a file, by one look at each of its frames.

    How often each value occurs is counted, so the percentiles are exact as long as there are at most `most` values;
    beyond, which only fractions reach, neighbours are merged and a percentile is off by a neighbour's distance.

    Raises:
        DataError: there is no frame.
    """
    values: NDArray[np.float32] = np.empty(0, np.float32)
    counts: NDArray[np.int64] = np.empty(0, np.int64)
    padding = 0
    for frame in frames:
        missing = np.isnan(frame)
        known = frame[~missing] if missing.any() else frame.ravel()
        padding += frame.size - known.size
        new, times = _counted(known)
        values, counts = _merge(np.concatenate([values, new]), np.concatenate([counts, times]))
        while len(values) > most:
            values, counts = values[::2], np.add.reduceat(counts, np.arange(0, len(counts), 2))
    if not len(values) and not padding:
        raise DataError("a run without frames; re-export it")
    if not len(values):
        return Scale(0.0, 0.0)
    counts[0] += padding
    low, high = (_percentile(values, counts, q) for q in PERCENTILES)
    least = float(values[0])
    return Scale(low, high, least) if high > low else Scale(least, float(values[-1]), least)


def _counted(known: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The values of a frame in order, and how many pixels have each; whole numbers need no sorting."""
    with np.errstate(invalid="ignore"):  # what is too large for an integer fails the comparison
        whole = known.astype(np.int64)
    if known.size and (whole == known).all() and np.ptp(known) < _MOST_WHOLE:
        least = whole.min()
        counts = np.bincount(whole - least)
        found = np.flatnonzero(counts)
        return (found + least).astype(np.float32), counts[found]
    values, times = np.unique(known, return_counts=True)
    return values, times


def _merge(values: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    distinct, place = np.unique(values, return_inverse=True)
    return distinct, np.bincount(place, weights=counts).astype(np.int64)


def _percentile(values: NDArray[np.float32], counts: NDArray[np.int64], q: float) -> float:
    """Linear between the two nearest of all pixels in order, as numpy's default."""
    last = np.cumsum(counts) - 1
    position = q / 100 * last[-1]
    below, above = (float(values[np.searchsorted(last, rank)]) for rank in (np.floor(position), np.ceil(position)))
    return below + (above - below) * (position - np.floor(position))
