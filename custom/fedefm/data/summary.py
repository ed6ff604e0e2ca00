"""What a hospital may tell of its folder: counts, sizes and greys, and nothing that rests on few images.

No file name, no patient, no picture; the only texts are class names.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from fedefm.data.describe import FolderSummary, describe_folder
from fedefm.data.folder import list_images, list_masks
from fedefm.data.manifest import BACKGROUND, SPLIT_NAMES, Manifest, load_manifest, parts_of
from fedefm.data.readers import count_values, read_image, read_mask
from fedefm.data.splits import assign_splits
from fedefm.errors import ConfigError, DataError

GREYS = {"dark": 1, "middle": 50, "bright": 99}
"""Percentiles of a frame's greys."""

MOST_KINDS = 8  # sizes and bits that are told, the most frequent ones


def site_summary(folder: Path, least_images: int) -> dict[str, Any]:
    """Sum up a hospital's folder, as JSON-able values.

    A count of images below `least_images` is None, but for 0; a figure that rests on fewer is None; kinds of files that
    are fewer are left out.

    Args:
        folder: holds `images/`, `masks/` and `dataset.json`.
        least_images: smallest number of images that may be told.

    Returns:
        `corpus` and `test_corpus`, class names; `trains`, whether training would start; `frames` by split, `patients`,
        `cines`, `unreadable`; `sizes` (columns, rows, files) and `bits` (bits, files); `grey`, medians over the frames
        of percentiles 1, 50 and 99 as a share of what the stored bits can express; `spacing_mm` with its `files`;
        `classes`, frames that hold each class by split, `undecided` ones where a union leaves it open, and the mean
        `share` of the pixels of such a frame; `synthetic`.

    Raises:
        DataError: there is no image, no mask, or `dataset.json` is wrong.
        ConfigError: `least_images` is below 1.
    """
    if least_images < 1:
        raise ConfigError(f"a least of {least_images} images hides nothing; give 1 or more")
    described, manifest, tally = describe_folder(folder), load_manifest(folder), _Tally()
    for image, mask, split in _readable(folder, manifest):
        tally.add(image, mask, split, manifest)
    return {
        "corpus": list(manifest.annotated),
        "test_corpus": list(manifest.test_annotated),
        "synthetic": manifest.synthetic,
        "trains": not described.stops,
        **_of_files(described, least_images),
        **tally.told(manifest, least_images),
    }


@dataclass(frozen=True)
class _Image:
    frames: Float32[np.ndarray, "f h w"]
    low: float
    high: float
    spacing_mm: float | None


@dataclass
class _Tally:
    """Counts while the pairs are gone through."""

    greys: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GREYS})
    spacings: list[float] = field(default_factory=list)
    frames_of: Counter[tuple[str, str]] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    shares: dict[str, list[float]] = field(default_factory=dict)

    def add(self, image: _Image, mask: Int64[np.ndarray, "f h w"], split: str, manifest: Manifest) -> None:
        """One image with its mask."""
        span = image.high - image.low
        for frame in image.frames:
            found = np.percentile(frame, list(GREYS.values()))
            for name, grey in zip(GREYS, found.tolist(), strict=True):
                self.greys[name].append(min(max((grey - image.low) / span, 0.0), 1.0) if span > 0 else 0.0)
        if image.spacing_mm is not None:
            self.spacings.append(image.spacing_mm)
        corpus = manifest.test_annotated if split == "test" else manifest.annotated
        for frame in mask:
            self._count(count_values(frame), frame.size, split, manifest, set(corpus))

    def _count(self, values: Mapping[int, int], pixels: int, split: str, manifest: Manifest, corpus: set[str]) -> None:
        for value, count in values.items():
            parts = [part for part in parts_of(manifest.classes.get(value, BACKGROUND)) if part in corpus]
            if len(parts) > 1:
                self.undecided.update(parts)
            elif parts:
                self.frames_of[parts[0], split] += 1
                self.shares.setdefault(parts[0], []).append(count / pixels)

    def told(self, manifest: Manifest, least: int) -> dict[str, Any]:
        """What of it may leave."""
        enough, spaced = len(self.greys["dark"]) >= least, len(self.spacings) >= least
        return {
            "grey": {name: median(found) if enough else None for name, found in self.greys.items()},
            "spacing_mm": {
                "median": median(self.spacings) if spaced else None,
                "files": _told(len(self.spacings), least),
            },
            "classes": {name: self._class(name, least) for name in manifest.foreground},
        }

    def _class(self, name: str, least: int) -> dict[str, int | float | None]:
        shares = self.shares.get(name, [])
        return {
            **{split: _told(self.frames_of[name, split], least) for split in SPLIT_NAMES},
            "undecided": _told(self.undecided[name], least),
            "share": fmean(shares) if len(shares) >= least else None,
        }


def _readable(folder: Path, manifest: Manifest) -> Any:
    """Images and masks that training would read, with their split; what is wrong with others `describe_folder` says."""
    images, masks = list_images(folder), list_masks(folder)
    try:
        patients = {stem: manifest.patient_of(stem) for stem in images}
        split_of = assign_splits(manifest, patients.values())
    except DataError:
        return
    for stem in images.keys() & masks.keys():
        try:
            image, mask = read_image(images[stem]), read_mask(masks[stem])
        except DataError:
            continue
        if mask.shape == image.frames.shape:
            plain = _Image(image.frames, image.low, image.high, image.spacing_mm)
            yield plain, mask, split_of[patients[stem]]


def _of_files(described: FolderSummary, least: int) -> dict[str, Any]:
    sizes = [(*map(int, size.split(" x ")), files) for size, files in described.sizes.items() if files >= least]
    bits = [(bits, files) for bits, files in described.bits.items() if files >= least]
    return {
        "frames": {split: _told(described.splits[split], least) for split in SPLIT_NAMES},
        "patients": _told(described.patients, least),
        "cines": _told(described.cines, least),
        "unreadable": _told(described.unreadable, least),
        "sizes": [dict(zip(("columns", "rows", "files"), one, strict=True)) for one in sizes[:MOST_KINDS]],
        "bits": [{"bits": one, "files": files} for one, files in bits[:MOST_KINDS]],
    }


def _told(count: int, least: int) -> int | None:
    """A count, or None where it is small; that there is nothing at all is no secret of any image."""
    return count if count == 0 or count >= least else None
