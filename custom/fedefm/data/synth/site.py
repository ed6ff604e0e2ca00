"""One hospital's folder: images, masks of its own label corpus, and `dataset.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fedefm.data.png_file import write_png
from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.frame import PHASES, canvas_for, render_patient
from fedefm.data.synth.looks import CLASSES, Look, jittered, look_named
from fedefm.errors import ConfigError, DataError
from fedefm.files import new_folder

VERSION = 1
"""Raised whenever the same seed would give other bytes."""

FRAMES_A_PATIENT = 4

_TRAIN, _VAL = 0.60, 0.15
_FIRST_NEEDED = ("full", "none", "front", "weak")

Progress = Callable[[int, int], None]


def write_site(
    folder: Path,
    look: str,
    *,
    frames: int,
    size: int,
    seed: int,
    corpus: Sequence[str],
    progress: Progress | None = None,
    magnification: float | None = None,
    style: float = 0.0,
) -> None:
    """Write a hospital's synthetic data set, all of it or nothing.

    Training and validation masks hold the classes of `corpus` only, as in a hospital that never labels the others; the
    masks of the test split hold all classes. No patient is in two splits. A folder that already holds the same data set
    is kept as it is.

    Args:
        folder: the data set's folder, not there yet or empty; its name becomes the data set's.
        look: one of `LOOKS` or `HELD_BACK`.
        frames: number of images, at least 3 since each split needs a patient.
        size: rows and columns of an image.
        seed: what the hospital's patients are drawn from.
        corpus: the classes that this hospital labels.
        progress: called with the frames done and their total.
        magnification: zoom of the field of view, by default as in `render`.
        style: how far this room's physics lie from the look's mean (deviation of the logarithm).

    Raises:
        ConfigError: an argument is out of range or names an unknown look or class.
        DataError: the folder holds something else.
    """
    canvas, annotated = canvas_for(size, magnification), _checked_corpus(corpus)
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative: give 0 or more")
    room = jittered(look_named(look), np.random.default_rng([seed, 2]), style)
    plan = _plan(frames, seed)
    origin = _origin(look, frames, canvas, seed, style)
    manifest = _manifest(folder.name, annotated, plan, seed, origin)
    if _already_there(folder, manifest):
        return
    with new_folder(folder) as scratch:
        _write_frames(scratch, room, canvas, seed, plan, annotated, progress)
        (scratch / "dataset.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _checked_corpus(corpus: Sequence[str]) -> list[str]:
    """Return the corpus in the order of `CLASSES`.

    Raises:
        ConfigError: it is empty or names an unknown class.
    """
    unknown = [name for name in corpus if name not in CLASSES]
    if unknown or not corpus or isinstance(corpus, str):
        raise ConfigError(f"corpus {corpus!r} is wrong: give a list of one or more of {', '.join(CLASSES)}")
    return [name for name in CLASSES if name in corpus]


def _plan(frames: int, seed: int) -> dict[str, tuple[str, int]]:
    """Return each patient's split and number of frames.

    Raises:
        ConfigError: there are too few frames for three splits.
    """
    if frames < 3:
        raise ConfigError(f"frames {frames} is too few: give at least 3, one for each split")
    patients = max(-(-frames // FRAMES_A_PATIENT), 3)
    val, held = max(1, round(_VAL * patients)), max(1, round((1 - _TRAIN - _VAL) * patients))
    splits = ["test"] * held + ["val"] * val + ["train"] * (patients - held - val)
    shuffled = np.random.default_rng([seed, 3]).permutation(splits)
    return {f"p{i:03d}": (str(split), frames // patients + (i < frames % patients)) for i, split in enumerate(shuffled)}


def _origin(look: str, frames: int, canvas: Canvas, seed: int, style: float) -> dict[str, object]:
    """Return the parameters that made a data set; two of the same origin hold the same bytes."""
    return {
        "generator": "fedefm synth",
        "version": VERSION,
        "look": look,
        "seed": seed,
        "frames": frames,
        "size": canvas.size,
        "magnification": canvas.magnification,
        "style": style,
    }


def _manifest(
    name: str, annotated: list[str], plan: dict[str, tuple[str, int]], seed: int, origin: dict[str, object]
) -> dict[str, object]:
    """Return the content of `dataset.json`."""
    return {
        "name": name,
        "classes": {str(value): label for value, label in enumerate(("background", *CLASSES))},
        "annotated": annotated,
        "test_annotated": list(CLASSES),
        "patients": "^(?P<patient>[^_]+)_",
        "splits": {
            split: [patient for patient, (its, _) in plan.items() if its == split] for split in ("train", "val", "test")
        },
        "synthetic": True,
        "origin": origin,
    }


def _already_there(folder: Path, manifest: dict[str, object]) -> bool:
    """Return whether the folder holds exactly this data set.

    Raises:
        DataError: the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != manifest:
        raise DataError(f"{folder}: holds other files or another data set: name a new folder, or remove it first")
    return True


def _phases(count: int) -> list[str]:
    """Return the phases of a patient's frames in the order of a cine; with one frame it is the filled one."""
    chosen = [_FIRST_NEEDED[i % len(PHASES)] for i in range(count)]
    return sorted(chosen, key=PHASES.index)


def _write_frames(
    folder: Path,
    look: Look,
    canvas: Canvas,
    seed: int,
    plan: dict[str, tuple[str, int]],
    corpus: Sequence[str],
    progress: Progress | None,
) -> None:
    """Write all images and masks."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    total, done = sum(count for _, count in plan.values()), 0
    for number, (patient, (split, count)) in enumerate(plan.items()):
        for frame, phase in enumerate(_phases(count)):
            made = render_patient(look, canvas, (seed, 4, number), frame, phase)
            mask = made.mask if split == "test" else without_unlabelled(made.mask, corpus)
            write_png(folder / "images" / f"{patient}_{frame}.png", made.image)
            write_png(folder / "masks" / f"{patient}_{frame}.png", mask)
            done += 1
            if progress is not None:
                progress(done, total)


def without_unlabelled(mask: UInt8[np.ndarray, "h w"], corpus: Sequence[str]) -> UInt8[np.ndarray, "h w"]:
    """Return the mask with every class that is not in the corpus as background."""
    table = np.array([0] + [value * (name in corpus) for value, name in enumerate(CLASSES, 1)], dtype=np.uint8)
    return table[mask]
