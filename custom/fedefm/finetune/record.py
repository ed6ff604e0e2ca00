"""The record of a fine-tune job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fedefm.finetune.settings import FineTune


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
