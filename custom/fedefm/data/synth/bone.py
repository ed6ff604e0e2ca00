"""Bones in projection: the spine and the ribs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.texture import band, clouds, line, step


def spine(
    canvas: Canvas,
    rng: np.random.Generator,
    axis: Float[np.ndarray, "h 1"],
    *,
    period: float,
    half_width: float,
    density: float,
) -> Float[np.ndarray, "h w"]:
    """Return a row of waisted vertebral bodies with end plates, pedicles, spinous processes and trabeculae.

    Args:
        canvas: the pixel grid.
        rng: source of its variation.
        axis: x of the spine's middle in each row, in units.
        period: height of a vertebra with its disc, in units.
        half_width: half the width of a body, in units.
        density: attenuation that the bodies add.
    """
    x, y = canvas.grid()
    across = (x - axis) / half_width
    along = (y + rng.uniform(0, period)) / period
    phase = along - np.floor(along) - 0.5 + 0.03 * across**2
    waist = 1 - 0.10 * np.cos(2 * np.pi * phase)
    body = step((waist - np.abs(across)) * half_width, 1.2)
    disc = step((np.abs(phase) - 0.42) * period, 0.8)
    plates = line((np.abs(phase) - 0.40) * period, 1.1) * body
    cortex = line((np.abs(across) - waist) * half_width + 1.0, 1.3) * (1 - disc)
    pedicles = _ring(across, phase, -0.6, half_width, period) + _ring(across, phase, 0.6, half_width, period)
    spinous = line(np.hypot(across * half_width / 2.4, (phase - 0.18) * period / 6.5) - 0.8, 0.5)
    bone = body * (1 - 0.45 * disc) * (1 + 0.10 * clouds(canvas, rng, 3.0))
    return density * (bone + 0.22 * plates + 0.22 * cortex + 0.28 * pedicles + 0.25 * spinous)


def _ring(
    across: Float[np.ndarray, "h w"], phase: Float[np.ndarray, "h w"], place: float, half_width: float, period: float
) -> Float[np.ndarray, "h w"]:
    """Return a pedicle seen end on: an oval ring at `place` of the body's half width."""
    return line(np.hypot((across - place) * half_width / 3.6, (phase + 0.12) * period / 5.0) - 1, 0.35)


def ribs(
    canvas: Canvas, rng: np.random.Generator, spine_x: float, count: int, density: float
) -> Float[np.ndarray, "h w"]:
    """Return hollow ribs: two cortical lines around a faint body, arching away from the spine on either side."""
    x, y = canvas.grid()
    total = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    first = rng.uniform(-1.3, -0.9) * canvas.half
    pitch = 2.3 * canvas.half / max(count, 1)
    slope, bend, thick = rng.uniform(0.15, 0.55), rng.uniform(0.0008, 0.003), rng.uniform(4.5, 6.5)
    for i in range(count):
        away = np.abs(x - spine_x)
        right = step(x - spine_x, 4.0)
        steepness = slope * (rng.uniform(0.7, 1.3) * right + rng.uniform(0.7, 1.3) * (1 - right))
        middle = first + i * pitch + rng.normal(0, 5) + steepness * away - bend * away**2
        distance = (y - middle) / np.sqrt(1 + (steepness - 2 * bend * away) ** 2)
        edges = line(distance - thick, 1.2) + line(distance + thick, 1.0)
        total = total + density * rng.uniform(0.6, 1.3) * (edges + 0.5 * band(distance, thick, 1.0))
    return total
