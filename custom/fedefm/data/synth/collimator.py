"""The aperture that shapes the field of view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.canvas import Canvas


def aperture(canvas: Canvas, shape: str, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return how open the collimator is at each pixel, 0 to 1, with a penumbra of about a pixel.

    Args:
        canvas: the pixel grid.
        shape: none, square, rounded, octagon or circle.
        rng: source of its size and place.
    """
    if shape == "none":
        return np.ones((canvas.size, canvas.size), dtype=np.float32)
    x, y = (axis / canvas.half for axis in canvas.grid())
    shift, reach = rng.uniform(-0.02, 0.02, 2), rng.uniform(0.95, 1.02)
    across, down = np.abs(x - shift[0]), np.abs(y - shift[1])
    distance = {
        "square": lambda: np.maximum(across, down) - reach,
        "rounded": lambda: (across**16 + down**16) ** (1 / 16) - reach,
        "octagon": lambda: np.maximum(np.maximum(across, down), (across + down) / 1.45) - reach,
        "circle": lambda: np.hypot(across, down) - reach * 1.03,
    }[shape]()
    return (1 / (1 + np.exp(np.clip(distance / rng.uniform(0.004, 0.012), -30, 30)))).astype(np.float32)
