"""Real devices: ARCADE's angiograms with catheters and vessels labelled, cut into two hospitals and five folds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fedefm.data.png_file import write_png
from fedefm.data.readers import read_mask
from fedefm.errors import ConfigError
from fedefm.files import new_folder

FOLDS = 5
CLASSES = ("catheter", "vessel")
IMAGES, MASKS = Path("arcade/images"), Path("arcade_devices/masks")
VESSELS_ALONE = frozenset({"113", "153", "197"})
"""Frames in which nobody could say what the catheter is (the labels' own page)."""
_VAL = 0.15
_IGNORE = 255


def write_devices(folder: Path, real: Path, hospitals: Mapping[str, str], seed: int, unseen: int) -> dict[str, Path]:
    """One folder a hospital, of frames of its own; every frame is a test frame in one of five folds.

    Args:
        folder: where the hospitals' folders go; what is there stays.
        real: holds `arcade/images` and `arcade_devices/masks`.
        hospitals: the class that each hospital labels, by the hospital's name; each class of one hospital.
        seed: seeds 0 to 4 are the five folds of one way to cut, 5 to 9 those of the next.
        unseen: 100 where each hospital labels its own class alone, 0 where each labels both.

    Returns:
        The hospitals' folders by name.

    Raises:
        ConfigError: there are no such images, or a share between.
    """
    if unseen not in (0, 100):
        raise ConfigError(f"benchmark: real devices have 0 or 100 % unseen labels, not {unseen}")
    for name, frames in deal(stems_of(real), hospitals, seed // FOLDS).items():
        if not (folder / name).is_dir():
            labels = CLASSES if unseen == 0 else (hospitals[name],)
            _write_hospital(folder / name, real, cut(frames, seed % FOLDS), labels)
    return {name: folder / name for name in sorted(hospitals)}


def stems_of(real: Path) -> list[str]:
    """Names of the frames that have an image and a mask, in the order of their numbers.

    Raises:
        ConfigError: there is none.
    """
    found = {path.stem for path in (real / MASKS).glob("*.png")} & {path.stem for path in (real / IMAGES).glob("*.png")}
    if not found:
        raise ConfigError(f"benchmark: no real devices; name with --real a folder that holds {IMAGES} and {MASKS}")
    return sorted(found, key=int)


def deal(stems: Sequence[str], hospitals: Mapping[str, str], draw: int) -> dict[str, list[str]]:
    """Frames by hospital, as many each; frames without a sure catheter go to who labels vessels."""
    order = [str(stem) for stem in np.random.default_rng([draw, 11]).permutation(list(stems))]
    whole = [stem for stem in order if stem not in VESSELS_ALONE]
    rest = [stem for stem in order if stem in VESSELS_ALONE]
    names = sorted(hospitals)
    dealt = {name: whole[place :: len(names)] for place, name in enumerate(names)}
    return {name: dealt[name] + (rest if hospitals[name] == CLASSES[1] else []) for name in names}


def cut(frames: Sequence[str], fold: int) -> dict[str, list[str]]:
    """Test frames of a fold, validation frames, and what is left to train on; a frame of unsure catheter trains."""
    whole = [stem for stem in frames if stem not in VESSELS_ALONE]
    test = whole[fold::FOLDS]
    left = [stem for stem in whole if stem not in test]
    val = left[: max(1, round(_VAL * len(whole)))]
    return {"train": [stem for stem in frames if stem not in test + val], "val": val, "test": test}


def _write_hospital(folder: Path, real: Path, splits: Mapping[str, Sequence[str]], labels: Sequence[str]) -> None:
    with new_folder(folder) as scratch:
        (scratch / "images").mkdir()
        (scratch / "masks").mkdir()
        for split, stems in splits.items():
            for stem in stems:
                shutil.copyfile(real / IMAGES / f"{stem}.png", scratch / "images" / f"{stem}.png")
                mask = read_mask(real / MASKS / f"{stem}.png")[0].astype(np.uint8)
                write_png(scratch / "masks" / f"{stem}.png", mask if split == "test" else _known(mask, labels))
        manifest = {
            "name": folder.name,
            "classes": {"0": "background", "1": CLASSES[0], "2": CLASSES[1], str(_IGNORE): "ignore"},
            "annotated": list(labels),
            "test_annotated": list(CLASSES),
            "splits": {split: list(stems) for split, stems in splits.items()},
        }
        (scratch / "dataset.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _known(mask: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """The mask without the classes that a hospital does not label: they are not in its folder at all."""
    table = np.zeros(256, dtype=np.uint8)
    table[_IGNORE] = _IGNORE
    for value, name in enumerate(CLASSES, start=1):
        table[value] = value * (name in labels)
    return table[mask]
