"""The way of a device's tip over a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from fedefm.metrics.tip import Tip

REACH = 0.06
"""Of the longest side: a tip that is farther from where it was last is taken for another, or for a wrong mark. It is
chosen, not measured: 31 pixels of 512 a frame are 0.2 m/s at 30 frames a second and 0.2 mm a pixel."""
GAP = 2
"""Frames in a row without the tip that a track bridges."""


@dataclass(frozen=True)
class Track:
    """A tip that is followed from frame to frame.

    Attributes:
        first: frame in which it begins, from 1.
        last: frame in which it ends.
        frames: in how many of them the tip was marked.
        length_px: of its way, in pixels.
    """

    first: int
    last: int
    frames: int
    length_px: float


def tracks(tips: Sequence[Tip | None], reach: float, gap: int = GAP) -> list[Track]:
    """Follow a tip over a film.

    Args:
        tips: of each frame, in order; None where there is none.
        reach: pixels that it may move in a frame; over a gap, as many for each frame of it.
        gap: frames in a row that may be without it.

    Returns:
        The tracks in order; each tip is in one of them.
    """
    found: list[Track] = []
    here: Tip | None = None
    for number, tip in enumerate(tips, 1):
        if tip is None:
            continue
        if here is not None:
            track, moved = found[-1], hypot(tip.x - here.x, tip.y - here.y)
            waited = number - track.last
            if waited <= gap + 1 and moved <= reach * waited:
                found[-1] = Track(track.first, number, track.frames + 1, track.length_px + moved)
                here = tip
                continue
        found.append(Track(number, number, 1, 0.0))
        here = tip
    return found
