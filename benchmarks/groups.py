"""Groups of turns: what they take off a round, on simulated clocks, and what they do to Dice.

The first table is a round of the real protocol over hospitals that do nothing but take time: a gradient step takes 1,
a forward pass of a batch 1/3. Hospitals work side by side, each on one task after another, and a stage ends with the
slowest. The time of a round stands beside that of the busiest hospital's own work in it.

The second table is what `python -m benchmarks.fixed run --group turns_in_groups` has left: test Dice at equal gradient
steps, the mean over seeds with the lowest and highest.

Examples:
  python -m benchmarks.groups
  python -m benchmarks.groups --method at_home --json
  python -m benchmarks.fixed run --group turns_in_groups --workers 4 --device cpu
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.fixed.definition import load_definition
from benchmarks.fixed.store import current_results
from benchmarks.fixed.tables import markdown, spread

from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.messages import TRAINING, Assignment, Result, Stage, Task
from fedefm.exchange.methods import method_named
from fedefm.exchange.schedule import PARALLEL, Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import COMPLETE, RING, resolve
from fedefm.foundation.methods import job_settings

HOSPITALS = (4, 11, 32)
CLASSES = ("catheter", "guidewire", "vessel")
FORWARD = 1 / 3  # of a gradient step, whose backward pass takes twice the forward one
LOOKED_AT = 16.0  # batches of the 64 frames by which a hospital judges a model
ROUND = 1  # the second one: the first has local training beside it
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Took:
    """A round on simulated clocks, in gradient steps of one hospital.

    Attributes:
        turns: one after another.
        wall: from the beginning of the round to its end.
        own: of the busiest hospital's work.
    """

    turns: int
    wall: float
    own: float


@dataclass
class Clocks:
    """A `Transport` whose hospitals take time and do nothing; weights are the number 0.

    Attributes:
        corpora: label corpus of each hospital.
        wall: time so far.
        own: each hospital's work so far.
        distilled: stages of distillation so far: turns.
    """

    corpora: Mapping[str, tuple[str, ...]]
    wall: float = 0.0
    own: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    distilled: int = 0

    def perform(self, assignments: Sequence[Assignment[float]]) -> Iterator[tuple[Task, Result[float]]]:
        """Let the hospitals work side by side, each on one task after another."""
        busy: defaultdict[str, float] = defaultdict(float)
        for assignment in assignments:
            busy[assignment.task.site] += cost(assignment.task)
        self.wall += max(busy.values(), default=0.0)
        for site, seconds in busy.items():
            self.own[site] += seconds
        self.distilled += any(one.task.stage is Stage.DISTIL for one in assignments)
        for assignment in assignments:
            yield assignment.task, self._result(assignment.task)

    def _result(self, task: Task) -> Result[float]:
        report: dict[str, Any] = {"loss": 0.0, "val_dice": 0.0}
        if task.stage is Stage.PREPARE:
            report = {"corpus": list(self.corpora[task.site]), "images": {"train": 1}}
        elif task.stage is Stage.ASSESS:
            report = {"agreement": dict.fromkeys(CLASSES, 1.0)}
        return Result(task.id, 0.0 if task.stage in TRAINING else None, report, 1)


class Zero:
    """`WeightsOps` of the number 0."""

    def average(self, models: Mapping[str, float], weights: Mapping[str, float]) -> float:
        """Their mean."""
        return 0.0

    def interpolate(self, a: float, b: float, t: float) -> float:
        """Between them."""
        return 0.0

    def combine(self, models: Mapping[str, float], factors: Mapping[str, float]) -> float:
        """Their sum."""
        return 0.0

    def refusal(self, assignment: Assignment[float], result: Result[float]) -> str | None:
        """Nothing is refused."""
        return None

    def nbytes(self, weights: float) -> int:
        """Nothing travels."""
        return 0


def cost(task: Task) -> float:
    """Gradient steps that a task takes as long as."""
    judged = LOOKED_AT * FORWARD
    if task.stage is Stage.ASSESS:
        return judged
    if task.stage is Stage.DISTIL:  # each teacher is asked of every batch, and judged once
        return task.steps * (1 + FORWARD * len(task.teachers)) + judged * (1 + len(task.teachers))
    return float(task.steps)


def corpora(count: int) -> dict[str, tuple[str, ...]]:
    """Hospitals that label one class each, in turn."""
    return {f"h{k:02d}": (CLASSES[k % len(CLASSES)],) for k in range(count)}


def round_on_clocks(plan: Schedule, topology: str, count: int) -> Took:
    """A round that is not the first, on simulated clocks."""
    clocks = Clocks(corpora(count))
    graph = resolve(topology, sorted(clocks.corpora))
    server = Coordinator(plan, method_named(plan.method), graph, CLASSES, clocks, Zero(), lambda event: None)
    state = server.prepare(RoundState(0, dict.fromkeys(clocks.corpora, 0.0)))
    for _ in range(ROUND):
        state = server.one_round(state)
    wall, own, turns = clocks.wall, dict(clocks.own), clocks.distilled
    server.one_round(state)
    busiest = max(clocks.own[site] - own[site] for site in own)
    return Took(clocks.distilled - turns, clocks.wall - wall, busiest)


def plans(method: str, count: int) -> dict[str, Schedule]:
    """The job's schedule with several numbers of groups, by what the table calls them."""
    plan = replace(job_settings(method=method).schedule, compare_lone=False)
    numbers = sorted({1, 2, 3, 4, -(-count // 3), count} & set(range(1, count + 1)))
    return {str(n): replace(plan, groups=n) for n in numbers} | {PARALLEL: replace(plan, order=PARALLEL)}


def clocks(method: str) -> list[dict[str, Any]]:
    """Rows of the first table."""
    found = []
    for count in HOSPITALS:
        for topology in (COMPLETE, RING):  # in the ring a silo visits both of its neighbours
            for name, plan in plans(method, count).items():
                took = round_on_clocks(plan, topology, count)
                found.append({"hospitals": count, "topology": topology, "groups": name, **vars(took)})
    return found


def dice(folder: Path) -> list[dict[str, Any]]:
    """Rows of the second table: Dice by seed of every number of groups that has results."""
    definition, found = load_definition(folder), defaultdict[tuple[str, int, str], dict[str, float]](dict)
    wanted = {case.key for case in definition.cases("turns_in_groups")}
    for result in current_results(definition):
        case = result["case"]
        if result["key"] in wanted:
            groups = case["method"].rpartition("_")[2]
            found[case["consortium"], case["unseen"], groups][str(case["seed"])] = result["dice"]["test"]
    return [
        {"consortium": consortium, "unseen": unseen, "groups": groups, "dice": dict(sorted(by_seed.items()))}
        for (consortium, unseen, groups), by_seed in sorted(found.items())
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="fedefm", help="fedefm, at_home or turns (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="definition and results (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(words)
    timed, scored = clocks(options.method), dice(options.folder)
    if options.json:
        print(json.dumps({"clocks": timed, "dice": scored}, indent=2, sort_keys=True))
        return
    rows = [
        [str(r["hospitals"]), r["topology"], r["groups"], str(r["turns"]), f"{r['wall']:.0f}", f"{r['own']:.0f}"]
        + [f"{r['wall'] / r['own']:.2f}"]
        for r in timed
    ]
    print(markdown(["hospitals", "topology", "groups", "turns", "a round", "own work", "times"], rows))
    rows = [[r["consortium"], str(r["unseen"]), r["groups"], spread(r["dice"]), str(len(r["dice"]))] for r in scored]
    print(markdown(["consortium", "% unseen", "groups", "test Dice", "seeds"], rows))


if __name__ == "__main__":
    main()
