"""One labelled frame: anatomy, contrast, devices, image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from fedefm.data.synth.background import BACKGROUNDS
from fedefm.data.synth.canvas import Canvas, to_pixels
from fedefm.data.synth.collimator import aperture
from fedefm.data.synth.contrast import contrast_shadow
from fedefm.data.synth.devices import cast_shadow, choose_kit, pose_devices
from fedefm.data.synth.looks import CLASSES, Look, jittered, look_named
from fedefm.data.synth.physics import display, expose
from fedefm.data.synth.vessels import VASCULAR_MAPS
from fedefm.errors import ConfigError

PHASES = ("none", "front", "full", "weak")
"""Phases of a contrast injection, in the order of a cine: before it, washing in, filled, washing out."""

_ABSENT = 0.13
_SMALLEST, _LARGEST = 32, 2048


@dataclass(frozen=True)
class SynthFrame:
    """A labelled frame.

    Attributes:
        image: (h, w) grey values.
        mask: (h, w) 0 background, 1 catheter, 2 guidewire, 3 vessel.
    """

    image: UInt8[np.ndarray, "h w"]
    mask: UInt8[np.ndarray, "h w"]


def default_magnification(size: int) -> float:
    """Return the zoom at which a catheter is about three pixels wide or more in a frame of this size."""
    return max(1.0, 192 / size)


def render(look: str, size: int, seed: int, magnification: float | None = None) -> SynthFrame:
    """Return one frame of a patient of its own; the same arguments give the same bytes.

    Args:
        look: one of `LOOKS` or `HELD_BACK`.
        size: rows and columns, 32 to 2048.
        seed: what everything in the frame is drawn from.
        magnification: zoom of the field of view; by default `default_magnification(size)`.

    Raises:
        ConfigError: the look is unknown, or size, seed or magnification is out of range.
    """
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative: give 0 or more")
    phase = str(np.random.default_rng([seed, 1]).choice(PHASES, p=[0.3, 0.15, 0.4, 0.15]))
    return render_patient(look_named(look), canvas_for(size, magnification), (seed,), 0, phase)


def canvas_for(size: int, magnification: float | None) -> Canvas:
    """Return the pixel grid of a frame, after checking both values.

    Raises:
        ConfigError: size or magnification is out of range.
    """
    if not _SMALLEST <= size <= _LARGEST:
        raise ConfigError(f"size {size} is out of range: give {_SMALLEST} to {_LARGEST} pixels")
    zoom = default_magnification(size) if magnification is None else magnification
    if not 0.5 <= zoom <= 8:
        raise ConfigError(f"magnification {zoom} is out of range: give 0.5 to 8")
    return Canvas(size, zoom)


def render_patient(look: Look, canvas: Canvas, patient: Sequence[int], frame: int, phase: str) -> SynthFrame:
    """Return one frame of a patient.

    Args:
        look: the kind of fluoroscopy.
        canvas: the pixel grid.
        patient: what anatomy, room and exposure are drawn from.
        frame: what pose, motion and noise are drawn from, besides.
        phase: one of `PHASES`; in "full" both devices are in the frame.
    """
    anatomy, shape, room, pose, noise = _sources(patient, frame)
    look = jittered(look, room, 0.1)
    still = VASCULAR_MAPS[look.name](shape, canvas.half)
    kit = choose_kit(room, still, look)
    vessels = still.moved(pose, look.motion)
    attenuation, vessel = contrast_shadow(canvas, vessels, look, phase, pose)
    catheter, guidewire = present(pose, phase)
    lying = pose_devices(pose, vessels, kit, canvas, catheter=catheter, guidewire=guidewire)
    devices = cast_shadow(canvas, lying, kit, look)
    background = BACKGROUNDS[look.name](_breathed(canvas, pose), anatomy)
    opening = aperture(canvas, str(room.choice(look.collimators)), room)
    image = _picture(background + to_pixels(attenuation + devices.attenuation), opening, look, room, noise)
    mask = np.zeros(image.shape, dtype=np.uint8)
    for name, pixels in (("vessel", vessel), ("guidewire", devices.guidewire), ("catheter", devices.catheter)):
        mask[pixels & (opening > 0.5)] = 1 + CLASSES.index(name)
    return SynthFrame(image, mask)


def _breathed(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """Return the grid on which the background lies in this frame, moved by breath and table."""
    return replace(canvas, shift=(float(rng.normal(0, 1.0)), float(rng.normal(0, 2.5))))


def _sources(patient: Sequence[int], frame: int) -> tuple[np.random.Generator, ...]:
    """Return independent sources: anatomy, vessels, room (all of the patient), pose and noise (of the frame)."""
    fixed = [np.random.default_rng([*patient, 10 + part]) for part in range(3)]
    return (*fixed, *(np.random.default_rng([*patient, 20 + part, frame]) for part in range(2)))


def present(rng: np.random.Generator, phase: str) -> tuple[bool, bool]:
    """Return whether catheter and guidewire are in the frame; at least one of them nearly always is."""
    draw = rng.random()
    if phase == "full":
        return True, True
    return draw > _ABSENT, not _ABSENT - 0.01 < draw < 2 * _ABSENT


def _picture(
    attenuation: Float[np.ndarray, "h w"],
    opening: Float[np.ndarray, "h w"],
    look: Look,
    room: np.random.Generator,
    noise: np.random.Generator,
) -> UInt8[np.ndarray, "h w"]:
    """Return the displayed image, with the room's exposure and display."""
    axis = np.linspace(-1, 1, attenuation.shape[0], dtype=np.float32)
    corners = 1 - look.vignette * (axis[:, None] ** 2 + axis[None, :] ** 2) / 2
    exposure = expose(attenuation - np.log(corners), opening, look, noise)
    if look.window is None:
        return np.rint(255 * np.clip(exposure, 0, 1)).astype(np.uint8)
    grey = (min(look.grey[0] + room.uniform(0, 0.12), 1.0), max(look.grey[1] - room.uniform(0, 0.12), 0.0))
    image = display(exposure, opening, gamma=room.uniform(*look.gamma), grey=grey, window=look.window)
    return np.rint(opening * image + (1 - opening) * 255 * room.uniform(*look.border)).astype(np.uint8)
