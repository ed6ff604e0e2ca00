"""Collects the events of a run into the figures of `report.json`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fedefm.exchange.events import (
    CountsCapped,
    Event,
    RunResumed,
    SilosRated,
    StageEnded,
    StandingChanged,
    TaskDone,
    TaskLost,
)
from fedefm.exchange.messages import THETA, TRAINING, Stage, Task

RECORD_FILE = "record.json"
"""What a run leaves of its figures at its server."""


class Recorder:
    """A listener that keeps what the report needs; `figures()` gives it as JSON-able values.

    The reports that it is told are those that `exchange/bounds.py` has read: nothing in them is looked at again.
    """

    def __init__(self, classes: Sequence[str]):
        self._classes = tuple(classes)
        self._corpora: dict[str, list[str]] = {}
        self._images: dict[str, Any] = {}
        self._synthetic: set[str] = set()
        self._rounds: dict[int, dict[str, Any]] = defaultdict(lambda: {"loss": defaultdict(dict), "val_dice": {}})
        self._similarity: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
        self._expert_dice: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
        self._reputation: dict[str, dict[str, float]] = {}
        self._doubted: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
        self._capped: dict[str, list[str]] = {}
        self._scores: dict[str, dict[str, Any]] = defaultdict(dict)
        self._lone: dict[str, Any] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._bytes: dict[str, int] = defaultdict(int)
        self._least: dict[str, int] = defaultdict(int)
        self._lost: list[dict[str, Any]] = []
        self._standings: list[dict[str, Any]] = []
        self._resumed: list[dict[str, Any]] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TaskDone):
            self._task_done(event.task, event.report)
        elif isinstance(event, TaskLost):
            self._lost.append(event.lost.to_dict())
        elif isinstance(event, StandingChanged):
            self._standings.append(event.to_dict())
        elif isinstance(event, SilosRated):
            self._reputation[str(event.round)] = dict(event.reputation)
        elif isinstance(event, CountsCapped):
            self._capped[str(event.round)] = list(event.sites)
        elif isinstance(event, RunResumed):
            self._resumed.append(asdict(event))
        elif isinstance(event, StageEnded):
            self._seconds[event.stage.value] += event.seconds
            self._bytes[event.stage.value] += event.bytes
            self._least[event.stage.value] += event.least

    def figures(self) -> dict[str, Any]:
        """What was collected, under the keys of `report.json`; Theta's scores stand under `by_site`."""
        return {
            "sites": sorted(self._corpora),
            "classes": list(self._classes),
            "corpora": self._corpora,
            "images": self._images,
            "synthetic": sorted(self._synthetic),
            "dice": self._scores_of("dice"),
            "iou": self._scores_of("iou"),
            "history": [{"round": k, **_plain(v)} for k, v in sorted(self._rounds.items())],
            "emd_similarity": _plain(self._similarity),
            "expert_dice": _plain(self._expert_dice),
            "reputation": _plain(self._reputation),
            "doubted": _plain(self._doubted),
            "capped": _plain(self._capped),
            "baselines": self._lone,
            "seconds": {**self._seconds, "total": sum(self._seconds.values())},
            "bytes": {**self._bytes, "total": sum(self._bytes.values())},
            "least_bytes": {**self._least, "total": sum(self._least.values())},
            "lost": self._lost,
            "standings": self._standings,
            "resumed": self._resumed,
        }

    def _task_done(self, task: Task, report: Mapping[str, Any]) -> None:
        site, round_ = task.site, str(task.round)
        if task.stage is Stage.PREPARE:
            self._corpora[site], self._images[site] = list(report["corpus"]), report.get("images", {})
            if report.get("synthetic"):
                self._synthetic.add(site)
        elif task.stage is Stage.EVALUATE:
            for model, scores in report["scores"].items():
                self._scores[model][site] = scores
        elif task.stage is Stage.LONE:
            self._lone[site] = {"lone": {name: scores["dice"] for name, scores in report["scores"].items()}}
        elif task.stage in TRAINING:
            name = f"{task.visitor}@{site}" if task.stage is Stage.OVERSEAS else site
            self._rounds[task.round]["loss"][task.stage.value][name] = _finite(report["loss"])
            if task.stage is Stage.OVERSEAS:
                self._expert_dice[round_][site][task.visitor] = _finite(report["val_dice"])
            else:
                self._rounds[task.round]["val_dice"][site] = _finite(report["val_dice"])
            for host, value in report.get("emd_similarity", {}).items():
                self._similarity[round_][host][site] = _finite(value)
            if doubted := _doubted(report):
                self._doubted[round_][site] = doubted

    def _scores_of(self, metric: str) -> dict[str, Any]:
        """Scores by model; their mean is Theta's, or, where a method has none, that of every silo's model at home."""
        by_model = {
            model: {site: {c: scores.get(c, {}).get(metric) for c in self._classes} for site, scores in sites.items()}
            for model, sites in self._scores.items()
        }
        by_site = by_model.get(THETA, {})
        support = {
            site: {c: scores[c]["support"] for c in self._classes if c in scores}
            for sites in list(self._scores.values())[:1]
            for site, scores in sites.items()
        }
        means = {
            model: mean(v for scores in sites.values() for v in scores.values()) for model, sites in by_model.items()
        }
        at_home = (v for site, sites in by_model.items() for v in sites.get(site, {}).values())
        overall = means[THETA] if THETA in means else mean(at_home)
        return {"mean": overall, "by_site": by_site, "by_model": by_model, "model_mean": means, "support": support}


def mean(values: Any) -> float | None:
    """Mean of the values that are numbers; None where there are none."""
    numbers = [float(v) for v in values if v is not None and not math.isnan(v)]
    return math.fsum(numbers) / len(numbers) if numbers else None  # exact: who answers first changes no bit


def _doubted(report: Mapping[str, Any]) -> dict[str, float]:
    """Teachers that a student believed less than in full, and by how much; 0 for one that it could not compare."""
    shares = {host: share for host, share in report.get("shares", {}).items() if share is not None and share < 1}
    return shares | dict.fromkeys(report.get("dropped", []), 0.0)


def _finite(value: Any) -> float | None:
    """A figure that JSON can hold."""
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Defaultdicts to dicts, in sorted order."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in sorted(value.items())}
    return value
