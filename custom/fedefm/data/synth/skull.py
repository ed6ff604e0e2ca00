"""A skull from the side, as in the lateral plane of a biplane room."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.texture import band, clouds, dome, line, ridges, step


def lateral_skull(canvas: Canvas, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a skull from the side: vault, base, petrous bone, air cells, sutures and meningeal grooves."""
    half = canvas.half
    x, y = (axis / half for axis in canvas.grid())
    side = rng.choice([-1.0, 1.0])
    u = side * x
    centre, reach = rng.normal([0.05, -0.02], 0.04), rng.uniform(1.04, 1.18)
    far = np.hypot((u - centre[0]) / 1.08, (y - centre[1]) / 0.98) - reach
    brain = step(-far, 0.008)
    rim = line(far + 0.035, 0.018) + 0.8 * line(far + 0.095, 0.012) + 0.4 * band(far + 0.065, 0.03, 0.01)
    total = 1.4 + 1.5 * brain + 0.45 * rim + 0.06 * clouds(canvas, rng, 60.0) + 0.02 * clouds(canvas, rng, 12.0)
    base = y - (0.42 + 0.28 * u + 0.05 * np.sin(5 * u + rng.uniform(0, 6)))
    total = total + 0.85 * step(base, 0.03) + 0.35 * line(base, 0.03)
    total = total + 0.9 * dome((u - 0.18) / 0.26, (y - 0.62) / 0.2) + 0.25 * clouds(canvas, rng, 9.0) * step(base, 0.1)
    cells = step(ridges(canvas, rng, 13.0, 0.8) - 0.45, 0.08) * band(np.hypot(u - 0.45, y - 0.7), 0.2, 0.03)
    sinus = dome((u + 0.75) / 0.3, (y - 0.55) / 0.3)
    grooves = 0.05 * (ridges(canvas, rng, 40.0, 0.08) + ridges(canvas, rng, 25.0, 0.06)) * brain
    return total - 0.45 * cells - 0.8 * sinus + grooves
