"""Pictures of truth and prediction on test frames; made where the images are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from fedefm.data.dataset import load_site
from fedefm.data.frames import Split
from fedefm.errors import DataError
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights, build_model
from fedefm.models.checkpoint import THETA_FILE, load_weights
from fedefm.report.overlay import Overlay
from fedefm.training.scores import predict


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
            images, masks = data.test.batch([k])
            prediction = predict(model, images)[0].numpy()
            caption = f"{data.test.names[k]}, labels {', '.join(data.corpus)}"
            pictures.append(Overlay(site, caption, to_grey(images[0, 0]), masks[0].numpy(), prediction))
    return pictures


def to_grey(image: Tensor) -> np.ndarray:
    """A normalised image as 8-bit grey values, stretched to its own range."""
    values = image.numpy()
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-6) * 255).round().astype(np.uint8)


def _telling_frames(split: Split, count: int) -> Sequence[int]:
    """Numbers of the frames that show most classes; of those with equally many, the earlier."""
    return sorted(range(len(split)), key=lambda k: (-len(split.labels[k]), k))[:count]


def finish(settings: Settings, out: Path, folders: Mapping[str, Path]) -> list[Overlay]:
    """Overlays of the Theta that a run left in `out`; none where the method has no Theta."""
    theta = out / THETA_FILE
    return overlays(settings, load_weights(theta, spec=settings.model).weights, folders) if theta.exists() else []
