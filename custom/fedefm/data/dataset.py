"""A hospital's folder as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fedefm.data.folder import Pair, list_pairs
from fedefm.data.label_sets import is_unsure, set_label
from fedefm.data.letterbox import Letterbox, fit_images, fit_masks
from fedefm.data.manifest import BACKGROUND, FILE_NAME, SPLIT_NAMES, Manifest, load_manifest, parts_of
from fedefm.data.normalise import normalise
from fedefm.data.readers import read_image, read_mask
from fedefm.data.splits import assign_splits
from fedefm.errors import DataError

MAX_QUARANTINED = 0.1  # share of a hospital's files


@dataclass(frozen=True)
class Split:
    """The frames of one split.

    Attributes:
        images: normalised, float32, (n, 1, size, size).
        masks: int64, (n, size, size); 0 is background and k the k-th of the classes asked for; below 0 are sets of
            classes, see `fedefm.data.label_sets`.
        names: opaque frame names, unique in the hospital; no file name, which may hold an identifier.
        patients: opaque patient names, one a frame.
        spacing_mm: millimetres a pixel of the resized frame, or None where the file does not state it.
    """

    images: Float32[Tensor, "n 1 s s"]
    masks: Int64[Tensor, "n s s"]
    names: tuple[str, ...]
    patients: tuple[str, ...]
    spacing_mm: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class SiteData:
    """A hospital's images and masks.

    Attributes:
        corpus: the classes that its training and validation masks annotate, in the order of the classes asked for.
        test_corpus: the same for its test masks, without classes that a union there leaves undecided.
        train: frames to train on.
        val: frames to choose the best epoch by.
        test: frames of the final score.
        quarantined: files that could not be read and were left out.
        synthetic: whether the images are generated.
    """

    corpus: tuple[str, ...]
    test_corpus: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    quarantined: int
    synthetic: bool = False


@dataclass(frozen=True)
class _Loaded:
    """One image file, resized; masks still in the hospital's own values."""

    images: Float32[Tensor, "f 1 s s"]
    masks: Int64[Tensor, "f s s"]
    spacing_mm: float | None


def load_site(
    folder: Path,
    classes: Sequence[str],
    size: int,
    *,
    max_quarantined: float = MAX_QUARANTINED,
    progress: Callable[[int, int], None] | None = None,
) -> SiteData:
    """Read a hospital's folder into memory.

    Files that cannot be read are left out and counted. Mask classes that the hospital does not annotate count as
    background. Every message of an error may name a file: it is for the hospital's own screen, never to be sent.

    Args:
        folder: holds `images/`, `masks/` and, to share classes with other hospitals, `dataset.json`.
        classes: the foreground classes agreed by all hospitals; mask index k is the k-th of them, 0 background.
        size: side of the square frames, in pixels.
        max_quarantined: the largest share of files that may be left out.
        progress: called with (files done, files in all).

    Raises:
        DataError: where the folder or its manifest is wrong, an image has no mask or one of another size, a mask holds
            an undeclared value, or too many files cannot be read.
    """
    manifest, pairs = load_manifest(folder), list_pairs(folder)
    index = _class_index(manifest, classes)
    patients = [manifest.patient_of(pair.stem) for pair in pairs]
    split_of = assign_splits(manifest, patients)
    builders = {name: _SplitBuilder(_lookup(manifest, name, index)) for name in SPLIT_NAMES}
    opaque = {patient: f"patient-{k:04d}" for k, patient in enumerate(sorted(set(patients)))}
    bad: list[DataError] = []
    frame = 0
    for done, (pair, patient) in enumerate(zip(pairs, patients, strict=True), start=1):
        try:
            loaded = _load_pair(pair, manifest, size)
        except _UnreadableError as error:
            bad.append(error)
        else:
            builders[split_of[patient]].add(loaded, frame, opaque[patient])
            frame += len(loaded.images)
        if progress is not None:
            progress(done, len(pairs))
    check_quarantine(bad, len(pairs), max_quarantined)
    splits = {name: builder.build(size) for name, builder in builders.items()}
    return SiteData(
        corpus=tuple(name for name in classes if name in manifest.annotated),
        test_corpus=tuple(
            name
            for name in classes
            if name in manifest.test_annotated and not bool(is_unsure(splits["test"].masks, index[name]).any())
        ),
        quarantined=len(bad),
        synthetic=manifest.synthetic,
        **splits,
    )


class _UnreadableError(DataError):
    """A file to quarantine, in contrast to one that contradicts another."""


class _SplitBuilder:
    """Collects the frames of one split."""

    def __init__(self, lookup: Int64[Tensor, " v"]) -> None:
        self._lookup = lookup
        self._loaded: list[_Loaded] = []
        self._names: list[str] = []
        self._patients: list[str] = []

    def add(self, loaded: _Loaded, first_frame: int, patient: str) -> None:
        count = len(loaded.images)
        self._loaded.append(loaded)
        self._names += [f"frame-{k:06d}" for k in range(first_frame, first_frame + count)]
        self._patients += [patient] * count

    def build(self, size: int) -> Split:
        nothing = _Loaded(torch.zeros(0, 1, size, size), torch.zeros(0, size, size, dtype=torch.int64), None)
        loaded = [nothing, *self._loaded]
        return Split(
            images=torch.cat([one.images for one in loaded]),
            masks=self._lookup[torch.cat([one.masks for one in loaded])],
            names=tuple(self._names),
            patients=tuple(self._patients),
            spacing_mm=tuple(one.spacing_mm for one in self._loaded for _ in range(len(one.images))),
        )


def _class_index(manifest: Manifest, classes: Sequence[str]) -> dict[str, int]:
    index = {name: k for k, name in enumerate(classes, start=1)}
    if len(index) < len(classes) or BACKGROUND in index:
        raise DataError(f"classes: each foreground class once and without {BACKGROUND}, not {list(classes)}")
    for name in manifest.foreground:
        if name not in index:
            raise DataError(
                f"{manifest.name}: class {name!r} is not among the agreed {list(classes)}; add or rename it"
            )
    return {BACKGROUND: 0, **index}


def _lookup(manifest: Manifest, split: str, index: dict[str, int]) -> Int64[Tensor, " v"]:
    """From the position of a value among the manifest's to the label; classes without labels to background."""
    corpus = manifest.test_annotated if split == "test" else manifest.annotated
    names = [[part for part in parts_of(name) if part in corpus] for name in manifest.classes.values()]
    return torch.tensor([set_label(index[part] for part in parts) if parts else 0 for parts in names])


def _load_pair(pair: Pair, manifest: Manifest, size: int) -> _Loaded:
    try:
        image, mask = read_image(pair.image), read_mask(pair.mask)
        frames = normalise(image.frames)
    except DataError as error:
        raise _UnreadableError(str(error)) from error
    pair.check_shapes(image.frames.shape, mask.shape)
    box = Letterbox(frames.shape[1], frames.shape[2], size)
    return _Loaded(
        images=fit_images(frames, box),
        masks=fit_masks(_positions(pair, mask, manifest), box),
        spacing_mm=None if image.spacing_mm is None else image.spacing_mm / box.scale,
    )


def _positions(pair: Pair, mask: np.ndarray, manifest: Manifest) -> np.ndarray:
    """Mask values to their position among the manifest's classes, 0 for background."""
    table = np.full(max(manifest.classes) + 2, -1, np.int64)
    table[list(manifest.classes)] = range(len(manifest.classes))
    positions = table[mask.clip(-1, len(table) - 1)]  # -1 and the last entry stand for every value outside
    if positions.min() < 0:
        raise DataError(
            f"{pair.mask.name}: mask value {mask[positions < 0][0]} is not in the classes of {FILE_NAME}; "
            "declare it there or correct the mask"
        )
    return positions


def check_quarantine(bad: Sequence[DataError], count: int, limit: float) -> None:
    """Allow that a few files cannot be read.

    Raises:
        DataError: where more than the share `limit` of `count` files cannot; it repeats the first reason.
    """
    if len(bad) > limit * count:
        raise DataError(f"{len(bad)} of {count} files cannot be used, above the limit of {limit:.0%}; first: {bad[0]}")
