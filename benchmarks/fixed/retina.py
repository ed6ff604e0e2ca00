"""A plain picture of a fundus: another modality for a bad hospital, nothing to train an eye clinic with."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from scipy.ndimage import gaussian_filter

from fedefm.data.synth.canvas import Canvas, Tubes, coverage, project_tubes, to_pixels
from fedefm.data.synth.texture import clouds
from fedefm.data.synth.vessels import human_coronaries


def fundus(size: int, rng: np.random.Generator) -> tuple[UInt8[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Return a bright disc with dark branching vessels and a brighter optic disc, and where the vessels are."""
    canvas = Canvas(size, max(1.0, 192 / size))
    rays = project_tubes(canvas, _vessels(canvas, rng))
    x, y = canvas.grid()
    far = np.hypot(x, y) / canvas.half
    centre = rng.uniform(-0.5, 0.5, 2) * canvas.half
    optic = np.exp(-(((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (0.12 * canvas.half) ** 2)))
    light = 0.62 - 0.15 * far**2 + 0.3 * optic + 0.03 * clouds(canvas, rng, 30.0)
    picture = np.where(far < 0.97, light * np.exp(-0.12 * to_pixels(rays)), 0.02)
    picture = gaussian_filter(picture, 0.6) + rng.normal(0, 0.01, picture.shape)
    vessels = coverage(rays) & (far < 0.97)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8), vessels


def _vessels(canvas: Canvas, rng: np.random.Generator) -> Tubes:
    branches = human_coronaries(rng, canvas.half).branches
    radii = np.concatenate([branch.radii for branch in branches])
    return Tubes(np.concatenate([branch.points for branch in branches]), radii, np.ones(len(radii)))
