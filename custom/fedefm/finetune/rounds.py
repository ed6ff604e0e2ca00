"""The server's side of a fine-tune job in plain Python: rounds of tuning, or one visit to hospitals that tune alone.

`tune` runs over any transport, FLARE's for one; `tune_in_process` with all hospitals in this process, which is the
oracle of FLARE's adapters and what the few-shot curve uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedefm.exchange.coordinator import Coordinator, Transport
from fedefm.exchange.events import Listener
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task, task_seed
from fedefm.exchange.schedule import FEDAVG, Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import complete
from fedefm.finetune.metric import Best, check_reported, is_better, value_of
from fedefm.finetune.rounds_kept import FOLDER, Progress, RoundsKept
from fedefm.finetune.settings import FineTune
from fedefm.finetune.tuner import START, TUNED, Tuner, part
from fedefm.finetune.weights import start_weights
from fedefm.models.build import Weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.training.ledger import Ledger
from fedefm.training.ops import TensorOps


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
    keep: Path | None = None,
) -> Tuned:
    """Run a fine-tune job over any transport.

    Args:
        settings: the job.
        sites: hospitals that take part.
        start: weights of `start_weights`.
        transport: carries the work.
        listen: is told every event.
        keep: folder in which the rounds of a federated job are kept, so that the same job goes on if it was killed.

    Raises:
        ConfigError: the metric is one that no hospital reports.
        CheckpointError: a round that was kept is damaged.
        QuorumError: fewer than `min_sites` hospitals took part.
    """
    ledger = Ledger(listen)
    plan = Schedule(
        FEDAVG, rounds=settings.rounds, min_sites=settings.min_sites, seed=settings.seed, weigh_by_images=True
    )
    coordinator = Coordinator(plan, complete(sites), settings.classes, transport, TensorOps(start), ledger)
    state = coordinator.prepare(RoundState(0, dict.fromkeys(sites, start)))
    prepared = ledger.reports[Stage.PREPARE]
    check_reported(settings.metric, {site: report.get("metrics") or () for site, report in prepared.items()})
    if settings.federated:
        kept = RoundsKept(keep, settings, start, sites)
        weights, figures = _together(settings, coordinator, state, start, kept)
    else:
        weights, figures = _apart(settings, coordinator, state, start)
    return Tuned(
        weights,
        {
            "sites": sorted(prepared),
            "corpora": {site: list(state.corpora[site]) for site in sorted(state.corpora)},
            "images": {site: dict(prepared[site]["images"]) for site in sorted(prepared)},
            "synthetic": sorted(site for site, report in prepared.items() if report.get("synthetic")),
            "lost": ledger.lost,
            "seconds": ledger.seconds,
            "bytes": ledger.bytes,
            **figures,
        },
    )


def _together(
    settings: FineTune,
    coordinator: Coordinator[Weights],
    state: RoundState[Weights],
    start: Weights,
    kept: RoundsKept,
) -> tuple[Weights | None, dict[str, Any]]:
    """FedAvg from Theta; after every round the average is measured on the validation images."""
    now = kept.load()
    weights, best, chosen, history = now.weights, now.best, now.chosen, list(now.history)
    state = replace(state, round=len(history))
    for k in range(len(history), settings.rounds):
        if _is_over(settings, history, chosen):
            break
        done, state = coordinator.stage(
            state, Stage.TUNE, _assignments(settings, coordinator, state, Stage.TUNE, k, weights)
        )
        came = {task.site: result for task, result in done if result.weights is not None}
        coordinator.quorum(len(came), Stage.TUNE, k)
        weights = coordinator.ops.average(
            {site: result.weights for site, result in came.items() if result.weights is not None},
            {site: float(max(1, result.images)) for site, result in came.items()},
        )
        found, state = _validated(settings, coordinator, state, k, weights)
        value = value_of(settings.metric, found)
        losses = {site: came[site].report.get("loss") for site in sorted(came)}
        history.append({"round": k, "loss": losses, "metrics": found, "value": value})
        if is_better(settings.metric, value, chosen):
            best, chosen = weights, Best(k, value)
        kept.save(Progress(weights, best, chosen, tuple(history)))
        state = replace(state, round=k + 1)
    tasks = _tasks(settings, coordinator, state, Stage.EVALUATE, settings.rounds - 1)
    done, state = coordinator.stage(
        state, Stage.EVALUATE, [Assignment(task, {START: start, TUNED: best}) for task in tasks]
    )
    scores = {task.site: result.report["scores"] for task, result in done}
    kept.remove()
    return best, {"history": history, "best": asdict(chosen), "scores": scores}


def _is_over(settings: FineTune, history: Sequence[Any], chosen: Best) -> bool:
    """Whether so many rounds brought nothing better that the job stops early."""
    return bool(settings.patience and history) and len(history) - 1 - chosen.round >= settings.patience


def _validated(
    settings: FineTune, coordinator: Coordinator[Weights], state: RoundState[Weights], round_: int, weights: Weights
) -> tuple[dict[str, dict[str, float | None]], RoundState[Weights]]:
    tasks = _assignments(settings, coordinator, state, Stage.VALIDATE, round_, weights)
    done, state = coordinator.stage(state, Stage.VALIDATE, tasks)
    return {task.site: dict(result.report["metrics"]) for task, result in done}, state


def _apart(
    settings: FineTune,
    coordinator: Coordinator[Weights],
    state: RoundState[Weights],
    start: Weights,
) -> tuple[None, dict[str, Any]]:
    """Each hospital tunes alone and keeps its weights; figures come back."""
    tasks = [
        replace(task, steps=settings.steps, progress=(0.0, 1.0))
        for task in _tasks(settings, coordinator, state, Stage.TUNE, 0)
    ]
    done, state = coordinator.stage(state, Stage.TUNE, [Assignment(task, {STUDENT: start}) for task in tasks])
    coordinator.quorum(len(done), Stage.TUNE, 0)
    reports = {task.site: result.report for task, result in done}
    return None, {
        "history": {site: report.get("history") for site, report in reports.items()},
        "best": {site: report.get("best") for site, report in reports.items()},
        "scores": {site: report.get("scores") for site, report in reports.items()},
    }


def _tasks(
    settings: FineTune, coordinator: Coordinator[Weights], state: RoundState[Weights], stage: Stage, round_: int
) -> list[Task]:
    """One task for every hospital that still answers."""
    return [
        Task(stage, round_, site, site, seed=task_seed(settings.seed, stage, round_, site, site))
        for site in coordinator.present(state)
    ]


def _assignments(
    settings: FineTune,
    coordinator: Coordinator[Weights],
    state: RoundState[Weights],
    stage: Stage,
    round_: int,
    weights: Weights,
) -> list[Assignment[Weights]]:
    tasks = _tasks(settings, coordinator, state, stage, round_)
    if stage is Stage.TUNE:
        tasks = [part(task, settings, round_) for task in tasks]
    return [Assignment(task, {STUDENT: weights}) for task in tasks]


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
    rounds = None if keep is None else keep / FOLDER
    return tune(settings, sorted(folders), start_weights(theta, settings), InProcessTransport(tuners), listen, rounds)
