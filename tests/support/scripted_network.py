"""A network of hospitals played by a script: it answers, answers wrongly, or stays silent, in any order."""

import hashlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event, TaskLost
from fedefm.exchange.messages import TRAINING, Assignment, Lost, Result, Stage, Task
from fedefm.exchange.method import Method
from fedefm.exchange.methods import method_named
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import Topology

CLASSES = ("catheter", "guidewire")
BAD = "NaN"
FAULTS = ("lost", "bad weights", "no weights", "stale", "swapped", "twice", "silent")

Made = tuple[str, Mapping[str, str]]


@dataclass
class Ledger:
    """Weights are the hash of how they were made; this remembers what each hash stands for.

    It is the `WeightsOps` of a coordinator and the training of the hospitals in one.
    """

    made: dict[str, Made] = field(default_factory=dict)

    def make(self, name: str, parents: Mapping[str, str]) -> str:
        digest = hashlib.sha256(repr((name, sorted(parents.items()))).encode()).hexdigest()
        self.made[digest] = (name, dict(parents))
        return digest

    def average(self, models: Mapping[str, str], weights: Mapping[str, float]) -> str:
        return self.make(f"mean {sorted(weights.items())}", models)

    def interpolate(self, a: str, b: str, t: float) -> str:
        return {0.0: a, 1.0: b}.get(t) or self.make(f"mix {t}", {"a": a, "b": b})

    def combine(self, models: Mapping[str, str], factors: Mapping[str, float]) -> str:
        return self.make(f"sum {sorted(factors.items())}", models)

    def refusal(self, assignment: Assignment[str], result: Result[str]) -> str | None:
        return "holds NaN" if result.weights == BAD else None

    def nbytes(self, weights: str) -> int:
        return 1

    def train(self, assignment: Assignment[str]) -> str:
        task = assignment.task
        return self.make(f"{task.id} steps {task.steps} seed {task.seed}", assignment.models)

    def lineage(self, weights: str) -> list[str]:
        """What they were at first (a start or a mean), then the ids of the tasks that worked on them, in order."""
        ids = []
        while "student" in self.parents(weights):
            ids.append(self.made[weights][0].split()[0])
            weights = self.parents(weights)["student"]
        return [weights, *ids[::-1]]

    def parents(self, weights: str) -> Mapping[str, str]:
        return self.made[weights][1] if weights in self.made else {}


@dataclass
class Network:
    """A `Transport` whose hospitals do `train`, but for the tasks that `fault` names."""

    train: Callable[[Assignment[Any]], Any]
    fault: Callable[[Task], str | None] = lambda task: None
    shuffle: random.Random | None = None
    corpora: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    agreement: Callable[[Task], Mapping[str, Any]] = lambda task: dict.fromkeys(CLASSES, 0.5)
    asked: list[Assignment[Any]] = field(default_factory=list)
    worked: list[str] = field(default_factory=list)

    def perform(self, assignments: Sequence[Assignment[Any]]) -> Iterator[tuple[Task, Result[Any] | Lost]]:
        self.asked += assignments
        order = list(assignments)
        if self.shuffle:
            self.shuffle.shuffle(order)
        for assignment in order:
            yield from self._outcomes(assignment)

    def _outcomes(self, assignment: Assignment[Any]) -> Iterable[tuple[Task, Result[Any] | Lost]]:
        task = assignment.task
        good, fault = self._result(assignment), self.fault(task)
        others = {
            "stale": f"{max(0, task.round - 1)}/stale/{task.visitor}@{task.site}",
            "swapped": f"{task.round}/{task.stage}/{task.site}@{task.visitor}x",
        }
        if fault in others:
            return [(task, Result(others[fault], good.weights, good.report, good.images))]
        if fault == "lost":
            return [(task, Lost.of(task, "cable cut"))]
        if fault == "silent":
            return []
        if task.stage in TRAINING and fault in ("bad weights", "no weights"):
            return [(task, Result(task.id, BAD if fault == "bad weights" else None, good.report, good.images))]
        self.worked.append(task.id)
        if fault == "twice":
            return [(task, good), (task, Result(task.id, self.train(Assignment(task, {"student": "replayed"}))))]
        return [(task, good)]

    def _result(self, assignment: Assignment[Any]) -> Result[Any]:
        task, count = assignment.task, self.images.get(assignment.task.site, 10)
        trained = {"loss": 0.5, "val_dice": 0.5}
        report: dict[str, Any] = {
            Stage.PREPARE: {"corpus": list(self.corpora.get(task.site, CLASSES)), "images": {"train": count}},
            Stage.ASSESS: {"agreement": self.agreement(task) if task.stage is Stage.ASSESS else {}},
            Stage.LONE: {"scores": {}},
            Stage.EVALUATE: {"scores": {name: {} for name in assignment.models}},
            Stage.TUNE: {"loss": 0.5},
            Stage.VALIDATE: {"metrics": {}},
        }.get(task.stage, trained)
        weights = self.train(assignment) if task.stage in TRAINING else None
        return Result(task.id, weights, report, count)

    def tasks(self, stage: Stage) -> list[Task]:
        """Tasks of one stage, in the order in which they were handed out."""
        return [a.task for a in self.asked if a.task.stage is stage]


@dataclass
class Play:
    """A coordinator over a scripted network, and everything that it said and saved."""

    plan: Schedule
    topology: Topology
    network: Network
    ops: Any
    events: list[Event] = field(default_factory=list)
    saved: list[RoundState[Any]] = field(default_factory=list)

    @property
    def rules(self) -> Method:
        return method_named(self.plan.method)

    @property
    def coordinator(self) -> Coordinator[Any]:
        return Coordinator(
            self.plan, self.rules, self.topology, CLASSES, self.network, self.ops, self.events.append, self.saved.append
        )

    @property
    def losses(self) -> list[Lost]:
        return [event.lost for event in self.events if isinstance(event, TaskLost)]


def play(plan: Schedule, topology: Topology, **script: Any) -> Play:
    """A play whose weights are hashes of their own history."""
    ledger = Ledger()
    return Play(plan, topology, Network(ledger.train, **script), ledger)


def fail_when(fault: str, **where: Any) -> Callable[[Task], str | None]:
    """A fault of every task whose fields have these values."""
    return lambda task: fault if all(getattr(task, name) == value for name, value in where.items()) else None


class Floats:
    """Weights that are single numbers."""

    def average(self, models: Mapping[str, float], weights: Mapping[str, float]) -> float:
        return math.fsum(models[s] * weights[s] for s in models) / math.fsum(weights.values())

    def interpolate(self, a: float, b: float, t: float) -> float:
        return (1 - t) * a + t * b

    def combine(self, models: Mapping[str, float], factors: Mapping[str, float]) -> float:
        return math.fsum(models[name] * factors[name] for name in models)

    def refusal(self, assignment: Assignment[float], result: Result[float]) -> str | None:
        return None if result.weights is None or math.isfinite(result.weights) else "holds NaN"

    def nbytes(self, weights: float) -> int:
        return 8


def drift(assignment: Assignment[float]) -> float:
    """Training that moves a weight half way to the site's own optimum; distillation, to the mean of the experts."""
    optimum = {"a": 1.0, "b": 10.0, "c": 100.0}
    models = dict(assignment.models)
    student = models.pop("student")
    if assignment.task.stage is Stage.DISTIL:
        return (student + sum(models.values())) / (1 + len(models))
    return (student + optimum[assignment.task.site]) / 2
