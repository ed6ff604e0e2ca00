"""Colours that stay apart for colour-blind readers, on paper, on white and on black.

The hues are the eight of Okabe and Ito (2008), "Color Universal Design", without black.
"""

from collections.abc import Sequence

CLASS_HUES = ("#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#f0e442", "#d55e00", "#0072b2")
SITE_HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # yellow is too faint on white
DASHES = ("solid", "dashed", "dotted", "dashdot")


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """One `#rrggbb` per class, by its place in the list; from the eighth class on, lighter tints of the same hues."""
    return {name: _tint(CLASS_HUES[i % len(CLASS_HUES)], i // len(CLASS_HUES)) for i, name in enumerate(classes)}


def site_strokes(sites: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a dash per site, by its place in the list; 24 sites differ."""
    return {
        name: (SITE_HUES[i % len(SITE_HUES)], DASHES[i // len(SITE_HUES) % len(DASHES)]) for i, name in enumerate(sites)
    }


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three integers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _tint(colour: str, steps: int) -> str:
    kept = 0.6**steps
    return "#" + "".join(f"{round(255 - (255 - channel) * kept):02x}" for channel in rgb(colour))
