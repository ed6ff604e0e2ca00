"""From a finished run to `report.json`, overlays and weights on disk."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fedefm.data.dataset import Split, load_site
from fedefm.errors import DataError
from fedefm.exchange.state import RoundState
from fedefm.models.build import Weights, build_model
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.report import Overlay
from fedefm.training.scores import predict
from fedefm.training.settings import Settings

PACKAGES = ("fedefm", "nvflare", "torch", "segmentation-models-pytorch", "POT", "SimpleITK")
THETA_FILE = "theta.safetensors"


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def build_record(
    settings: Settings, figures: Mapping[str, Any], files: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """`report.json` of a run: its figures, and what identifies it.

    Args:
        settings: the job.
        figures: of `exchange.record.Recorder`.
        files: of `save_models`.
    """
    return {
        "schema": 1,
        "name": settings.name,
        "method": settings.schedule.method,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "seed": settings.schedule.seed,
        "rounds": settings.schedule.rounds,
        "config": settings.to_dict(),
        "theta": files.get("theta"),
        "models": {name: entry for name, entry in files.items() if name != "theta"},
        **figures,
    }


def save_models(
    settings: Settings, theta: Weights | None, silos: Mapping[str, Weights], folder: Path
) -> dict[str, dict[str, str]]:
    """Write theta_i of every silo and Theta, which comes last; path (relative to `folder`) and SHA-256 of each."""
    models = {name: (Path("models") / f"{name}.safetensors", weights) for name, weights in sorted(silos.items())}
    if theta is not None:
        models["theta"] = (Path(THETA_FILE), theta)
    return {
        name: {
            "path": path.as_posix(),
            "sha256": save_weights(
                folder / path, weights, spec=settings.model, classes=settings.classes, size=settings.size
            ),
        }
        for name, (path, weights) in models.items()
    }


def save_run(
    settings: Settings, state: RoundState[Weights], figures: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Write the models of a run that was not FLARE's, and give its record."""
    silos = {site: state.silos[site] for site in state.trained}
    return build_record(settings, figures, save_models(settings, state.theta, silos, folder))


def overlays(settings: Settings, weights: Weights, folders: Mapping[str, Path], per_site: int = 2) -> list[Overlay]:
    """Pictures of truth and prediction on test frames that show most classes; made where the images are."""
    model = build_model(settings.model, len(settings.classes) + 1, settings.size)
    model.load_state_dict(weights)
    pictures = []
    for site, folder in sorted(folders.items()):
        try:
            data = load_site(folder, settings.classes, settings.size)
        except DataError:  # the run went on without this hospital, and its record names it
            continue
        for k in _telling_frames(data.test, per_site):
            prediction = predict(model, data.test.images[k : k + 1])[0].numpy()
            caption = f"{data.test.names[k]}, labels {', '.join(data.corpus)}"
            image = to_grey(data.test.images[k, 0])
            pictures.append(Overlay(site, caption, image, data.test.masks[k].numpy(), prediction))
    return pictures


def to_grey(image: Tensor) -> np.ndarray:
    """A normalised image as 8-bit grey values, stretched to its own range."""
    values = image.numpy()
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-6) * 255).round().astype(np.uint8)


def _telling_frames(split: Split, count: int) -> Sequence[int]:
    """Frames with most classes first, the earlier of equals."""
    richness = [len(mask.unique()) for mask in split.masks]
    return sorted(range(len(richness)), key=lambda k: (-richness[k], k))[:count]


def finish(settings: Settings, out: Path, folders: Mapping[str, Path]) -> list[Overlay]:
    """Overlays of the Theta that a run left in `out`; none where the method has no Theta."""
    theta = out / THETA_FILE
    return overlays(settings, load_weights(theta, spec=settings.model).weights, folders) if theta.exists() else []
