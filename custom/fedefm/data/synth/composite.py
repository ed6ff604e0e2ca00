"""Catheter and guidewire on a real frame: the devices take away radiation, as they do between tube and detector.

A real picture behind a device of transmission T (Beer-Lambert, blurred by focal spot and detector) has, with scattered
radiation S for each part of primary, m = (T + S) / (1 + S) of its grey above black. Its quantum noise falls with the
root of the radiation and not with the radiation, so the difference is added again: variance sigma^2 (m - m^2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from fedefm.data.synth.canvas import Canvas, to_pixels
from fedefm.data.synth.devices import cast_shadow, choose_kit, pose_devices
from fedefm.data.synth.frame import PHASES, default_magnification, present
from fedefm.data.synth.looks import CLASSES, Look, jittered, look_named
from fedefm.data.synth.vessels import VASCULAR_MAPS

LOOK = "human"
"""Whose devices and ways through the body are drawn."""

DEVICES = ("catheter", "guidewire")
_SEEN = 0.03  # share of the greys above black below which a pixel is the shadow of the collimator
_BEHIND = 2.0  # pixels over which that is looked at
_PAINTED = 7  # pixels a side that are all of one grey: a real picture has noise, but where it is white all over
_WHITE = 0.9


@dataclass(frozen=True)
class Composite:
    """A real frame with devices.

    Attributes:
        image: grey values in the unit of the frame.
        mask: 0 background, 1 catheter, 2 guidewire.
    """

    image: Float32[np.ndarray, "h w"]
    mask: UInt8[np.ndarray, "h w"]


def draw_devices(frame: Float32[np.ndarray, "h w"], black: float, patient: Sequence[int], number: int) -> Composite:
    """Draw devices on a real frame; the same arguments give the same bytes.

    Args:
        frame: grey values, brighter for more radiation; of any shape.
        black: grey value of no radiation.
        patient: what devices, room and anatomy are drawn from.
        number: what pose and noise are drawn from, besides.
    """
    height, width = frame.shape
    canvas = Canvas(max(height, width), default_magnification(max(height, width)))
    shape, room = (np.random.default_rng([*patient, 30 + part]) for part in range(2))
    pose, noise = (np.random.default_rng([*patient, 40 + part, number]) for part in range(2))
    look = jittered(look_named(LOOK), room, 0.1)
    still = VASCULAR_MAPS[LOOK](shape, canvas.half)
    kit = choose_kit(room, still, look)
    catheter, guidewire = present(pose, str(pose.choice(PHASES)))
    lying = pose_devices(pose, still.moved(pose, look.motion), kit, canvas, catheter=catheter, guidewire=guidewire)
    shadow = cast_shadow(canvas, lying, kit, look)
    top, left = (canvas.size - height) // 2, (canvas.size - width) // 2
    within = np.s_[top : top + height, left : left + width]
    seen = _is_seen(frame, black)
    share = np.where(seen, _share(to_pixels(shadow.attenuation)[within], look), np.float32(1))
    mask = np.zeros(frame.shape, np.uint8)
    for name, pixels in (("guidewire", shadow.guidewire), ("catheter", shadow.catheter)):
        mask[pixels[within] & seen] = 1 + CLASSES.index(name)
    grey = frame - np.float32(black)
    grain = _grain(frame, noise) * np.sqrt(np.maximum(share - share**2, 0))
    return Composite((grey * share + grain + np.float32(black)).astype(np.float32), mask)


def _share(attenuation: Float[np.ndarray, "h w"], look: Look) -> Float32[np.ndarray, "h w"]:
    """What is left of the radiation behind the devices, 1 beside them."""
    unit = max(attenuation.shape) / 256  # a room's blur is that of its detector, not of the pixels of a file
    primary = gaussian_filter(np.exp(-attenuation), look.blur * max(unit, 0.5), truncate=3)
    return ((primary + look.scatter) / (1 + look.scatter)).astype(np.float32)


def _is_seen(frame: Float32[np.ndarray, "h w"], black: float) -> Bool[np.ndarray, "h w"]:
    """Where there is a picture; behind a collimator, black or painted in one grey, nothing is drawn and labelled."""
    smooth = gaussian_filter(frame, _BEHIND) - black
    bright = max(float(np.percentile(smooth, 99)), 1e-6)
    painted = maximum_filter(frame, _PAINTED) == minimum_filter(frame, _PAINTED)
    return (smooth > _SEEN * bright) & ~(painted & (smooth < _WHITE * bright))


def _grain(frame: Float32[np.ndarray, "h w"], rng: np.random.Generator) -> Float32[np.ndarray, "h w"]:
    """Noise as strong as the frame's own, by the median deviation of its finest details; of the look of quanta."""
    detail = frame - gaussian_filter(frame, 1.0)
    sigma = float(np.median(np.abs(detail))) / 0.6745
    grain = gaussian_filter(rng.standard_normal(frame.shape, dtype=np.float32), 0.45, truncate=3)
    return grain * np.float32(sigma / max(float(grain.std()), 1e-6))
