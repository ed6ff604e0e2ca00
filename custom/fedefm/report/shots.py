"""Frames of a hospital's folder with the contours of their masks, as pictures for a page."""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from scipy import ndimage

from fedefm.data.folder import Pair
from fedefm.data.normalise import fill_padding
from fedefm.data.readers import open_file, read_frames, read_mask
from fedefm.errors import DataError
from fedefm.report.overlay import png_address
from fedefm.report.palette import rgb

SIDE = 256
"""Longest side of a picture, in pixels; smaller frames are enlarged by a whole number."""
_QUALITY = 80


@dataclass(frozen=True)
class Shot:
    """A frame as the page shows it.

    Attributes:
        title: the file, and the frame of a cine.
        note: patient and split, or why it was left out.
        why: what is suspicious about it.
        width: of the picture.
        height: of the picture.
        image: a JPEG as a `data:` address; empty where there is no picture.
        lines: the contours as a transparent PNG; empty where there is no mask.
    """

    title: str
    note: str
    why: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    image: str = ""
    lines: str = ""


def frame_of(path: Path, frame: int) -> Float32[np.ndarray, "h w"] | None:
    """One frame of a file; None where it cannot be read."""
    try:
        found = next(islice(read_frames(open_file(path), range(frame, frame + 1)), 1), None)
    except (DataError, OSError, IndexError):
        return None
    if found is None or np.isnan(found).all():
        return None
    return fill_padding(found)


@lru_cache(maxsize=1)
def labels_of(pair: Pair) -> Int64[np.ndarray, "f h w"] | None:
    """The mask of an image, as it lies on it; None where it cannot be read.

    The last one is kept: frames of a cine follow one another.
    """
    try:
        return read_mask(pair.mask, pair.image)
    except (DataError, OSError):
        return None


def grey_address(frame: Float32[np.ndarray, "h w"]) -> tuple[int, int, str]:
    """Width, height and address of a frame; its percentiles 1 and 99 become black and white."""
    low, high = np.percentile(frame, (1, 99))
    grey = np.clip((frame - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
    factor = SIDE // max(frame.shape)
    picture = Image.fromarray(grey)
    picture = picture.resize(_size(frame.shape), Image.Resampling.NEAREST if factor else Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return *picture.size, "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def contours(labels: Int64[np.ndarray, "h w"], colours: dict[int, str]) -> str:
    """The outlines of each class, around its pixels and not on them, so that the device can be seen."""
    width, height = _size(labels.shape)
    drawn: UInt8[np.ndarray, "h w"] = np.zeros((height, width), np.uint8)
    for number, value in enumerate(colours, start=1):
        here = _scaled(labels == value, height, width)
        drawn[ndimage.binary_dilation(here, np.ones((3, 3))) & ~here] = number
    picture = Image.fromarray(drawn).convert("P")  # a few colours take a few hundred bytes
    picture.putpalette([0, 0, 0, *(channel for colour in colours.values() for channel in rgb(colour))])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=0)
    return png_address(buffer.getvalue())


def _scaled(here: "np.ndarray", height: int, width: int) -> "np.ndarray":
    """A mask in the size of the picture: a pixel is in it where any of its own pixels is."""
    rows, columns = np.nonzero(here)
    found = np.zeros((height, width), bool)
    if height >= here.shape[0]:
        factor = height // here.shape[0]
        found[: here.shape[0] * factor, : here.shape[1] * factor] = np.kron(here, np.ones((factor, factor), bool))
        return found
    found[rows * height // here.shape[0], columns * width // here.shape[1]] = True
    return found


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the picture of a frame."""
    height, width = shape
    longest = max(shape)
    scale = SIDE // longest if longest <= SIDE else SIDE / longest
    return max(1, round(width * scale)), max(1, round(height * scale))
