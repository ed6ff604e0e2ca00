"""An evaluation job in one process, without FLARE: the oracle of the adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.evaluation.measurer import Measurer
from fedefm.evaluation.rounds import evaluate
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.events import Listener
from fedefm.exchange.in_process import InProcessTransport


def evaluate_in_process(
    settings: Evaluation,
    folders: Mapping[str, Path],
    models: Mapping[str, Path],
    listen: Listener = lambda event: None,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measure every model at every hospital in this process; `report.json`.

    Args:
        settings: the job.
        folders: every hospital's images and labels.
        models: file of each model.
        listen: is told every event.
        device: of all hospitals.

    Raises:
        FedefmError: a model cannot be measured, or too few hospitals took part.
    """
    measurers = {name: Measurer(name, folder, settings, device=device) for name, folder in sorted(folders.items())}
    return evaluate(settings, sorted(folders), models, InProcessTransport(measurers), listen)
