"""The server's side of an evaluation job in plain Python: model after model to all hospitals.

`evaluate` runs over any transport, FLARE's for one; `evaluate_in_process` with all hospitals in this process, which is
the oracle of FLARE's adapters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedefm.evaluation.figures import Scores, matrix
from fedefm.evaluation.measurer import Measurer
from fedefm.evaluation.models import check_models
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.events import Listener
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import STUDENT, Assignment, Stage
from fedefm.exchange.ports import Transport
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.metrics.table import Place, of_images, ranges
from fedefm.models.build import Weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.training.ledger import Ledger
from fedefm.training.ops import TensorOps
from fedefm.training.wire import TensorWire


def evaluate(
    settings: Evaluation,
    sites: Sequence[str],
    models: Mapping[str, Checkpoint],
    transport: Transport[Weights],
    listen: Listener,
) -> dict[str, Any]:
    """Measure every model at every hospital, over any transport.

    Args:
        settings: the job.
        sites: hospitals that take part.
        models: of `read_models`.
        transport: carries the work.
        listen: is told every event.

    Returns:
        `report.json`.

    Raises:
        CheckpointError: a model cannot be measured; no hospital was asked anything.
        QuorumError: fewer than `min_sites` hospitals took part.
    """
    check_models(models, settings)
    ledger = Ledger(listen)
    stages = Stages(
        transport,
        TensorOps(next(iter(models.values())).weights),
        settings.classes,
        ledger,
        rounds=len(models),
        seed=settings.seed,
        min_sites=settings.min_sites,
        metrics=ranges(of_images()),
    )
    state = stages.prepare(Attendance(0), sites)
    scores: dict[str, dict[str, Scores]] = {}
    for number, (name, model) in enumerate(models.items()):
        tasks = stages.tasks(state, Stage.MEASURE, number)
        assignments = [Assignment(task, {STUDENT: model.weights}) for task in tasks]
        done, state = stages.perform(replace(state, round=number), Stage.MEASURE, assignments)
        stages.quorum(len(done), Stage.MEASURE, number)
        scores[name] = {task.site: result.report["scores"] for task, result in done}
    return _record(settings, models, scores, ledger)


def _record(
    settings: Evaluation, models: Mapping[str, Checkpoint], scores: Mapping[str, Mapping[str, Scores]], ledger: Ledger
) -> dict[str, Any]:
    prepared = ledger.reports[Stage.PREPARE]
    sites = sorted(prepared)
    return {
        "schema": 1,
        "kind": "evaluation",
        "name": settings.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": settings.seed,
        "config": settings.to_dict(),
        "classes": list(settings.classes),
        "sites": sites,
        "corpora": {site: list(prepared[site]["corpus"]) for site in sites},
        "images": {site: prepared[site]["images"].get("test") for site in sites},
        "left_out": {site: prepared[site].get("left_out") for site in sites} if settings.leave_out_proposed_by else {},
        "synthetic": [site for site in sites if prepared[site].get("synthetic")],
        "models": [{"name": name, "sha256": model.sha256} for name, model in models.items()],
        "matrix": {row.name: matrix(scores, row.name, sites) for row in of_images(Place.MATRIX)},
        "scores": {name: dict(by_site) for name, by_site in scores.items()},
        "lost": ledger.lost,
        "standings": ledger.standings,
        "seconds": ledger.seconds,
        "bytes": ledger.bytes,
        "least_bytes": ledger.least,
    }


def evaluate_in_process(
    settings: Evaluation,
    folders: Mapping[str, Path],
    models: Mapping[str, Checkpoint],
    listen: Listener = lambda event: None,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measure every model at every hospital in this process; `report.json`.

    Args:
        settings: the job.
        folders: every hospital's images and labels.
        models: of `read_models`.
        listen: is told every event.
        device: of all hospitals.

    Raises:
        FedefmError: a model cannot be measured, or too few hospitals took part.
    """
    measurers = {name: Measurer(name, folder, settings, device=device) for name, folder in sorted(folders.items())}
    return evaluate(settings, sorted(folders), models, InProcessTransport(measurers, TensorWire()), listen)
