"""A collection to a silo's folder: images, masks and dataset.json, whole or not at all."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from jaxtyping import Integer

from fedefm.data.folder import IMAGES, MASKS
from fedefm.data.grouped import Placed, place_once
from fedefm.data.importers.collection import Collection, Frame
from fedefm.data.importers.files import ending_of, open_picture, read_labels
from fedefm.data.manifest import BACKGROUND, SPLIT_NAMES, Manifest, write_manifest
from fedefm.data.quarantine import MAX_QUARANTINED, check_quarantine
from fedefm.data.readers import count_values, read_image
from fedefm.data.splits import VAL_SHARE, split_by_hash
from fedefm.errors import DataError
from fedefm.files import new_folder

PATIENTS = "^(?P<patient>.+?)(?:__|$)"
"""Stands in dataset.json where the source says whose an image is: its file is named PATIENT__NAME."""
VAL_OF_TRAIN = "patient of train moved to val, of which the source has none"
_MODES = {"L": "L", "1": "L", "LA": "RGB", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "I;16": "I;16", "I": "I;16"}
"""What Pillow holds, to what PNG has and loses nothing of the picture itself."""
NO_SPLIT = "frame without a split in a source that has splits, put into train"


@dataclass(frozen=True)
class Imported:
    """What an import has made.

    Attributes:
        name: the silo.
        kind: the layout that it came in.
        classes: the class of each mask value, without background.
        frames: images by split.
        patients: patients by split.
        class_frames: by split, in how many frames each class is.
        remarks: what was left out or taken for granted, and how often.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    frames: Mapping[str, int]
    patients: Mapping[str, int]
    class_frames: Mapping[str, Mapping[str, int]]
    remarks: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        widths = {name: max(len(name), 6) for name in self.classes}
        images, patients = sum(self.frames.values()), sum(self.patients.values())
        lines = [
            f"{self.name}: {images} images of {patients} patients from {self.kind}",
            "  split  images  patients  " + "  ".join(f"{name:>{widths[name]}}" for name in self.classes),
        ]
        lines += [
            f"  {split:5}  {self.frames[split]:6}  {self.patients[split]:8}  "
            + "  ".join(f"{self.class_frames[split][name]:{widths[name]}}" for name in self.classes)
            for split in SPLIT_NAMES
        ]
        lines += [f"  {count} x {remark}" for remark, count in sorted(self.remarks.items())]
        return "\n".join(lines)


@dataclass
class _Written:
    """What is known of the frames so far."""

    patient_of: dict[str, str | None] = field(default_factory=dict)
    split_of: dict[str, str | None] = field(default_factory=dict)
    values_of: dict[str, set[int]] = field(default_factory=dict)
    bad: list[DataError] = field(default_factory=list)


def write_site(
    collection: Collection,
    out: Path,
    *,
    kind: str,
    name: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Imported:
    """Write a collection as a silo's folder, which takes its place when it is whole.

    Images that our readers read are copied byte for byte, others are written as PNG without loss; masks are PNG with
    the stored numbers, but those of stacks, which are copied. Images that cannot be read are left out and counted.

    Args:
        collection: in its published layout.
        out: a new or empty folder.
        kind: the layout, for the record.
        name: the silo; None for the folder's name.
        progress: is told how many frames are done.

    Raises:
        DataError: image and mask do not fit, a mask has a value without a name, too many images cannot be read.
        ConfigError: the folder is taken.
    """
    with new_folder(out) as folder:
        (folder / IMAGES).mkdir()
        (folder / MASKS).mkdir()
        written, seen = _Written(), 0
        for seen, frame in enumerate(collection.frames, start=1):
            _write_frame(frame, folder, collection, written)
            progress(seen)
        if not seen:
            raise DataError(f"{kind}: no frame with a mask in the source; {_remarked(collection)}")
        check_quarantine(written.bad, seen, MAX_QUARANTINED)
        manifest = _manifest(name or out.resolve().name, collection, written)
        write_manifest(manifest, folder, origin={"imported from": kind})
        return _summary(manifest, place_once(folder, manifest), kind, collection, written)


def _remarked(collection: Collection) -> str:
    found = ", ".join(f"{count} x {remark}" for remark, count in collection.remarks.items() if count)
    return found or "give the folder that holds the images and their labels"


def _write_frame(frame: Frame, folder: Path, collection: Collection, written: _Written) -> None:
    stem = _stem(frame)
    if stem in written.values_of:
        raise DataError(f"two frames are named {stem!r}; rename one in the source, or import them apart")
    try:
        shape = _write_image(frame.image, folder / IMAGES, stem)
    except DataError as error:
        written.bad.append(error)
        return
    if isinstance(frame.mask, Path):
        labels = read_labels(frame.mask, frame.image)
    else:
        labels = np.asarray(frame.mask, np.int64)[None]
    if labels.shape != shape:
        raise DataError(
            f"{frame.image.name} is {_size(shape)} but its labels are {_size(labels.shape)}; "
            "they belong to another picture, or one was made smaller: correct the source"
        )
    values = set(count_values(labels))
    if min(values) < 0:
        raise DataError(f"mask of {frame.name}: value {min(values)}; class numbers are from 0 on, so save it again")
    if strange := sorted(values - collection.classes.keys()):
        raise DataError(
            f"mask of {frame.name}: value {strange[0]} has no name; add --classes {strange[0]}=NAME, "
            f"or {strange[0]}={BACKGROUND} where it is nothing"
        )
    _write_mask(labels, frame.mask, folder / MASKS, stem)
    written.values_of[stem] = values
    written.patient_of[stem] = _safe(frame.patient) if frame.patient else None
    written.split_of[stem] = frame.split


def _stem(frame: Frame) -> str:
    """`PATIENT__NAME`, or the name alone where the patient is not known."""
    return f"{_safe(frame.patient)}__{_safe(frame.name)}" if frame.patient else _safe(frame.name)


def _safe(name: str) -> str:
    """A name that any file system takes, in which the mark between patient and name does not occur."""
    return re.sub(r"__+", "_", re.sub(r"[^\w.-]+", "-", name)).strip("-_.") or "x"


def _write_image(image: Path, folder: Path, stem: str) -> tuple[int, int, int]:
    """Copy an image, or write it as PNG where our readers do not read it; its frames, rows and columns."""
    try:
        shape = read_image(image).frames.shape
    except DataError as unreadable:
        try:
            picture = open_picture(image)
        except DataError:
            raise unreadable from None
        if picture.mode not in _MODES:
            raise
        picture.convert(_MODES[picture.mode]).save(folder / f"{stem}.png")
        return 1, picture.height, picture.width
    shutil.copyfile(image, folder / f"{stem}{ending_of(image)}")
    return shape


def _write_mask(labels: Integer[np.ndarray, "f h w"], source: object, folder: Path, stem: str) -> None:
    if len(labels) > 1 and isinstance(source, Path):
        shutil.copyfile(source, folder / f"{stem}{ending_of(source)}")
        return
    small = labels[0].astype(np.uint8 if labels.max() < 256 else np.uint16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(small), str(folder / f"{stem}.png"), useCompression=True)


def _manifest(name: str, collection: Collection, written: _Written) -> Manifest:
    known = any(written.patient_of.values()) or any(written.split_of.values())
    splits = _splits(written, collection.remarks) if any(written.split_of.values()) else None
    return Manifest(name, collection.classes, patients=PATIENTS if known else None, splits=splits)


def _splits(written: _Written, remarks: Counter[str]) -> dict[str, tuple[str, ...]]:
    """The source's own splits by patient; where it has none for validation, some patients of training are it."""
    owner: dict[str, str] = {}
    for stem, stated in written.split_of.items():
        split = stated or "train"
        remarks[NO_SPLIT] += stated is None
        patient = written.patient_of[stem] or stem
        if owner.setdefault(patient, split) != split:
            raise DataError(
                f"the source has frames of patient {patient!r} in {owner[patient]} and in {split}; "
                "move them into one split, or correct --patients"
            )
    splits = {split: sorted(p for p, where in owner.items() if where == split) for split in SPLIT_NAMES}
    if not splits["val"] and len(splits["train"]) > 2:
        wanted = max(1, round(VAL_SHARE * len(splits["train"])))
        by_hash = split_by_hash(splits["train"])
        moved = sorted(p for p in splits["train"] if by_hash[p] != "train")[:wanted]
        splits["val"] = moved
        splits["train"] = [p for p in splits["train"] if p not in moved]
        remarks[VAL_OF_TRAIN] += len(moved)
    return {split: tuple(patients) for split, patients in splits.items()}


def _summary(manifest: Manifest, placed: Placed, kind: str, collection: Collection, written: _Written) -> Imported:
    patient_of, split_of = placed.patient_of, placed.split_of
    frames, present = Counter(split_of[p] for p in patient_of.values()), Counter[tuple[str, int]]()
    for stem, values in written.values_of.items():
        present.update((split_of[patient_of[stem]], value) for value in values)
    named = {value: name for value, name in manifest.classes.items() if name != BACKGROUND}
    if written.bad:
        collection.remarks[f"image that cannot be read, left out; first: {written.bad[0]}"] += len(written.bad)
    return Imported(
        name=manifest.name,
        kind=kind,
        classes=tuple(named.values()),
        frames={split: frames[split] for split in SPLIT_NAMES},
        patients={split: sum(where == split for where in split_of.values()) for split in SPLIT_NAMES},
        class_frames={s: {name: present[s, value] for value, name in named.items()} for s in SPLIT_NAMES},
        remarks={remark: count for remark, count in collection.remarks.items() if count},
    )


def _size(shape: tuple[int, ...]) -> str:
    frames, rows, columns = shape
    return f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
