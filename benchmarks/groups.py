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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.fixed.definition import load_definition
from benchmarks.fixed.store import current_results
from benchmarks.fixed.tables import markdown, spread

from fedefm.exchange.clocks import Clocks, Known, Names
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.messages import Stage, Task
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


def cost(task: Task) -> float:
    """Gradient steps that a task takes as long as."""
    judged = LOOKED_AT * FORWARD
    if task.stage is Stage.ASSESS:
        return judged
    if task.stage is Stage.DISTIL:  # each teacher is asked of every batch, and judged once
        return task.steps * (1 + FORWARD * len(task.teachers)) + judged * (1 + len(task.teachers))
    return float(task.steps)


def hospitals(count: int) -> dict[str, Known]:
    """Hospitals that label one class each, in turn."""
    return {f"h{k:02d}": Known((CLASSES[k % len(CLASSES)],), 1) for k in range(count)}


def round_on_clocks(plan: Schedule, topology: str, count: int) -> Took:
    """A round that is not the first, on simulated clocks."""
    clocks = Clocks(hospitals(count), cost)
    graph = resolve(topology, sorted(clocks.known))
    server = Coordinator(plan, method_named(plan.method), graph, CLASSES, clocks, Names(), lambda event: None)
    state = server.prepare(RoundState(0, dict.fromkeys(clocks.known, "start")))
    for _ in range(ROUND):
        state = server.one_round(state)
    wall, work, turns = clocks.wall, dict(clocks.work), clocks.stages[Stage.DISTIL]
    server.one_round(state)
    busiest = max(clocks.work[site] - work[site] for site in work)
    return Took(clocks.stages[Stage.DISTIL] - turns, clocks.wall - wall, busiest)


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


def times_of(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """A round, a hospital's own work in it, and how many times as long the round is."""
    return row["wall"], row["own"], row["wall"] / row["own"]


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


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
        [*(str(r[key]) for key in ("hospitals", "topology", "groups", "turns")), *map(_short, times_of(r))]
        for r in timed
    ]
    print(markdown(["hospitals", "topology", "groups", "turns", "a round", "own work", "times"], rows))
    rows = [[r["consortium"], str(r["unseen"]), r["groups"], spread(r["dice"]), str(len(r["dice"]))] for r in scored]
    print(markdown(["consortium", "% unseen", "groups", "test Dice", "seeds"], rows))


if __name__ == "__main__":
    main()
