"""Catheter and guidewire: one route, of which the catheter covers the first part and the wire the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fedefm.data.synth.canvas import Canvas, Tubes, coverage, project_tubes
from fedefm.data.synth.curves import normals, resample, smooth_noise, smoothed
from fedefm.data.synth.looks import Look
from fedefm.data.synth.vessels import VascularMap

LUMEN = 0.68
"""Inner against outer radius of a catheter."""

LUMEN_WEIGHT = 0.85
"""Share of the lumen's chord that does not attenuate: blood or contrast medium fills it."""

MARKER_LENGTH, MARKER_GAIN = 5.0, 2.5
"""Length of the radiopaque band at the catheter's tip in units, and its attenuation against the wall's."""

COIL_LENGTH, COIL_GAIN, COIL_RADIUS = 25.0, 1.2, 1.2
"""Length of the platinum coil at the wire's end in units, what it adds to the core's attenuation, and its radius."""

THINNEST = 0.72
"""Least radius in pixels with which a wire is labelled, so that its mask does not break up."""

STEP = 0.4
"""Spacing of a device's samples, in units."""


@dataclass(frozen=True)
class Kit:
    """The devices that a patient is treated with.

    Attributes:
        catheter_radius: outer radius in units.
        guidewire_radius: radius in units.
        target: branch of the vascular map that the wire is steered into.
        shows_through: whether the wire is seen inside the catheter.
    """

    catheter_radius: float
    guidewire_radius: float
    target: int
    shows_through: bool


@dataclass(frozen=True)
class Pose:
    """Where the devices lie in one frame; a device that is absent has no points.

    Attributes:
        catheter: (n, 2) centreline from outside the field to the tip, in units.
        guidewire: (m, 2) centreline from the catheter's tip onwards, in units.
        inside: (k, 2) the part of the wire within the catheter, seen but not labelled.
    """

    catheter: Float[np.ndarray, "n 2"]
    guidewire: Float[np.ndarray, "m 2"]
    inside: Float[np.ndarray, "k 2"]


@dataclass(frozen=True)
class Shadow:
    """What the devices do to a frame.

    Attributes:
        attenuation: (f, f) on the fine grid.
        catheter: (h, w) the catheter's pixels.
        guidewire: (h, w) the wire's pixels beyond the catheter's tip.
    """

    attenuation: Float[np.ndarray, "f f"]
    catheter: Bool[np.ndarray, "h w"]
    guidewire: Bool[np.ndarray, "h w"]


def choose_kit(rng: np.random.Generator, vessels: VascularMap, look: Look) -> Kit:
    """Return the devices of one patient."""
    return Kit(
        catheter_radius=rng.uniform(*look.catheter_radius),
        guidewire_radius=rng.uniform(*look.guidewire_radius),
        target=vessels.targets[rng.integers(len(vessels.targets))],
        shows_through=bool(rng.random() < 0.4),
    )


def pose_devices(
    rng: np.random.Generator, vessels: VascularMap, kit: Kit, canvas: Canvas, *, catheter: bool, guidewire: bool
) -> Pose:
    """Return the devices as far as they are advanced in one frame.

    The catheter's tip lies near the ostium where an access way leads to one, else anywhere in the middle of the
    route in sight. A wire without catheter comes in from the border.
    """
    route = _stiff_route(rng, vessels, kit.target)
    first, last = _longest_run(np.all(np.abs(route) < 0.93 * canvas.half, axis=1))
    tip = _tip(rng, first, last, len(vessels.access) if len(vessels.access) > 1 else None)
    end = tip + int((last - tip) * rng.uniform(0.6, 1.0))
    nothing = route[:0]
    return Pose(
        catheter=route[: tip + 1] if catheter else nothing,
        guidewire=route[tip if catheter else 0 : end + 1] if guidewire else nothing,
        inside=route[: tip + 1] if catheter and guidewire and kit.shows_through else nothing,
    )


def _stiff_route(rng: np.random.Generator, vessels: VascularMap, target: int) -> Float[np.ndarray, "n 2"]:
    """Return the way into a branch as a wire takes it: bends cut as wide as the vessel allows, at times at its wall."""
    stiffness = 3 + float(vessels.branches[0].radii.mean())
    route = resample(smoothed(resample(vessels.route(target)), stiffness), STEP)
    return route + normals(route) * (1.2 * smooth_noise(rng, len(route), 25 / STEP))[:, None]


def _longest_run(seen: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    """Return the first and last index of the longest unbroken run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest]) - 1


def _tip(rng: np.random.Generator, first: int, last: int, access: int | None) -> int:
    """Return the index of the catheter's tip within the route in sight, given the length of the way to the ostium."""
    low, high = first + 0.3 * (last - first), first + 0.7 * (last - first)
    wanted = rng.uniform(low, high) if access is None else (access + rng.normal(2, 5)) / STEP
    return int(np.clip(wanted, low, high))


def cast_shadow(canvas: Canvas, pose: Pose, kit: Kit, look: Look) -> Shadow:
    """Return the devices' attenuation and their pixels."""
    catheter, catheter_pixels = _catheter(canvas, pose.catheter, kit.catheter_radius, look.catheter_mu)
    guidewire, guidewire_pixels = _guidewire(canvas, pose, kit.guidewire_radius, look.guidewire_mu)
    return Shadow(catheter + guidewire, catheter_pixels, guidewire_pixels & ~catheter_pixels)


def _catheter(
    canvas: Canvas, points: Float[np.ndarray, "n 2"], radius: float, mu: float
) -> tuple[Float[np.ndarray, "f f"], Bool[np.ndarray, "h w"]]:
    """Return a hollow tube with a marker band at its tip, and the pixels that it covers."""
    outer, lumen = _tube(canvas, points, radius), _tube(canvas, points, LUMEN * radius)
    marker = _tube(canvas, points[-int(MARKER_LENGTH / STEP) :], radius)
    wall = outer - LUMEN_WEIGHT * lumen
    return mu * (wall + (MARKER_GAIN - 1) * np.minimum(marker, wall)), coverage(outer)


def _guidewire(
    canvas: Canvas, pose: Pose, radius: float, mu: float
) -> tuple[Float[np.ndarray, "f f"], Bool[np.ndarray, "h w"]]:
    """Return a thin wire with a denser coil at its end, and the pixels that it covers beyond the catheter."""
    core, inside = _tube(canvas, pose.guidewire, radius), _tube(canvas, pose.inside, radius)
    coil = _tube(canvas, pose.guidewire[-int(COIL_LENGTH / STEP) :], COIL_RADIUS * radius)
    labelled = _tube(canvas, pose.guidewire, max(radius, THINNEST * canvas.unit))
    return mu * np.maximum(core + COIL_GAIN * coil, 0.5 * inside), coverage(np.maximum(labelled, coil))


def _tube(canvas: Canvas, points: Float[np.ndarray, "n 2"], radius: float) -> Float[np.ndarray, "f f"]:
    """Return the chords of a tube of one radius."""
    return project_tubes(canvas, Tubes(points, np.full(len(points), radius), np.ones(len(points))))
