"""From a finished run to its record and its weights on disk."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fedefm.exchange.state import RoundState
from fedefm.files import filled
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights
from fedefm.models.checkpoint import THETA_FILE, save_weights

PACKAGES = ("fedefm", "nvflare", "torch", "segmentation-models-pytorch", "POT", "SimpleITK")


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
    """Write the models of a run without FLARE, all or none, and give its record.

    Raises:
        ConfigError: one cannot be written; then none is there.
    """
    silos = {site: state.silos[site] for site in state.trained}
    with filled(folder) as part:
        files = save_models(settings, state.theta, silos, part)
    return build_record(settings, figures, files)
