"""What a fine-tune job leaves on disk: its weights and a record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedefm.finetune.network import tuned_spec
from fedefm.finetune.settings import FineTune
from fedefm.models.build import Weights
from fedefm.models.checkpoint import save_weights

TUNED_FILE = "tuned.safetensors"


def build_record(settings: FineTune, figures: Mapping[str, Any], model: Mapping[str, str] | None) -> dict[str, Any]:
    """`report.json` of a fine-tune job.

    Args:
        settings: the job.
        figures: of `fedefm.finetune.rounds.tune`.
        model: path (relative to the folder) and SHA-256 of the weights; None where hospitals kept their own.
    """
    return {
        "schema": 1,
        "kind": "finetune",
        "name": settings.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": settings.seed,
        "config": settings.to_dict(),
        "classes": list(settings.classes),
        "model": model,
        **figures,
    }


def save_tuned(settings: FineTune, weights: Weights | None, folder: Path) -> dict[str, str] | None:
    """Write the tuned weights; path (relative to `folder`) and SHA-256, None where there are none."""
    if weights is None:
        return None
    sha256 = save_weights(
        folder / TUNED_FILE, weights, spec=tuned_spec(settings), classes=settings.classes, size=settings.size
    )
    return {"path": TUNED_FILE, "sha256": sha256}
