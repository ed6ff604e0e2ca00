"""Predictions and truths over images, as small PNG pictures that fit into one page."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from fedefm.errors import DataError
from fedefm.report.palette import class_colours, rgb

LONGEST_SIDE = 256
PIXEL_BUDGET = 800_000  # noise does not compress: about a byte a pixel, four thirds of it in base64
MOST_OVERLAYS = 64
OPACITY = 230  # of 255; the anatomy stays faintly visible under the colour


@dataclass(frozen=True)
class Overlay:
    """One test image with its annotation and what the global model predicts.

    Attributes:
        site: the hospital whose image it is.
        caption: one line about the picture.
        image: (h, w) uint8, grey levels.
        truth: (h, w) integer, class of each pixel: 0 is background, c is `classes[c - 1]`; any other value is drawn
            as background.
        prediction: likewise.

    Raises:
        DataError: the image is empty or not 8 bit, or the three shapes differ.
    """

    site: str
    caption: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray

    def __post_init__(self) -> None:
        """Check the three arrays against each other."""
        image, truth, prediction = self.image, self.truth, self.prediction
        if image.ndim != 2 or image.size == 0 or image.dtype != np.uint8:
            raise DataError(f"overlay {self.caption!r}: image must be (h, w) uint8, not {image.shape} {image.dtype}")
        if not image.shape == truth.shape == prediction.shape:
            shapes = f"{image.shape}, {truth.shape}, {prediction.shape}"
            raise DataError(f"overlay {self.caption!r}: image, truth and prediction differ in shape ({shapes})")
        if truth.dtype.kind not in "iu" or prediction.dtype.kind not in "iu":
            raise DataError(f"overlay {self.caption!r}: truth and prediction must hold integer classes")


class Picture(NamedTuple):
    """An overlay as the page shows it: the PNG pictures as `data:` addresses, the masks transparent elsewhere."""

    site: str
    caption: str
    width: int
    height: int
    coarse: bool
    image: str
    truth: str
    prediction: str


def pictures(overlays: Sequence[Overlay], classes: Sequence[str]) -> list[Picture]:
    """The overlays as PNG, shrunk so far that all of them together stay within about 1.1 MB of text.

    At most `MOST_OVERLAYS` are shown, taken evenly from the sequence.
    """
    shown = evenly(overlays, MOST_OVERLAYS)
    side = min(LONGEST_SIDE, math.isqrt(PIXEL_BUDGET // max(1, len(shown))))
    lut = _lookup(classes)
    return [_picture(overlay, lut, side) for overlay in shown]


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` items, in order, spread evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def colourise(
    mask: Integer[np.ndarray, "h w"], lut: UInt8[np.ndarray, "classes_and_background 4"]
) -> UInt8[np.ndarray, "h w 4"]:
    """The colour and opacity of each pixel's class; values that are no class are transparent."""
    known = (mask > 0) & (mask < len(lut))
    return lut[np.where(known, mask, 0)]


def png(pixels: UInt8[np.ndarray, "h w *channels"], size: tuple[int, int] | None = None) -> str:
    """Grey (h, w) or RGBA (h, w, 4) pixels as a `data:image/png` address, averaged down to `size` (width, height)."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.BOX)  # averages: a thin wire fades, but none of it is skipped
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return png_address(buffer.getvalue())


def png_address(content: bytes) -> str:
    """A PNG file's bytes as an address that needs no second file."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _lookup(classes: Sequence[str]) -> np.ndarray:
    colours = [rgb(colour) for colour in class_colours(classes).values()]
    return np.array([(0, 0, 0, 0), *((*colour, OPACITY) for colour in colours)], dtype=np.uint8)


def _picture(overlay: Overlay, lut: np.ndarray, side: int) -> Picture:
    height, width = overlay.image.shape
    shrink = min(1.0, side / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    image = png(overlay.image, size)
    truth, prediction = (png(colourise(mask, lut), size) for mask in (overlay.truth, overlay.prediction))
    return Picture(overlay.site, overlay.caption, *size, max(size) < 128, image, truth, prediction)
