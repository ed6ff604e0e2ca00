"""How steadily a film is marked: what no film shows by itself, and what no mask is needed for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from jaxtyping import UInt8

from fedefm.metrics.tip import Tip


class Steadiness:
    """Gathers flicker and tip jitter, frame by frame; two frames are held.

    Both compare a frame with the one before and the one after, so that steady movement does not count. A film whose
    masks are true has some of both: thin devices leave their own place from frame to frame.

    Args:
        classes: foreground class names, in label order.
        devices: those of them that have a tip.
    """

    def __init__(self, classes: Sequence[str], devices: Sequence[str]) -> None:
        self._classes, self._devices = tuple(classes), tuple(devices)
        self._labels: list[UInt8[np.ndarray, "h w"]] = []
        self._tips: list[Mapping[str, Tip]] = []
        self._marked = np.zeros(len(self._classes) + 1, np.int64)
        self._blinks = np.zeros(len(self._classes) + 1, np.int64)
        self._off: dict[str, list[float]] = {name: [] for name in self._devices}

    def add(self, labels: UInt8[np.ndarray, "h w"], tips: Mapping[str, Tip]) -> None:
        """The next frame, and the tips of its devices by class name."""
        self._labels, self._tips = [*self._labels[-2:], labels], [*self._tips[-2:], tips]
        if len(self._labels) < 3:
            return
        before, now, after = self._labels
        at = np.flatnonzero((before == after) & (now != before))  # a few per cent of a frame
        kinds = len(self._classes) + 1
        for frame in (before, now):  # a pixel that turns from one class into another blinks in both
            self._blinks += np.bincount(frame.ravel()[at], minlength=kinds)
        self._marked += np.bincount(now[now > 0], minlength=kinds)
        for name in self._devices:
            first, middle, last = (tips.get(name) for tips in self._tips)
            if first and middle and last:
                halfway = (first.x + last.x) / 2, (first.y + last.y) / 2
                self._off[name].append(float(np.hypot(middle.x - halfway[0], middle.y - halfway[1])))

    @property
    def flicker(self) -> dict[str, float | None]:
        """Of each class the pixels that change in one frame and back in the next, a share of its marked pixels.

        None where no frame between two others has the class.
        """
        return {
            name: float(self._blinks[label] / self._marked[label]) if self._marked[label] else None
            for label, name in enumerate(self._classes, 1)
        }

    @property
    def tip_jitter_px(self) -> dict[str, float | None]:
        """Of each device the median distance of its tip from halfway between those before and after, in pixels.

        None where no three frames in a row have one.
        """
        return {name: median(off) if off else None for name, off in self._off.items()}
