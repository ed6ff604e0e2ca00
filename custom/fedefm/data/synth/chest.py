"""A human chest, as behind coronary angiography."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.bone import ribs, spine
from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.texture import clouds, line, ridges, step, turned


def human_chest(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a chest: lung and mediastinum, heart, diaphragm, spine, ribs, lung markings, at times a wedge filter.

    The spine lies anywhere, also out of sight, as in left and right anterior oblique views.
    """
    x, y = canvas.grid()
    spine_x = rng.choice([-1, 1]) * rng.uniform(0.0, 1.5) * canvas.half
    axis = spine_x + rng.normal(0, 0.08) * y
    below = _diaphragm(canvas, rng)
    heart = rng.uniform(0.4, 0.8) * _heart(canvas, rng, spine_x)
    lung = (1 - _mediastinum(canvas, rng, axis)) * (1 - heart) * (1 - 0.8 * below)
    total = 3.1 + 0.12 * clouds(canvas, rng, 60.0) + 0.035 * clouds(canvas, rng, 18.0)
    total = total - rng.uniform(0.35, 0.9) * lung + rng.uniform(0.05, 0.35) * below
    total = total + (0.015 + 0.06 * lung) * _lung_markings(canvas, rng)
    period, half_width, density = rng.uniform([38, 21, 0.12], [46, 28, 0.34])
    total = total + spine(canvas, rng, axis, period=period, half_width=half_width, density=density)
    total = total + ribs(canvas, rng, spine_x, int(rng.integers(3, 7)), rng.uniform(0.04, 0.11))
    tilt = rng.uniform(0, 0.45) * turned(x, y, rng.uniform(0, 2 * np.pi))[0] / canvas.half
    return total + tilt + _wedge(canvas, rng) + _sternal_wires(canvas, rng)


def _mediastinum(canvas: Canvas, rng: np.random.Generator, axis: Float[np.ndarray, "h 1"]) -> Float[np.ndarray, "h w"]:
    """Return the share of soft tissue between the lungs, 0 to 1: a band around the spine with wavy borders."""
    x, y = canvas.grid()
    left = axis - rng.uniform(24, 60) + 6 * np.sin(y / rng.uniform(25, 60) + rng.uniform(0, 6))
    right = axis + rng.uniform(24, 60) + 6 * np.sin(y / rng.uniform(25, 60) + rng.uniform(0, 6))
    return step(x - left, rng.uniform(2, 7)) * step(right - x, rng.uniform(2, 7))


def _diaphragm(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return the share of abdomen under the dome of the diaphragm, 0 to 1."""
    x, y = canvas.grid()
    top = rng.uniform(0.25, 1.3) * canvas.half
    middle = rng.uniform(-1, 1) * canvas.half
    return step(y - top - (x - middle) ** 2 / rng.uniform(220, 600), rng.uniform(0.8, 2.0))


def _heart(canvas: Canvas, rng: np.random.Generator, spine_x: float) -> Float[np.ndarray, "h w"]:
    """Return the share of lung that the heart displaces, 0 to 1: a tilted oval, drawn out towards its vessels."""
    x, y = canvas.grid()
    centre = (rng.uniform(-25, 25) + 0.4 * spine_x, rng.uniform(0, 60))
    u, v = turned(x - centre[0], y - centre[1], rng.uniform(-0.6, 0.6))
    wide, high = rng.uniform(65, 110), rng.uniform(58, 90)
    far = np.hypot(u / wide, np.where(v > 0, v / high, v / (rng.uniform(2.0, 4.0) * high)))
    return step((1 - far) * high, rng.uniform(1.5, 5)) * (0.65 + 0.35 * np.clip(1 - far, 0, 1))


def _lung_markings(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return the vessels and bronchi of the lung: broken winding lines over a fine mottle."""
    coarse = ridges(canvas, rng, 26.0, 0.12) * step(clouds(canvas, rng, 20.0), 0.3)
    fine = ridges(canvas, rng, 12.0, 0.15) * step(clouds(canvas, rng, 14.0) - 0.2, 0.3)
    return 1.2 * coarse + 0.9 * fine + 0.5 * clouds(canvas, rng, 9.0) + 0.35 * clouds(canvas, rng, 4.0)


def _wedge(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"] | float:
    """Return the attenuation of a wedge filter that covers a bright corner, in some frames."""
    if rng.random() < 0.65:
        return 0.0
    x, y = canvas.grid()
    across, _ = turned(x, y, rng.uniform(0, 2 * np.pi))
    return rng.uniform(0.2, 0.5) * step(across - rng.uniform(0.3, 0.8) * canvas.half, 2.5)


def _sternal_wires(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"] | float:
    """Return the twisted wire loops that close a sternum after surgery, in a few patients."""
    if rng.random() < 0.92:
        return 0.0
    x, y = canvas.grid()
    total: Float[np.ndarray, "h w"] | float = 0.0
    left = rng.uniform(-0.5, 0.5) * canvas.half
    for row in np.arange(-0.8, 0.4, 0.45) * canvas.half:
        u, v = (x - left - rng.normal(0, 3)) / rng.uniform(11, 15), (y - row) / rng.uniform(5, 8)
        total = total + 0.5 * line((np.hypot(u, v) - 1) * 7, 0.8)
    return total
