"""The frames of a silo's folder one by one, as pictures that any tool reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Integer, UInt

from fedefm.data.folder import list_pairs
from fedefm.data.grouped import place_once
from fedefm.data.manifest import BACKGROUND, FILE_NAME, IGNORE, Manifest, parts_of
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import DataError

_WHITE = 65535


@dataclass(frozen=True)
class SiteFrame:
    """One frame of a silo.

    Attributes:
        name: its file's, with the number of the frame where the file has several.
        split: `train`, `val` or `test`.
        grey: brighter for more, 8 or 16 bits, (h, w).
        labels: 0 for background and k for the k-th name of `class_names`, (h, w).
    """

    name: str
    split: str
    grey: UInt[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]


def class_names(manifest: Manifest) -> tuple[str, ...]:
    """The classes of the masks in order of their values, without background; `ignore` is the last."""
    names = [name for name in manifest.classes.values() if name not in (BACKGROUND, IGNORE)]
    return (*names, *([] if manifest.ignored is None else [IGNORE]))


def site_frames(folder: Path, manifest: Manifest) -> Iterator[SiteFrame]:
    """Every frame of a silo. Classes that a split does not annotate are background in it, as in training.

    Raises:
        DataError: a file cannot be read, or image and mask do not fit.
    """
    pairs = list_pairs(folder)
    placed = place_once(folder, manifest)
    for pair in pairs:
        split = placed.split_of[placed.patient_of[pair.stem]]
        image, mask = read_image(pair.image), read_mask(pair.mask, pair.image)
        pair.check_shapes(image.frames.shape, mask.shape)
        labels = _numbered(mask, manifest, split, pair.mask.name)
        for k, (frame, label) in enumerate(zip(image.frames, labels, strict=True)):
            name = f"{pair.stem}-{k:04d}" if len(labels) > 1 else pair.stem
            yield SiteFrame(name, split, to_whole(frame), label)


def _numbered(
    mask: Integer[np.ndarray, "f h w"], manifest: Manifest, split: str, name: str
) -> Integer[np.ndarray, "f h w"]:
    corpus = manifest.test_annotated if split == "test" else manifest.annotated
    table = np.full(max(manifest.classes) + 2, -1, np.int64)
    names = class_names(manifest)
    for value, one in manifest.classes.items():
        table[value] = names.index(one) + 1 if set(parts_of(one)) <= {*corpus, IGNORE} else 0
    labels = table[mask.clip(-1, len(table) - 1)]
    if labels.min() < 0:
        raise DataError(f"{name}: value {mask[labels < 0][0]} is not in the classes of {FILE_NAME}; declare it there")
    return labels


def to_whole(grey: Float32[np.ndarray, "h w"]) -> UInt[np.ndarray, "h w"]:
    """Grey values in 8 bits or else 16: whole numbers are kept, but for a shift where some are negative.

    What 16 bits do not hold is stretched to them, fractions (of colours) are rounded.
    """
    values = np.round(grey.astype(np.float64))
    values -= min(0.0, float(values.min()))
    if values.max() > _WHITE:
        values = np.round((grey - grey.min()) * (_WHITE / float(grey.max() - grey.min())))
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)
