"""Building blocks of projected anatomy: smooth noise, soft edges, bands."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.canvas import Canvas

_LATTICE = 48


def clouds(canvas: Canvas, rng: np.random.Generator, scale: float) -> Float[np.ndarray, "h w"]:
    """Return smooth noise of mean 0 and deviation about 1 whose grains are `scale` units wide.

    Cubic B-splines over a random lattice that is fixed in the scene, so that all frames and sizes show the same grains.
    """
    lattice = rng.standard_normal((_LATTICE, _LATTICE)).astype(np.float32)
    x, y = canvas.grid()
    return 2.0 * (_spline_weights(y.ravel() / scale) @ lattice @ _spline_weights(x.ravel() / scale).T)


def _spline_weights(place: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """Return the cubic B-spline of each node of the lattice, which wraps around, at each place."""
    nodes = np.arange(_LATTICE, dtype=np.float32)
    far = np.abs((place[:, None] - nodes + _LATTICE / 2) % _LATTICE - _LATTICE / 2)
    inner, outer = np.clip(1 - far, 0, None), np.clip(2 - far, 0, None)
    return ((outer * outer * outer - 4 * inner * inner * inner) / 6).astype(np.float32)


def ridges(canvas: Canvas, rng: np.random.Generator, scale: float, width: float = 0.25) -> Float[np.ndarray, "h w"]:
    """Return fine winding lines, 0 to 1: the zero crossings of smooth noise."""
    return np.exp(-((clouds(canvas, rng, scale) / width) ** 2))


def step(distance: Float[np.ndarray, "..."], width: float) -> Float[np.ndarray, "..."]:
    """Return a soft edge: 0 far below distance 0 and 1 far above, `width` units wide."""
    return 1 / (1 + np.exp(np.clip(-distance / width, -30, 30)))


def line(distance: Float[np.ndarray, "..."], width: float) -> Float[np.ndarray, "..."]:
    """Return a soft line of 1 at distance 0, `width` units to each side."""
    return np.exp(-((distance / width) ** 2))


def band(distance: Float[np.ndarray, "..."], half: float, width: float) -> Float[np.ndarray, "..."]:
    """Return 1 where the distance is below `half` to either side, with soft edges."""
    return step(half - np.abs(distance), width)


def dome(x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the relative thickness of a ball of radius 1 in parallel projection."""
    return np.sqrt(np.maximum(1 - x**2 - y**2, 0))


def turned(
    x: Float[np.ndarray, "1 w"], y: Float[np.ndarray, "h 1"], angle: float
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Return the coordinates along and across a direction, which is `angle` radians off the x axis."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
