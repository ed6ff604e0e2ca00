"""What lies behind no patient: the bench of a phantom, and the empty field of a simulator."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.texture import band, clouds, line, step, turned


def bench_phantom(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return an acrylic bench: plates with sharp edges, discs, screws, a ruler."""
    x, y = canvas.grid()
    total = 1.6 + 0.02 * clouds(canvas, rng, 80.0)
    for _ in range(rng.integers(2, 5)):
        total = total + _plate(canvas, rng)
    for _ in range(rng.integers(1, 4)):
        total = total + _disc(canvas, rng)
    for _ in range(rng.integers(2, 7)):
        place = rng.uniform(-0.95, 0.95, 2) * canvas.half
        far = np.hypot(x - place[0], y - place[1])
        total = total + 0.9 * step(rng.uniform(1.5, 2.8) - far, 0.3)
    return total + (_ruler(canvas, rng) if rng.random() < 0.5 else 0.0)


def empty_field(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return nothing: a simulator draws its vessels on white."""
    return np.zeros((canvas.size, canvas.size), dtype=np.float32)


def _plate(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return an acrylic plate: a turned rectangle with a bright line along its edges."""
    x, y = canvas.grid()
    centre = rng.uniform(-0.8, 0.8, 2) * canvas.half
    u, v = turned(x - centre[0], y - centre[1], rng.normal(0, 0.25))
    wide, high = rng.uniform(0.2, 0.9, 2) * canvas.half
    inside = np.minimum(wide - np.abs(u), high - np.abs(v))
    return rng.uniform(0.06, 0.18) * (step(inside, 0.4) - 0.3 * line(inside, 1.0))


def _disc(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a disc or ring."""
    x, y = canvas.grid()
    place, radius = rng.uniform(-0.9, 0.9, 2) * canvas.half, rng.uniform(5, 16)
    far = np.hypot(x - place[0], y - place[1])
    body = step(radius - far, 0.4)
    hole = step(0.45 * radius - far, 0.4) if rng.random() < 0.5 else 0.0
    return rng.uniform(0.15, 0.5) * (body - hole)


def _ruler(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return the lead marks of a ruler along one edge of the bench."""
    x, y = canvas.grid()
    place, pitch = rng.uniform(0.55, 0.8) * rng.choice([-1, 1]) * canvas.half, 6.0
    mark = band((y % pitch) - pitch / 2, 0.6, 0.25)
    long = 3.0 + 2.5 * ((y // pitch) % 5 == 0)
    return 0.5 * mark * step(long - np.abs(x - place), 0.3)
