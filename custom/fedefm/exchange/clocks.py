"""Hospitals that take time and move bytes, and do nothing: a run of the real protocol before there is one.

Weights are names here, and each has the same size; what a hospital has seen is known by them, as in a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fedefm.exchange.messages import TRAINING, Assignment, Result, Stage, Task
from fedefm.exchange.traffic import Moved, Traffic


@dataclass(frozen=True)
class Known:
    """What is known of a hospital before a job.

    Attributes:
        corpus: classes that it labels.
        images: that it trains on.
    """

    corpus: tuple[str, ...]
    images: int


@dataclass
class Clocks:
    """A `Transport` of names for weights; hospitals work side by side, each on one task after another.

    Attributes:
        known: of every hospital.
        seconds: that a task takes at its hospital.
        nbytes: of any weights.
        line: bytes a second between a hospital and the server.
        wall: seconds so far; a stage ends with the slowest hospital.
        work: seconds of each hospital's own work so far.
        bytes: that each hospital has got and sent so far.
        stages: how many of each kind have been done.
    """

    known: Mapping[str, Known]
    seconds: Callable[[Task], float]
    nbytes: int = 0
    line: float = float("inf")
    wall: float = 0.0
    work: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    stages: defaultdict[Stage, int] = field(default_factory=lambda: defaultdict(int))
    _traffic: Traffic[str] = field(init=False)

    def __post_init__(self) -> None:
        self._traffic = Traffic(lambda name: name, lambda name: self.nbytes)
        for site in self.known:
            self._traffic.told(site, ())

    @property
    def moved(self) -> Moved:
        """Bytes so far, and the least possible."""
        return self._traffic.moved

    def perform(self, assignments: Sequence[Assignment[str]]) -> Iterator[tuple[Task, Result[str]]]:
        """Let the hospitals work; the stage takes as long as the slowest of them needs for its work and its bytes."""
        busy: defaultdict[str, float] = defaultdict(float)
        results = []
        for assignment in assignments:
            task, before = assignment.task, self.moved.bytes
            self._traffic.pack(task.site, assignment.models)
            results.append((task, self._result(task)))
            if task.stage in TRAINING:
                self._traffic.came(task.site, task.id)
            sent, took = self.moved.bytes - before, self.seconds(task)
            self.work[task.site] += took
            self.bytes[task.site] += sent
            busy[task.site] += took + sent / self.line
        self.wall += max(busy.values(), default=0.0)
        for stage in {assignment.task.stage for assignment in assignments}:
            self.stages[stage] += 1
        yield from results

    def _result(self, task: Task) -> Result[str]:
        known, report = self.known[task.site], {"loss": 0.0, "val_dice": 0.0}
        special: dict[Stage, dict[str, Any]] = {
            Stage.PREPARE: {"corpus": list(known.corpus), "images": {"train": known.images}},
            Stage.ASSESS: {"agreement": dict.fromkeys(known.corpus, 1.0)},
            Stage.LONE: {"scores": {}},
            Stage.EVALUATE: {"scores": {}},
        }
        weights = task.id if task.stage in TRAINING else None
        return Result(task.id, weights, special.get(task.stage, report), known.images)


class Names:
    """`WeightsOps` of names: what is computed gets a new one."""

    def __init__(self, nbytes: int = 0):
        self._numbers, self._nbytes = count(), nbytes

    def average(self, models: Mapping[str, str], weights: Mapping[str, float]) -> str:
        """A mean."""
        return self._new()

    def interpolate(self, a: str, b: str, t: float) -> str:
        """Between them, or one of them."""
        return {0.0: a, 1.0: b}.get(t) or self._new()

    def combine(self, models: Mapping[str, str], factors: Mapping[str, float]) -> str:
        """A sum."""
        return self._new()

    def refusal(self, assignment: Assignment[str], result: Result[str]) -> str | None:
        """Nothing is refused."""
        return None

    def nbytes(self, weights: str) -> int:
        """As large as any."""
        return self._nbytes

    def _new(self) -> str:
        return f"computed {next(self._numbers)}"
