"""The server's side of the count of pictures that two hospitals both have: it carries points that it cannot read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedefm.exchange.messages import Assignment, Result, Stage, Task, seeded_task
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights
from fedefm.survey.points import ANSWER, LEAST, MINE, MOST_BYTES, OFFERED, THEIRS

Pair = tuple[str, str]
Done = list[tuple[Task, Result[Weights]]]
LEAST_BYTES = 8


def compare(stages: Stages[Weights], state: Attendance, sites: Sequence[str]) -> list[dict[str, Any]]:
    """Have each two hospitals count the pictures that both have, as many pairs at once as there are hospitals for.

    A hospital that fails a step is compared with nobody after that; the others go on.

    Args:
        stages: of the job.
        state: who was removed.
        sites: hospitals that told their summary.

    Returns:
        For each pair, in order: its `sites`, whether they were `compared`, and how many pictures are in `common`, None
        where they are fewer than both let be told.
    """
    asked, found = set(sites), dict[Pair, int | None]()
    for round_, pairs in enumerate(meetings(sites)):
        here = [pair for pair in pairs if asked.issuperset(pair) and not state.removed.intersection(pair)]
        counts, lost, state = _meet(stages, state, round_, here)
        found |= counts
        asked -= lost
    return [
        {"sites": [one, other], "compared": (one, other) in found, "common": found.get((one, other))}
        for k, one in enumerate(sorted(sites))
        for other in sorted(sites)[k + 1 :]
    ]


def meetings(sites: Sequence[str]) -> Iterator[list[Pair]]:
    """Each pair once, in rounds in which each hospital meets one other (one stands still, the others turn)."""
    around: list[str | None] = [*sorted(sites), *([None] if len(sites) % 2 else [])]
    for _ in range(len(around) - 1):
        both = zip(around[: len(around) // 2], reversed(around), strict=False)
        yield sorted((min(a, b), max(a, b)) for a, b in both if a is not None and b is not None)
        around.insert(1, around.pop())


def _meet(
    stages: Stages[Weights], state: Attendance, round_: int, pairs: Sequence[Pair]
) -> tuple[dict[Pair, int | None], set[str], Attendance]:
    """One round: what the pairs have in common, who failed a step, and the state."""
    seed, lost = stages.seed, set[str]()

    def step(assignments: Sequence[Assignment[Weights]]) -> Done:
        nonlocal state
        if not assignments:
            return []
        done, state = stages.perform(state, assignments[0].task.stage, assignments)
        lost.update({one.task.site for one in assignments} - {task.site for task, _ in done})
        return [(task, result) for task, result in done if result.report["compared"]]

    offers = [
        Assignment[Weights](seeded_task(seed, Stage.OFFER, round_, one, other), {}, {OFFERED: MOST_BYTES})
        for one, other in pairs
    ]
    offered = _tensors(step(offers))
    matches = [
        Assignment(
            seeded_task(seed, Stage.MATCH, round_, other, one),
            {OFFERED: points},
            {MINE: nbytes(points), THEIRS: MOST_BYTES, LEAST: LEAST_BYTES},
        )
        for (one, other), points in offered.items()
    ]
    answers = _tensors(step(matches))
    counts = [
        Assignment(seeded_task(seed, Stage.COMMON, round_, one, other), {ANSWER: tables})
        for (other, one), tables in answers.items()
    ]
    return {(task.site, task.visitor): result.report["common"] for task, result in step(counts)}, lost, state


def _tensors(done: Done) -> Mapping[Pair, Weights]:
    """What came, by who sent it and for whom."""
    return {(task.site, task.visitor): result.weights for task, result in done if result.weights is not None}
