"""Where a picture may show letters: rows of small, thin, sharp marks of one height, of which no letter is read.

Catheters, wires and ribs are thin too, but long; noise is small, but in no row. The look is made to miss little: it
costs a glance where it is wrong, and a patient's name where it sees nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy.ndimage import find_objects, grey_closing, grey_opening, label

CONTRAST = 0.2
"""Least difference of a stroke to what is around it, as a share of all greys of the picture."""

FAINT = 0.05
"""The same for the brightest and the darkest grey, which overlays are written in."""

_LEAST_HEIGHT = 5  # pixels: smaller letters cannot be read
_LEAST_MARKS = 3  # of a row
_LARGEST = 6  # letters are at most this part of the picture's height
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Box:
    """A part of a picture: first and last row and column, the last ones not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def grown(self, by: int, shape: Sequence[int]) -> "Box":
        """With a margin, within a picture."""
        return Box(
            max(0, self.top - by),
            max(0, self.left - by),
            min(shape[0], self.bottom + by),
            min(shape[1], self.right + by),
        )


def find_text(frame: Float32[np.ndarray, "h w"]) -> list[Box]:
    """Rows of marks that may be letters, from the top.

    Args:
        frame: grey values in any unit; of a cine letters stand in every frame, so one of them will do.
    """
    low, high = float(frame.min()), float(frame.max())
    if high <= low:
        return []
    grey = (frame - low) / np.float32(high - low)
    side = 2 * -(-min(grey.shape) // 80) + 1  # wider than a stroke
    bright, dark = grey - grey_opening(grey, (side, side)), grey_closing(grey, (side, side)) - grey
    marked = [
        (bright > CONTRAST) | ((grey == 1) & (bright > FAINT)),
        (dark > CONTRAST) | ((grey == 0) & (dark > FAINT)),
    ]
    found = [row for strokes in marked for row in _rows(_marks(strokes))]
    return sorted(found, key=lambda box: (box.top, box.left))


def _marks(strokes: Bool[np.ndarray, "h w"]) -> list[Box]:
    """Connected strokes of the size of a letter, or of a few that touch."""
    marks, _ = label(strokes, _EIGHT)
    found = []
    for rows, columns in find_objects(marks):
        box = Box(rows.start, columns.start, rows.stop, columns.stop)
        if _LEAST_HEIGHT <= box.height <= strokes.shape[0] // _LARGEST and box.width <= 4 * box.height:
            found.append(box)
    return found


def _rows(marks: Iterable[Box]) -> list[Box]:
    """Marks of about one height that stand beside each other on one line."""
    rows: list[list[Box]] = []
    for mark in sorted(marks, key=lambda box: box.left):
        home = next((row for row in rows if _follows(row[-1], mark)), None)
        if home is None:
            rows.append([mark])
        else:
            home.append(mark)
    return [_around(row) for row in rows if len(row) >= _LEAST_MARKS]


def _follows(last: Box, mark: Box) -> bool:
    tall, small = max(last.height, mark.height), min(last.height, mark.height)
    shared = min(last.bottom, mark.bottom) - max(last.top, mark.top)
    gap = mark.left - last.right
    return tall <= 2 * small and shared >= 0.6 * small and -0.3 * tall <= gap <= 1.5 * tall


def _around(row: Sequence[Box]) -> Box:
    return Box(min(box.top for box in row), row[0].left, max(box.bottom for box in row), max(box.right for box in row))
