"""What makes the fluoroscopy of one kind of site differ from another's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fedefm.errors import ConfigError

CLASSES = ("catheter", "guidewire", "vessel")
"""Mask values 1, 2 and 3; 0 is background."""


@dataclass(frozen=True)
class Look:
    """The parameters of one kind of fluoroscopy; lengths in units (pixels at 256 x 256), attenuation per unit.

    Attributes:
        name: what `render` calls it.
        home: the class that a hospital with this look labels in any case.
        catheter_radius: least and largest outer radius.
        catheter_mu: attenuation of its wall.
        guidewire_radius: least and largest radius.
        guidewire_mu: attenuation of its core.
        vessel_mu: attenuation of undiluted contrast medium.
        quanta: detected quanta a pixel at mean exposure; 0 draws no noise.
        blur: standard deviation of the focal spot and detector, in pixels of the frame.
        scatter: scattered against primary radiation.
        gamma: least and largest exponent of the display curve.
        grey: darkest and brightest displayed grey, 0 to 1.
        vignette: loss of exposure at the corners.
        collimators: shapes of the aperture, each as likely.
        border: grey of the field outside the aperture, 0 to 1.
        window: percentiles of the exposure in the aperture that become the darkest and brightest grey; none shows
            transmission itself.
        motion: how much heart and breath move the vessels between frames; 1 is a beating heart.
        wall_mu: attenuation of the vessels' walls, visible without contrast medium.
        depth: if above 0, every vessel is drawn as flat as if it were this deep.
    """

    name: str
    home: str
    catheter_radius: tuple[float, float]
    catheter_mu: float
    guidewire_radius: tuple[float, float]
    guidewire_mu: float
    vessel_mu: float
    quanta: float
    blur: float
    scatter: float
    gamma: tuple[float, float] = (0.55, 0.8)
    grey: tuple[float, float] = (0.0, 1.0)
    vignette: float = 0.0
    collimators: tuple[str, ...] = ("none",)
    border: tuple[float, float] = (0.0, 0.0)
    window: tuple[float, float] | None = (0.3, 99.7)
    motion: float = 0.0
    wall_mu: float = 0.0
    depth: float = 0.0


_ALL = {
    look.name: look
    for look in (
        Look(
            name="human",
            home="vessel",
            catheter_radius=(1.9, 2.8),
            catheter_mu=0.16,
            guidewire_radius=(0.85, 1.2),
            guidewire_mu=0.45,
            vessel_mu=0.14,
            quanta=900.0,
            blur=0.7,
            scatter=0.35,
            collimators=("octagon", "rounded", "circle", "rounded"),
            border=(0.0, 0.25),
            motion=1.0,
        ),
        Look(
            name="animal",
            home="catheter",
            catheter_radius=(2.1, 2.9),
            catheter_mu=0.13,
            guidewire_radius=(0.9, 1.2),
            guidewire_mu=0.35,
            vessel_mu=0.032,
            quanta=500.0,
            blur=0.9,
            scatter=0.40,
            gamma=(1.0, 1.5),
            grey=(0.26, 0.78),
            collimators=("square",),
            border=(0.75, 0.95),
            motion=0.5,
        ),
        Look(
            name="phantom",
            home="guidewire",
            catheter_radius=(2.0, 2.8),
            catheter_mu=0.20,
            guidewire_radius=(0.85, 1.2),
            guidewire_mu=0.70,
            vessel_mu=0.034,
            quanta=2500.0,
            blur=0.6,
            scatter=0.15,
            gamma=(1.2, 1.4),
            vignette=0.35,
            collimators=("circle",),
            wall_mu=0.012,
        ),
        Look(
            name="simulation",
            home="catheter",
            catheter_radius=(2.0, 2.8),
            catheter_mu=0.60,
            guidewire_radius=(0.85, 1.2),
            guidewire_mu=1.6,
            vessel_mu=0.30,
            quanta=0.0,
            blur=0.35,
            scatter=0.0,
            gamma=(1.0, 1.0),
            window=None,
            depth=3.0,
        ),
        Look(
            name="biplane",
            home="vessel",
            catheter_radius=(1.8, 2.5),
            catheter_mu=0.18,
            guidewire_radius=(0.8, 1.1),
            guidewire_mu=0.55,
            vessel_mu=0.10,
            quanta=700.0,
            blur=0.8,
            scatter=0.30,
            gamma=(0.40, 0.60),
            collimators=("circle",),
            motion=0.15,
        ),
    )
}

HELD_BACK: tuple[str, ...] = ("biplane",)
"""A look that no default hospital has: for measuring on a site that took no part."""

LOOKS: tuple[str, ...] = tuple(name for name in _ALL if name not in HELD_BACK)
"""The looks of the default hospitals."""


def look_named(name: str) -> Look:
    """Return the parameters of a look.

    Raises:
        ConfigError: there is no look of that name.
    """
    if name not in _ALL:
        raise ConfigError(f"look {name!r} is unknown: choose one of {', '.join(_ALL)}")
    return _ALL[name]


def jittered(look: Look, rng: np.random.Generator, strength: float) -> Look:
    """Return the look of another room or patient of the same kind.

    Args:
        look: the look to vary.
        rng: source of the variation.
        strength: deviation of the logarithm of each parameter; 0.1 is one patient against another.
    """
    factor = np.exp(strength * np.clip(rng.standard_normal(6), -2, 2))
    return replace(
        look,
        catheter_mu=look.catheter_mu * factor[0],
        guidewire_mu=look.guidewire_mu * factor[1],
        vessel_mu=look.vessel_mu * factor[2],
        quanta=look.quanta * factor[3] ** 2,
        blur=look.blur * factor[4],
        scatter=look.scatter * factor[5],
    )
