"""A labelled silo of a hospital's own images without masks: real pictures, drawn devices, exact masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt

from fedefm.data.folder import IMAGES, MASKS, UNLABELLED, is_clutter
from fedefm.data.formats.reader import Reader
from fedefm.data.manifest import FILE_NAME, Manifest, load_manifest, write_manifest
from fedefm.data.png_file import write_png
from fedefm.data.readers import open_file, read_frames, read_shape, stem_of
from fedefm.data.synth.composite import DEVICES, draw_devices
from fedefm.data.synth.site import Progress
from fedefm.errors import ConfigError, DataError
from fedefm.files import new_folder

VERSION = 1
"""Raised whenever the same seed would give other bytes."""

_LARGEST = 4096  # pixels a side


def draw_on(
    background: Path, out: Path, *, frames: int, seed: int, name: str | None = None, progress: Progress | None = None
) -> int:
    """Write a silo of frames with drawn devices, whole or not at all.

    Every file gives about as many frames as any other; of a cine other frames are taken each time. A patient keeps his
    devices, and is in one split. Files that cannot be read are passed over.

    Args:
        background: a folder of images, or a silo with `unlabelled/`; only read.
        out: a new or empty folder.
        frames: how many to make.
        seed: the same gives the same bytes.
        name: the silo; None for the folder's name.
        progress: called with the frames done and their total.

    Returns:
        How many files could not be used.

    Raises:
        ConfigError: an argument is out of range, or a place is wrong.
        DataError: no file can be used, or one is too large.
    """
    if frames < 1 or seed < 0:
        raise ConfigError("--frames: give 1 or more; --seed: 0 or more")
    folder = background / UNLABELLED if (background / UNLABELLED).is_dir() else background
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{out}: lies in the images given, which are never changed; name a folder elsewhere")
    files, bad = _usable(folder)
    patients = _patients(folder, files)
    numbers = {patient: k for k, patient in enumerate(sorted(set(patients.values())))}
    order = np.random.default_rng([seed, 6]).permutation(sorted(files)).tolist()
    with new_folder(out) as scratch:
        (scratch / IMAGES).mkdir()
        (scratch / MASKS).mkdir()
        for k in range(frames):
            stem = order[k % len(order)]
            number, file = numbers[patients[stem]], files[stem]
            rng = np.random.default_rng([seed, 7, k])
            picked = int(rng.integers(file.shape[0]))
            frame = next(read_frames(file, range(picked, picked + 1)))
            low, high = _range(frame)
            made = draw_devices(np.nan_to_num(frame, nan=low), low, (seed, 8, number), k)
            write_png(scratch / IMAGES / f"p{number:04d}_{k:06d}.png", _whole(made.image, low, high))
            write_png(scratch / MASKS / f"p{number:04d}_{k:06d}.png", made.mask)
            if progress is not None:
                progress(k + 1, frames)
        classes = {0: "background", **dict(enumerate(DEVICES, 1))}
        manifest = Manifest(name or out.resolve().name, classes, patients="^(?P<patient>[^_]+)_", synthetic=True)
        write_manifest(
            manifest, scratch, origin={"generator": "fedefm synth on images", "version": VERSION, "seed": seed}
        )
    return bad


def _usable(folder: Path) -> tuple[dict[str, Reader], int]:
    """Files that can be read, by stem, and how many cannot."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one of images without masks")
    found, bad = {}, 0
    for path in sorted(folder.iterdir()):
        if is_clutter(path) or path.is_dir() or path.name == FILE_NAME:
            continue
        try:
            _, rows, columns = read_shape(path)
            file = open_file(path)
        except DataError:
            bad += 1
            continue
        if file.segmentation or max(rows, columns) > _LARGEST:
            bad += 1
        else:
            found[stem_of(path)] = file
    if not found:
        raise DataError(f"{folder}: no image in it that can be used; fedefm data check says why")
    return found, bad


def _patients(folder: Path, files: Mapping[str, Reader]) -> dict[str, str]:
    """Whose image each file is, as `dataset.json` beside the folder or in it says; else each is of its own patient."""
    place = next((one for one in (folder, folder.parent) if (one / FILE_NAME).is_file()), None)
    if place is None:
        return {stem: stem for stem in files}
    manifest = load_manifest(place)
    return {stem: manifest.patient_of(stem) for stem in files}


def _range(frame: Float32[np.ndarray, "h w"]) -> tuple[float, float]:
    """Black and white: those of 8 bits where all greys fit, else the frame's own ones, black no higher than 0."""
    low, high = float(np.nanmin(frame)), float(np.nanmax(frame))
    return min(low, 0.0), 255.0 if low >= 0 and high <= 255 else high


def _whole(image: Float32[np.ndarray, "h w"], low: float, high: float) -> UInt[np.ndarray, "h w"]:
    """Grey values as whole numbers: as they are where they fit into 8 or 16 bits, else spread over 16."""
    grey = image - low
    if high - low <= 255:
        return np.rint(grey.clip(0, 255)).astype(np.uint8)
    scale = 1.0 if high - low <= 65535 else 65535 / (high - low)
    return np.rint((grey * scale).clip(0, 65535)).astype(np.uint16)
