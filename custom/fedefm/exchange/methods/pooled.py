"""One model for the images of all hospitals, as if they lay in one place: the upper reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fedefm.exchange.messages import STUDENT, Assignment, Stage, W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """One task for the first hospital, whose process holds the others' images too; Theta is what it returns."""
    run.quorum(len(run.present(state)), Stage.LOCAL, state.round)
    task = run.plan.pooled_task(run.topology, run.present(state)[0])
    done, state = run.stage(state, Stage.LOCAL, [Assignment(task, {STUDENT: state.silos[task.site]})])
    for _, result in done:
        state = replace(state, theta=result.weights)
    run.quorum(len(run.present(state)) if done else 0, Stage.LOCAL, state.round)
    return state


POOLED_UPDATES = Method("pooled_updates", one_round, once=True, mixing=0.0, pooled=True, alternates=True)
"""As many updates, of as many images, as the models of all hospitals have together."""

POOLED = Method("pooled", one_round, once=True, mixing=0.0, pooled=True)
