"""A figure over the frames of a run, as lines of an SVG picture: no other package, and a few hundred bytes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line of a picture.

    Attributes:
        name: what it shows.
        colour: `#rrggbb`.
        dash: of SVG; empty for a whole line.
        path: of SVG, in a box of `WIDTH` by `HEIGHT`; a frame without a figure leaves a gap.
    """

    name: str
    colour: str
    dash: str
    path: str


WIDTH, HEIGHT = 1000, 120
DASHES = ("", "14 6", "4 5", "14 5 4 5")  # so that lines stay apart without their colours


def line(name: str, colour: str, number: int, values: Sequence[float | None], low: float, high: float) -> Line:
    """A line through the figures of all frames.

    Args:
        name: what it shows.
        colour: `#rrggbb`.
        number: its place among the lines of the picture, which decides its dashes.
        values: a figure or None for each frame.
        low: the figure at the lower edge.
        high: the figure at the upper edge.
    """
    span, last = high - low or 1.0, max(1, len(values) - 1)
    pieces, pen_down = [], False
    for k, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x, y = k / last * WIDTH, HEIGHT - (value - low) / span * HEIGHT
        pieces.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}" + ("" if pen_down else "h.1"))  # one frame: a dot
        pen_down = True
    return Line(name, colour, DASHES[number % len(DASHES)], "".join(pieces))
