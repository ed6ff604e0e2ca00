"""Plane curves: smooth, equally sampled, wandering."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

STEP = 1.0
"""Spacing of the samples of a curve, in units."""


def arc_length(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Return the length of the curve up to each of its points, starting at 0."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])


def resample(points: Float[np.ndarray, "n 2"], step: float = STEP) -> Float[np.ndarray, "m 2"]:
    """Return points on the same polyline at equal distances of about `step`."""
    length = arc_length(points)
    wanted = np.linspace(0, length[-1], max(int(length[-1] / step), 1) + 1)
    return np.stack([np.interp(wanted, length, points[:, axis]) for axis in (0, 1)], axis=1)


def spline(knots: Float[np.ndarray, "k 2"], step: float = STEP) -> Float[np.ndarray, "m 2"]:
    """Return the natural cubic spline through the knots, sampled at equal distances."""
    length = arc_length(knots)
    curve = CubicSpline(length, knots, bc_type="natural")
    return resample(curve(np.linspace(0, length[-1], 2 * max(int(length[-1] / step), 2))), step)


def smoothed(points: Float[np.ndarray, "n 2"], sigma: float) -> Float[np.ndarray, "n 2"]:
    """Return the curve after a Gaussian filter along its length, `sigma` in units, both ends kept."""
    if len(points) < 3:
        return points
    wide = gaussian_filter1d(points, sigma / STEP, axis=0, mode="nearest")
    ends = np.minimum(np.arange(len(points)), np.arange(len(points))[::-1]) * STEP
    keep = np.exp(-ends / max(sigma, 1e-6))[:, None]
    return keep * points + (1 - keep) * wide


def smooth_noise(rng: np.random.Generator, count: int, sigma: float) -> Float[np.ndarray, " n"]:
    """Return `count` values of mean 0 and deviation about 1 that vary over `sigma` samples: a sum of four waves."""
    frequency = rng.uniform(0.3, 1.5, (4, 1)) / max(sigma, 1e-6)
    waves = np.sin(frequency * np.arange(count) + rng.uniform(0, 2 * np.pi, (4, 1)))
    return waves.sum(axis=0) / np.sqrt(2)


def walk(
    rng: np.random.Generator,
    start: Float[np.ndarray, "2"],
    heading: float,
    length: float,
    *,
    turn: float = 0.0,
    wander: float = 0.3,
    period: float = 15.0,
) -> Float[np.ndarray, "m 2"]:
    """Return a curve that starts towards `heading` and meanders.

    Args:
        rng: source of the meanders.
        start: first point, in units.
        heading: first direction in radians, 0 to the right and pi / 2 downwards.
        length: arc length in units.
        turn: total change of direction from start to end, in radians.
        wander: deviation of the direction around its mean course, in radians.
        period: length over which the direction wanders, in units.
    """
    count = max(int(length / STEP), 2)
    along = np.linspace(0, 1, count)
    onset = np.minimum(1, along * length / period)
    direction = heading + turn * along + wander * onset * smooth_noise(rng, count, period / STEP / 2)
    steps = np.stack([np.cos(direction), np.sin(direction)], axis=1) * (length / count)
    return np.concatenate([np.asarray(start, dtype=np.float64)[None], start + np.cumsum(steps, axis=0)])


def normals(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Return the unit vector across the curve at each point."""
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return across / np.maximum(np.hypot(*across.T), 1e-9)[:, None]


def heading_at(points: Float[np.ndarray, "n 2"], index: int) -> float:
    """Return the direction of the curve at a point, in radians, over some neighbours."""
    first, last = max(index - 3, 0), min(index + 3, len(points) - 1)
    across, down = points[last] - points[first]
    return float(np.arctan2(down, across))
