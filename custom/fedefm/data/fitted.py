"""One image file and its mask, decoded, normalised and fitted into the network's square."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt
from numpy.typing import NDArray

from fedefm.data.folder import Pair
from fedefm.data.formats.reader import Spacing
from fedefm.data.letterbox import Letterbox, fit_images, fit_masks
from fedefm.data.manifest import FILE_NAME, Manifest
from fedefm.data.normalise import normalise
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import DataError


class UnreadableError(DataError):
    """A file to leave out and count, in contrast to one that contradicts another."""


@dataclass(frozen=True)
class Fitted:
    """The frames of one image file.

    Attributes:
        images: normalised grey values.
        masks: positions among the values of the hospital's `dataset.json`, 0 for background; None without a mask file.
        spacing_mm: millimetres of a pixel of the square, or None where the file does not state it.
    """

    images: Float32[np.ndarray, "f s s"]
    masks: UInt[np.ndarray, "f s s"] | None
    spacing_mm: Spacing | None


def fit_pair(pair: Pair, manifest: Manifest, size: int) -> Fitted:
    """Read an image and its mask.

    Raises:
        UnreadableError: one of the two cannot be read.
        DataError: they differ in size, or the mask holds a value that `dataset.json` does not declare.
    """
    fitted, shape = _fit_image(pair.image, size)
    try:
        mask = read_mask(pair.mask, pair.image)
    except DataError as error:
        raise UnreadableError(str(error)) from error
    pair.check_shapes(shape, mask.shape)
    positions = _positions(pair, mask, manifest)
    masks = fit_masks(positions, Letterbox(shape[1], shape[2], size))
    if manifest.ignored is not None:  # a frame that nobody looked at says nothing of its border either
        masks[(positions == manifest.ignored).all((1, 2))] = manifest.ignored
    return Fitted(fitted.images, masks, fitted.spacing_mm)


def fit_image(path: Path, size: int) -> Fitted:
    """Read an image that has no mask.

    Raises:
        UnreadableError: it cannot be read.
    """
    return _fit_image(path, size)[0]


def mask_type(manifest: Manifest) -> "np.dtype[np.unsignedinteger]":
    """The smallest type that holds a position among the manifest's values, and one number more."""
    return np.dtype(np.min_scalar_type(len(manifest.classes)))


def _fit_image(path: Path, size: int) -> tuple[Fitted, tuple[int, int, int]]:
    """The image in the square, and its frames, rows and columns in the file."""
    try:
        image = read_image(path)
        frames = normalise(image.frames)
    except DataError as error:
        raise UnreadableError(str(error)) from error
    box = Letterbox(frames.shape[1], frames.shape[2], size)
    spacing_mm = _scaled(image.spacing_mm, box.scale)
    return Fitted(fit_images(frames, box)[:, 0].numpy(), None, spacing_mm), (len(frames), box.height, box.width)


def _scaled(spacing_mm: Spacing | None, scale: float) -> Spacing | None:
    return None if spacing_mm is None else (spacing_mm[0] / scale, spacing_mm[1] / scale)


def _positions(pair: Pair, mask: Int64[np.ndarray, "f h w"], manifest: Manifest) -> NDArray[np.unsignedinteger]:
    """Mask values to their position among the manifest's classes, 0 for background."""
    kind, nowhere, top = mask_type(manifest), len(manifest.classes), max(manifest.classes) + 1
    table = np.full(top + 1, nowhere, kind)
    table[list(manifest.classes)] = range(nowhere)
    within = mask if mask.min() >= 0 and mask.max() <= top else np.where(mask < 0, top, mask).clip(max=top)
    positions: NDArray[np.unsignedinteger] = table[within]
    if positions.max() == nowhere:
        raise DataError(
            f"{pair.mask.name}: mask value {mask[positions == nowhere][0]} is not in the classes of {FILE_NAME}; "
            "declare it there or correct the mask"
        )
    return positions
