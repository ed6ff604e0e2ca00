"""A bad hospital: masks beside their devices, classes mixed up, or another modality; its test frames stay good."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from benchmarks.fixed.retina import fundus
from jaxtyping import UInt8

from fedefm.data.synth.looks import CLASSES
from fedefm.data.synth.site import without_unlabelled, write_png
from fedefm.errors import ConfigError
from fedefm.files import new_folder

Image = UInt8[np.ndarray, "h w"]
Spoil = Callable[[Image, Image, np.random.Generator], tuple[Image, Image]]
SHIFT = 1 / 8  # of the image's side


def spoil_site(folder: Path, full: Path, place: Path, scenario: str, seed: int) -> Path:
    """Write a copy of a hospital whose training and validation frames are bad; keeps a copy that is there.

    Args:
        folder: the hospital as it should be.
        full: the same images with all classes labelled.
        place: folder of the copy.
        scenario: `shifted`, `swapped` or `retina`.
        seed: of what is drawn.

    Raises:
        ConfigError: the scenario is unknown.
    """
    if scenario not in SPOIL:
        raise ConfigError(f"bad hospital: '{scenario}' is unknown; choose one of {', '.join(SPOIL)}")
    if place.exists():
        return place
    with new_folder(place) as scratch:
        shutil.copytree(folder, scratch, dirs_exist_ok=True)
        _spoil_frames(scratch, full, SPOIL[scenario], seed)
    return place


def shifted(image: Image, mask: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Masks an eighth of the side down and to the right of what they show."""
    step = round(SHIFT * mask.shape[0])
    moved = np.zeros_like(mask)
    moved[step:, step:] = mask[:-step, :-step]
    return image, moved


def swapped(image: Image, mask: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Catheters are called vessels, and vessels catheters."""
    table = np.arange(256, dtype=np.uint8)
    a, b = 1 + CLASSES.index("catheter"), 1 + CLASSES.index("vessel")
    table[[a, b]] = [b, a]
    return image, table[mask]


def retina(image: Image, mask: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """A fundus in place of an angiogram, its vessels rightly labelled."""
    picture, vessels = fundus(image.shape[0], rng)
    return picture, np.where(vessels, 1 + CLASSES.index("vessel"), 0).astype(np.uint8)


SPOIL: dict[str, Spoil] = {"shifted": shifted, "swapped": swapped, "retina": retina}


def _spoil_frames(folder: Path, full: Path, spoil: Spoil, seed: int) -> None:
    manifest = json.loads((folder / "dataset.json").read_text())
    for split in ("train", "val"):
        for patient in manifest["splits"][split]:
            for number, path in enumerate(sorted((folder / "images").glob(f"{patient}_*.png"))):
                rng = np.random.default_rng([seed, 6, int(patient[1:]), number])
                image, mask = spoil(_read(path), _read(full / "masks" / path.name), rng)
                write_png(path, image)
                write_png(folder / "masks" / path.name, without_unlabelled(mask, manifest["annotated"]))


def _read(path: Path) -> Image:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.uint8)
