"""A pig's abdomen, as behind animal experiments."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.bone import ribs, spine
from fedefm.data.synth.canvas import Canvas, Tubes, project_tubes, to_pixels
from fedefm.data.synth.curves import STEP, smooth_noise, walk
from fedefm.data.synth.texture import band, clouds, dome, step


def animal_abdomen(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a pig's abdomen: narrow tall vertebrae with transverse processes, low ribs, kidneys, mottled bowel gas."""
    x, y = canvas.grid()
    axis = rng.uniform(-0.4, 0.4) * canvas.half + rng.normal(0, 0.06) * y
    total = 3.4 + 0.10 * clouds(canvas, rng, 50.0) + 0.05 * clouds(canvas, rng, 12.0)
    total = total + spine(canvas, rng, axis, period=rng.uniform(28, 33), half_width=rng.uniform(12, 15), density=0.5)
    total = total + _transverse_processes(canvas, rng, axis, 30.0)
    total = total + ribs(canvas, rng, float(np.mean(axis)), int(rng.integers(2, 5)), 0.10)
    for side in (-1, 1):
        centre = axis + side * rng.uniform(38, 50)
        middle = rng.uniform(-0.5, 0.4) * canvas.half
        total = total + 0.14 * dome((x - centre) / 20, (y - middle) / 32)
    return total - bowel_gas(canvas, rng)


def bowel_gas(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return how much less gas-filled bowel attenuates: pouched loops, and the mottle of gas mixed with stool."""
    loops = [_loop(canvas, rng) for _ in range(rng.integers(2, 5))]
    tubes = Tubes(*(np.concatenate(parts) for parts in zip(*loops, strict=True)))
    chord = to_pixels(project_tubes(canvas, tubes))
    depth = np.clip(rng.normal(0.35, 0.22), 0.12, 0.8)
    mottle = step(clouds(canvas, rng, 6.0) + 0.6 * clouds(canvas, rng, 3.0) - 0.9, 0.25)
    mottled = step(clouds(canvas, rng, 40.0) - rng.uniform(0.0, 0.8), 0.25)
    return depth * np.sqrt(chord / 26) * (1 + 0.12 * clouds(canvas, rng, 7.0)) + 0.45 * depth * mottle * mottled


def _loop(canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, radii and weights of a gas-filled loop of bowel with its pouches."""
    start, length = rng.uniform(-1, 1, 2) * canvas.half + canvas.shift, rng.uniform(40, 130)
    points = walk(rng, start, rng.uniform(0, 2 * np.pi), length, turn=rng.normal(0, 2), wander=0.6, period=35.0)[::2]
    along = np.arange(len(points)) * 2 * STEP
    pouches = 1 + 0.22 * np.abs(np.sin(np.pi * along / rng.uniform(13, 20) + 0.6 * smooth_noise(rng, len(points), 8.0)))
    fade = np.sqrt(np.clip(np.minimum(along, along[::-1]) / 8, 0.15, 1))
    return points, rng.uniform(6, 12) * pouches * fade, np.full(len(points), rng.uniform(0.4, 1.0))


def _transverse_processes(
    canvas: Canvas, rng: np.random.Generator, axis: np.ndarray, period: float
) -> Float[np.ndarray, "h w"]:
    """Return short bars to both sides of each vertebra."""
    x, y = canvas.grid()
    phase = ((y + rng.uniform(0, period)) / period) % 1 - 0.5
    droop = phase * period - 0.12 * np.abs(x - axis)
    return 0.16 * band(droop, 2.2, 0.8) * step(30 - np.abs(x - axis), 1.5)
