"""The server's side of an evaluation job in plain Python: model after model to all hospitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedefm.evaluation.figures import Scores, matrix, read_scores
from fedefm.evaluation.models import check_models, read_model
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.events import Listener
from fedefm.exchange.messages import STUDENT, Assignment, Stage
from fedefm.exchange.ports import Transport
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.models.build import Weights
from fedefm.training.ledger import Ledger
from fedefm.training.ops import TensorOps

MATRICES = ("dice", "iou", "cldice", "hd95_px", "tip_px", "tip_mm")


def evaluate(
    settings: Evaluation,
    sites: Sequence[str],
    models: Mapping[str, Path],
    transport: Transport[Weights],
    listen: Listener,
) -> dict[str, Any]:
    """Measure every model at every hospital, over any transport. One model is in memory at a time.

    Args:
        settings: the job.
        sites: hospitals that take part.
        models: file of each model.
        transport: carries the work.
        listen: is told every event.

    Returns:
        `report.json`.

    Raises:
        CheckpointError: a model cannot be measured; no hospital was asked anything.
        QuorumError: fewer than `min_sites` hospitals took part.
    """
    hashes, ledger = check_models(models, settings), Ledger(listen)
    first = read_model(next(iter(models.values())), settings).weights
    stages = Stages(
        transport,
        TensorOps(first),
        settings.classes,
        ledger,
        rounds=len(models),
        seed=settings.seed,
        min_sites=settings.min_sites,
    )
    state = stages.prepare(Attendance(0), sites)
    scores: dict[str, dict[str, Scores]] = {}
    for number, (name, path) in enumerate(models.items()):
        weights = read_model(path, settings).weights
        assignments = [Assignment(task, {STUDENT: weights}) for task in stages.tasks(state, Stage.MEASURE, number)]
        done, state = stages.perform(replace(state, round=number), Stage.MEASURE, assignments)
        stages.quorum(len(done), Stage.MEASURE, number)
        scores[name] = {task.site: read_scores(result.report["scores"], settings.classes) for task, result in done}
    return _record(settings, hashes, scores, ledger)


def _record(
    settings: Evaluation, hashes: Mapping[str, str], scores: Mapping[str, Mapping[str, Scores]], ledger: Ledger
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
        "synthetic": [site for site in sites if prepared[site].get("synthetic")],
        "models": [{"name": name, "sha256": sha256} for name, sha256 in hashes.items()],
        "matrix": {figure: matrix(scores, figure, sites) for figure in MATRICES},
        "scores": {name: dict(by_site) for name, by_site in scores.items()},
        "lost": ledger.lost,
        "seconds": ledger.seconds,
        "bytes": ledger.bytes,
    }
