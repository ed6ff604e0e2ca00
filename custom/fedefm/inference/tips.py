"""Tips of devices, frame by frame, as a table."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedefm.data.formats.reader import Spacing
from fedefm.inference.predict import Labelled
from fedefm.metrics import Tip, device_tip

_DEVICE = re.compile(r"catheter|wire|sheath|tube|line|lead|needle", re.IGNORECASE)
_COLUMNS = ("frame", "class", "x_px", "y_px", "x_mm", "y_mm", "device_confidence", "tip_confidence")
_AROUND = 0.015  # of the longest side: pixels of the device this near to its tip say how sure the tip is


def devices(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes that have a tip, by name; a vessel has none."""
    return tuple(name for name in classes if _DEVICE.search(name))


def find_tips(frame: Labelled, classes: Sequence[str], wanted: Sequence[str]) -> dict[str, Tip]:
    """The tip of each device that the frame shows; a guidewire is taken to come out of the catheter."""
    masks = {name: frame.labels == label for label, name in enumerate(classes, 1)}
    catheter = next((masks[name] for name in classes if name.lower() == "catheter"), None)
    found = {}
    for name in wanted:
        carrier = catheter if "wire" in name.lower() else None
        if (tip := device_tip(np.asarray(masks[name]), carrier)) is not None:
            found[name] = tip
    return found


def tip_confidence(frame: Labelled, label: int, tip: Tip) -> float | None:
    """The mean confidence of the device's pixels around its tip; None where the weights are not calibrated."""
    if frame.sure is None:
        return None
    reach = max(2, round(_AROUND * max(frame.labels.shape)))
    x, y = round(tip.x), round(tip.y)
    part = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
    return float(frame.sure[part][frame.labels[part] == label].mean())


class TipTable:
    """`tips.csv`: one row a tip; millimetres from the centre of the first pixel, empty where the spacing is unknown.

    The last two columns are the calibrated confidence of the device and of its tip: the share of its pixels, and of
    those around the tip, that should be right. They are empty where the weights are not calibrated.
    """

    name = "tips.csv"

    def __init__(self, folder: Path, spacing_mm: Spacing | None, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._file = (folder / self.name).open("w", newline="", encoding="utf-8")
        self._rows, self._spacing = csv.writer(self._file, lineterminator="\n"), spacing_mm
        self._rows.writerow(_COLUMNS)

    def add(self, frame: Labelled, tips: dict[str, Tip]) -> None:
        """Append the tips of a frame."""
        for name, tip in tips.items():
            mm = (
                ("", "")
                if self._spacing is None
                else (f"{tip.x * self._spacing[1]:.3f}", f"{tip.y * self._spacing[0]:.3f}")
            )
            place = self._classes.index(name)
            device = None if frame.sure is None else frame.probabilities[place]
            sure = (_share(device), _share(tip_confidence(frame, place + 1, tip)))
            self._rows.writerow((frame.number, name, f"{tip.x:g}", f"{tip.y:g}", *mm, *sure))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
