"""Small pictures with a dark wire (1) and a thicker, darker catheter (2), and hospitals' folders of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

CLASSES = {"0": "background", "1": "guidewire", "2": "catheter"}


def angiogram(seed: int, shift: int = 0, height: int = 80, width: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of 8 bits and the mask; the anatomy hangs on the seed, `shift` moves the devices and nothing else."""
    draw = np.random.default_rng(seed)
    anatomy = ndimage.zoom(draw.normal(size=(8, 8)), (height / 8, width / 8), order=3)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    turn = draw.uniform(-4, 4)
    for value, half, row in ((1, 1, 0.25), (2, 3, 0.6)):
        line = height * row + 0.2 * x + 4 * np.sin(x / 15 + turn) + shift
        mask[(np.abs(y - line) <= half) & (x > 10) & (x < width - 10 * value)] = value
    noise = np.random.default_rng([seed, shift]).normal(0, 2, mask.shape)
    grey = 130 + 25 * anatomy + noise - 45 * (mask == 1) - 60 * (mask == 2)
    return np.clip(grey, 0, 255).astype(np.uint8), mask


def new_folder(folder: Path, **stated: Any) -> Path:
    """A hospital's folder without pictures."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "dataset.json").write_text(json.dumps({"name": "here", "classes": CLASSES, **stated}))
    return folder


def put(folder: Path, stem: str, picture: tuple[np.ndarray, np.ndarray]) -> None:
    """Add a picture with its mask."""
    for part, pixels in zip(("images", "masks"), picture, strict=True):
        Image.fromarray(pixels).save(folder / part / f"{stem}.png")


def site(folder: Path, pictures: Mapping[str, tuple[np.ndarray, np.ndarray]], **stated: Any) -> Path:
    """A hospital's folder of pictures by stem."""
    new_folder(folder, **stated)
    for stem, picture in pictures.items():
        put(folder, stem, picture)
    return folder
