"""A Theta of the smallest network, and the settings of fine-tune jobs that start from it."""

from pathlib import Path
from typing import Any

from fedefm.finetune.settings import FineTune
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import Checkpoint, load_weights, save_weights
from fedefm.models.spec import ModelSpec
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SIZE = 32


def write_theta(path: Path, spec: ModelSpec = SMALLEST, classes: tuple[str, ...] = CLASSES, size: int = SIZE) -> Path:
    """Random weights as a Theta; what counts here is that they are kept, not that they are good."""
    weights = initial_weights(spec, len(classes) + 1, size, seed=7)
    save_weights(path, weights, spec=spec, classes=classes, size=size)
    return path


def theta_in(folder: Path, **options: Any) -> Checkpoint:
    return load_weights(write_theta(folder / "theta.safetensors", **options))


def job(**changes: Any) -> FineTune:
    """A short job for the smallest network."""
    short = {"classes": CLASSES, "size": SIZE, "model": SMALLEST, "steps": 4, "rounds": 2}
    return FineTune(**{**short, **changes})
