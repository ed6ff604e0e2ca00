"""What contrast medium in the vessels does to a frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from fedefm.data.synth.canvas import SUPERSAMPLE, Canvas, Tubes, coverage, project_tubes
from fedefm.data.synth.looks import Look
from fedefm.data.synth.vessels import VascularMap

SMALLEST = (0.7, 0.5)
"""Least radius of a labelled vessel, in units and in pixels: an annotator does not see the ones below."""


def contrast_shadow(
    canvas: Canvas, vessels: VascularMap, look: Look, phase: str, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "f f"], Bool[np.ndarray, "h w"]]:
    """Return the attenuation of the vessels on the fine grid, and the pixels of the visible filled ones.

    Before the injection ("none") nothing is filled or labelled; while it washes in ("front") only vessels near the
    first one are; while it washes out ("weak") all are, with less.
    """
    tubes, reach = _gathered(vessels)
    weights = _filling(reach, phase, rng)
    filled = _part(tubes, weights)
    seen = filled.radii >= max(SMALLEST[0], SMALLEST[1] * canvas.unit)
    labelled = Tubes(filled.points[seen], filled.radii[seen], filled.weights[seen])
    chord = project_tubes(canvas, filled)
    if look.depth > 0:
        chord = look.depth * float(weights.max(initial=0)) * (chord > 0)
    return look.vessel_mu * chord + _walls(canvas, tubes, look), coverage(project_tubes(canvas, labelled))


def _gathered(vessels: VascularMap) -> tuple[Tubes, Float[np.ndarray, " n"]]:
    """Return all branches as tubes of full weight, and the contrast's way to each sample."""
    points = np.concatenate([branch.points for branch in vessels.branches])
    radii = np.concatenate([branch.radii for branch in vessels.branches])
    reach = np.concatenate([branch.reach for branch in vessels.branches])
    return Tubes(points, radii, np.ones(len(radii))), reach


def _filling(reach: Float[np.ndarray, " n"], phase: str, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Return the concentration of contrast medium at each sample, about 1 where undiluted."""
    full, weak, share = rng.uniform(0.85, 1.1), rng.uniform(0.5, 0.7), rng.uniform(0.45, 0.7)
    if phase == "none":
        return np.zeros(len(reach))
    if phase == "front":
        far = np.quantile(reach, share)
        return full * np.clip((far - reach) / 12 + 0.3, 0, 1) * (reach <= far)
    return np.full(len(reach), weak if phase == "weak" else full)


def _part(tubes: Tubes, weights: Float[np.ndarray, " n"]) -> Tubes:
    """Return the samples of positive weight, with these weights."""
    chosen = weights > 0
    return Tubes(tubes.points[chosen], tubes.radii[chosen], weights[chosen])


def _walls(canvas: Canvas, tubes: Tubes, look: Look) -> Float[np.ndarray, "f f"]:
    """Return the attenuation of the vessels' walls, which shows without contrast in a silicone model only."""
    if look.wall_mu == 0:
        return np.zeros((SUPERSAMPLE * canvas.size,) * 2, dtype=np.float32)
    outer = Tubes(tubes.points, tubes.radii + 1.3, tubes.weights)
    return look.wall_mu * (project_tubes(canvas, outer) - project_tubes(canvas, tubes))
