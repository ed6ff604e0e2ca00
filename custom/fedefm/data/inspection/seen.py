"""What is noted of an image and its mask when they are read for a check; the pixels themselves are not kept."""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int8, Int64
from numpy.typing import NDArray
from scipy import ndimage

from fedefm.data.folder import Pair
from fedefm.data.formats.reader import Spacing
from fedefm.data.grouping.headers import NOBODY, Identity, identity_of
from fedefm.data.grouping.looks import looks_of
from fedefm.data.manifest import MAX_VALUE
from fedefm.data.readers import ImageFrames, count_values, read_image, read_mask
from fedefm.errors import DataError

SPECK = 4
"""Pixels of a part of a mask that is hardly a structure."""
TURNS = {
    "as it is": (False, False, False),
    "mirrored left to right": (False, False, True),
    "mirrored top to bottom": (False, True, False),
    "turned upside down": (False, True, True),
    "with x and y swapped": (True, False, False),
    "turned a quarter to the right": (True, False, True),
    "turned a quarter to the left": (True, True, False),
    "with x and y swapped, then turned upside down": (True, True, True),
}
"""How a mask may lie on its image: swap x and y, then mirror rows, then columns. The last four need a square."""
_SIDE = 256  # pictures are made smaller for this
_WIDTH = 16  # of the surroundings of a pixel: this part of the side


@dataclass(frozen=True)
class Plain:
    """Mask values that are no class.

    Attributes:
        background: of what holds nothing.
        ignored: of what nobody looked at; None where no value says so.
    """

    background: int
    ignored: int | None = None

    def __contains__(self, value: int) -> bool:
        return value in (self.background, self.ignored)


@dataclass(frozen=True)
class Mark:
    """A mask value in a frame.

    Attributes:
        frame: from 0.
        value: as stored.
        pixels: how many have it.
        specks: parts of at most `SPECK` pixels.
        darkness: how much darker than its surroundings the image is there, in deviations of the whole frame; one for
            each of `TURNS`, as if the mask lay so.
    """

    frame: int
    value: int
    pixels: int
    specks: int
    darkness: tuple[float, ...]


@dataclass(frozen=True)
class Seen:
    """An image with its mask.

    Attributes:
        pair: the files.
        problem: why they cannot be used; then nothing else is known but `identity`.
        shape: frames, rows, columns of the image.
        mask_shape: those of the mask.
        format: of the image.
        bits: of its values.
        spacing_mm: millimetres of a pixel, or None.
        grey: percentiles 1, 50 and 99 of the values.
        levels: least and greatest value that the stored bits can express.
        constant: the image has one value.
        values: pixels of each mask value, one mapping a frame; empty where the shapes differ.
        looked_at: frames of which the mask says something.
        marks: mask values that are a class, frame by frame.
        looks: of some frames.
        identity: hashes of its header.
        picture: checksum of the pixels and hash of the looks: equal for equal pictures.
        labels: a hash of the mask's numbers.
    """

    pair: Pair
    problem: str | None = None
    shape: tuple[int, int, int] = (0, 0, 0)
    mask_shape: tuple[int, ...] = ()
    format: str = ""
    bits: int = 0
    spacing_mm: Spacing | None = None
    grey: tuple[float, float, float] = (0.0, 0.0, 0.0)
    levels: tuple[float, float] = (0.0, 0.0)
    constant: bool = False
    values: tuple[Mapping[int, int], ...] = ()
    looked_at: tuple[int, ...] = ()
    marks: tuple[Mark, ...] = ()
    looks: Int8[np.ndarray, "k 1024"] | None = None
    identity: Identity = NOBODY
    picture: bytes = b""
    labels: bytes = b""


def see(pair: Pair, plain: Plain, salt: bytes) -> Seen:
    """Read an image and its mask.

    Args:
        pair: the files.
        plain: mask values that are no class.
        salt: see `identity_of`.
    """
    try:
        image, mask = read_image(pair.image), read_mask(pair.mask, pair.image)
        identity = identity_of(pair.image, salt)
    except DataError as error:
        return Seen(pair, str(error))
    values = tuple(count_values(frame) for frame in mask) if mask.shape == image.frames.shape else ()
    looks = looks_of(image.frames)
    return Seen(
        pair,
        shape=_three(image.frames.shape),
        mask_shape=mask.shape,
        format=image.format,
        bits=image.bits,
        spacing_mm=image.spacing_mm,
        grey=_grey(image),
        levels=(image.low, image.high),
        constant=bool(np.ptp(image.frames) < np.finfo(np.float32).tiny),  # then `normalise` gives zeros
        values=values,
        looked_at=tuple(k for k, found in enumerate(values) if set(found) - {plain.ignored}),
        marks=tuple(
            mark
            for k, found in enumerate(values)
            for mark in _marks(k, image.frames[k], mask[k], [value for value in found if value not in plain])
        ),
        looks=looks,
        identity=identity,
        picture=zlib.crc32(np.ascontiguousarray(image.frames).data.cast("B")).to_bytes(4) + _digest(looks),
        labels=_digest(_small(mask)),
    )


def surroundings(frame: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """A frame less the mean around each pixel, in deviations of the whole: a dark line is below 0."""
    size = max(9, max(frame.shape) // _WIDTH)
    detail: NDArray[np.float32] = frame - ndimage.uniform_filter(frame, size, mode="nearest")
    spread = float(detail.std())
    return detail / np.float32(spread) if spread > 0 else detail


def _marks(k: int, frame: Float32[np.ndarray, "h w"], mask: Int64[np.ndarray, "h w"], values: list[int]) -> list[Mark]:
    if not values:
        return []
    step = -(-max(frame.shape) // _SIDE)
    detail = surroundings(_smaller(frame, step))
    found = []
    for value in values:
        here = mask == value
        rows, columns = np.nonzero(here)
        y, x = (np.minimum(at // step, length - 1) for at, length in zip((rows, columns), detail.shape, strict=True))
        found.append(Mark(k, value, len(rows), _specks(here, rows, columns), _darkness(detail, y, x)))
    return found


def _smaller(frame: Float32[np.ndarray, "h w"], step: int) -> Float32[np.ndarray, "i j"]:
    """The means of tiles; what is left over at the right and below is left out."""
    rows, columns = (length // step * step for length in frame.shape)
    found = np.zeros((rows // step, columns // step), np.float32)
    for i in range(step):
        for j in range(step):
            found += frame[i:rows:step, j:columns:step]
    return found / np.float32(step * step)


def _darkness(
    detail: Float[np.ndarray, "h w"], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[float, ...]:
    height, width = detail.shape
    found = []
    for swapped, down, left in TURNS.values():
        if swapped and height != width:
            break
        y, x = (columns, rows) if swapped else (rows, columns)
        found.append(-float(detail[height - 1 - y if down else y, width - 1 - x if left else x].mean()))
    return tuple(found)


def _specks(here: Bool[np.ndarray, "h w"], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> int:
    within = here[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    parts, _ = ndimage.label(within, np.ones((3, 3)))
    return int((np.bincount(parts.ravel())[1:] <= SPECK).sum())


def _grey(image: ImageFrames) -> tuple[float, float, float]:
    thinned = image.frames[:, :: max(1, image.frames.shape[1] // 128), :: max(1, image.frames.shape[2] // 128)]
    low, middle, high = np.percentile(thinned, (1, 50, 99)).tolist()
    return low, middle, high


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    frames, rows, columns = shape
    return frames, rows, columns


def _small(mask: Int64[np.ndarray, "f h w"]) -> NDArray[np.integer]:
    """The same numbers in few bytes: there is a mask for every image."""
    whole = mask.min() >= 0 and mask.max() <= MAX_VALUE
    return mask.astype(np.uint8 if mask.max() < 256 else np.uint16) if whole else mask


def _digest(pixels: NDArray[np.integer]) -> bytes:
    return hashlib.blake2b(
        f"{pixels.shape}{pixels.dtype}".encode() + np.ascontiguousarray(pixels).data.cast("B")
    ).digest()
