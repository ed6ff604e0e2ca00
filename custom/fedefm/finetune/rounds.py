"""The server's side of a fine-tune job in plain Python: rounds of tuning, or one visit to hospitals that tune alone.

`tune` runs over any transport, FLARE's for one; `tune_in_process` with all hospitals in this process, which is the
oracle of FLARE's adapters and what the few-shot curve uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedefm.exchange.events import CountsCapped, Listener, RunResumed
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import START, STUDENT, Assignment, Stage
from fedefm.exchange.ports import Transport
from fedefm.exchange.shares import above, capped
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.finetune.metric import Best, check_reported, replaces, value_of
from fedefm.finetune.rounds_kept import Progress, RoundsKept
from fedefm.finetune.settings import OVER, FineTune
from fedefm.finetune.tuner import TUNED, Tuner, part
from fedefm.finetune.weights import start_weights, with_theta_named
from fedefm.metrics.table import Over, of_finetune, ranges
from fedefm.models.build import Weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.training.kept import FOLDER
from fedefm.training.ledger import Ledger
from fedefm.training.ops import TensorOps
from fedefm.training.wire import TensorWire


@dataclass(frozen=True)
class Tuned:
    """What a fine-tune job leaves.

    Attributes:
        weights: the best ones of a federated job; None where each hospital keeps its own.
        figures: for the record, JSON-able.
    """

    weights: Weights | None
    figures: dict[str, Any]


def tune(
    settings: FineTune,
    sites: Sequence[str],
    start: Weights,
    transport: Transport[Weights],
    listen: Listener,
    kept: RoundsKept | None = None,
) -> Tuned:
    """Run a fine-tune job over any transport.

    Args:
        settings: the job, with the fingerprint of its Theta (`with_theta_named`), if it has one.
        sites: hospitals that take part.
        start: weights of `start_weights`.
        transport: carries the work.
        listen: is told every event.
        kept: gets the rounds of a federated job, so that the same job goes on if it was killed; whoever has published
            what comes out removes them.

    Raises:
        ConfigError: the metric is one that no hospital reports.
        CheckpointError: a round that was kept is damaged.
        QuorumError: fewer than `min_sites` hospitals took part.
    """
    ledger = Ledger(listen)
    stages = Stages(
        transport,
        TensorOps(start),
        settings.classes,
        ledger,
        rounds=settings.rounds,
        seed=settings.seed,
        min_sites=settings.min_sites,
        metrics=ranges(of_finetune(row for row in OVER[settings.task] if row is not Over.LOSS)),
    )
    state = stages.prepare(Attendance(0), sites)
    prepared = ledger.reports[Stage.PREPARE]
    check_reported(settings.metric, {site: report.get("metrics") or () for site, report in prepared.items()})
    if settings.federated:
        weights, figures = _together(settings, stages, state, start, kept)
    else:
        weights, figures = _apart(settings, stages, state, start)
    return Tuned(
        weights,
        {
            "sites": sorted(prepared),
            "corpora": {site: list(state.corpora[site]) for site in sorted(state.corpora)},
            "images": {site: dict(prepared[site]["images"]) for site in sorted(prepared)},
            "synthetic": sorted(site for site, report in prepared.items() if report.get("synthetic")),
            "lost": ledger.lost,
            "standings": ledger.standings,
            "resumed": ledger.resumed,
            "seconds": ledger.seconds,
            "bytes": ledger.bytes,
            "least_bytes": ledger.least,
            **figures,
        },
    )


def _together(
    settings: FineTune,
    stages: Stages[Weights],
    state: Attendance,
    start: Weights,
    kept: RoundsKept | None,
) -> tuple[Weights | None, dict[str, Any]]:
    """FedAvg from Theta; after every round the average is measured on the validation images."""
    now = (kept and kept.load()) or Progress(start, start, Best(0, None))
    weights, best, chosen, history = now.weights, now.best, now.chosen, list(now.history)
    state = replace(state, round=len(history))
    if history:
        stages.listen(RunResumed(len(history), now.note))
    for k in range(len(history), settings.rounds):
        if _is_over(settings, history, chosen):
            break
        state = stages.recall(state) if k else state
        parts = [part(task, settings, k) for task in stages.tasks(state, Stage.TUNE, k)]
        done, state = stages.perform(state, Stage.TUNE, [Assignment(task, {STUDENT: weights}) for task in parts])
        came = {task.site: result for task, result in done if result.weights is not None}
        stages.quorum(len(came), Stage.TUNE, k)
        weights = stages.ops.average(
            {site: result.weights for site, result in came.items() if result.weights is not None},
            capped(counts := {site: result.images for site, result in came.items()}),
        )
        if cut := above(counts):
            stages.listen(CountsCapped(k, cut))
        found, state = _validated(stages, state, weights)
        value = value_of(settings.metric, found)
        losses = {site: came[site].report.get("loss") for site in sorted(came)}
        better = replaces(settings.metric, found, history[chosen.round]["metrics"] if history else {})
        history.append({"round": k, "loss": losses, "metrics": found, "value": value, "capped": list(cut)})
        if better:
            best, chosen = weights, Best(k, value)
        if kept:
            kept.save(Progress(weights, best, chosen, tuple(history)))
        state = replace(state, round=k + 1)
    tasks = stages.tasks(state, Stage.EVALUATE, settings.rounds - 1)
    done, state = stages.perform(
        state, Stage.EVALUATE, [Assignment(task, {START: start, TUNED: best}) for task in tasks]
    )
    scores = {task.site: result.report["scores"] for task, result in done}
    return best, {"history": history, "best": asdict(chosen), "scores": scores}


def _is_over(settings: FineTune, history: Sequence[Any], chosen: Best) -> bool:
    """Whether so many rounds brought nothing better that the job stops early."""
    return bool(settings.patience and history) and len(history) - 1 - chosen.round >= settings.patience


def _validated(
    stages: Stages[Weights], state: Attendance, weights: Weights
) -> tuple[dict[str, dict[str, float | None]], Attendance]:
    """The metrics of these weights on the validation images of each hospital."""
    tasks = stages.tasks(state, Stage.VALIDATE, state.round)
    done, state = stages.perform(state, Stage.VALIDATE, [Assignment(task, {STUDENT: weights}) for task in tasks])
    return {task.site: dict(result.report["metrics"]) for task, result in done}, state


def _apart(
    settings: FineTune, stages: Stages[Weights], state: Attendance, start: Weights
) -> tuple[None, dict[str, Any]]:
    """Each hospital tunes alone and keeps its weights; figures come back."""
    tasks = [replace(task, steps=settings.steps, progress=(0.0, 1.0)) for task in stages.tasks(state, Stage.TUNE, 0)]
    done, state = stages.perform(state, Stage.TUNE, [Assignment(task, {STUDENT: start}) for task in tasks])
    stages.quorum(len(done), Stage.TUNE, 0)
    reports = {task.site: result.report for task, result in done}
    return None, {
        "history": {site: report.get("history") for site, report in reports.items()},
        "best": {site: report.get("best") for site, report in reports.items()},
        "scores": {site: report.get("scores") for site, report in reports.items()},
    }


def tune_in_process(
    settings: FineTune,
    folders: Mapping[str, Path],
    theta: Checkpoint | None,
    listen: Listener = lambda event: None,
    *,
    device: str = "cpu",
    keep: Path | None = None,
) -> Tuned:
    """Run a fine-tune job with all hospitals in this process.

    Args:
        settings: the job.
        folders: every hospital's images and labels.
        theta: where to start; None starts from random weights.
        listen: is told every event.
        device: of all hospitals.
        keep: folder in which hospitals that tune alone leave their weights, each in one of its own, and in which the
            rounds of a federated job are kept while it runs.

    Raises:
        FedefmError: too few hospitals took part, or the metric is never reported.
    """
    tuners = {
        name: Tuner(name, folder, settings, device=device, keep=None if keep is None else keep / name)
        for name, folder in sorted(folders.items())
    }
    start, named = start_weights(theta, settings), with_theta_named(settings, theta)
    kept = RoundsKept(keep / FOLDER, named, folders) if keep and settings.federated else None
    return tune(named, sorted(folders), start, InProcessTransport(tuners, TensorWire()), listen, kept)
