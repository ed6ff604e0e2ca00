"""One model for the images of all hospitals, as if they lay in one place: the upper reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from fedefm.exchange.messages import STUDENT, Assignment, Stage, W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W], together: Callable[[Iterable[int]], int]) -> RoundState[W]:
    """One task for the first hospital, whose process holds the others' images too; Theta is what it returns.

    Args:
        exchange: what the round may call.
        state: of the round.
        together: the task's gradient steps, from those that each hospital may take. Where a step draws a batch of every
            hospital, `max`: the busiest one sets their number. Where each step draws a batch of one hospital, `sum`.
    """
    exchange.quorum(len(exchange.present(state)), Stage.LOCAL, state.round)
    first = exchange.present(state)[0]
    steps = together(exchange.total_steps(site) for site in exchange.topology.sites)
    task = exchange.task(Stage.LOCAL, state.round, first, steps=steps)
    done, state = exchange.perform(state, Stage.LOCAL, [Assignment(task, {STUDENT: state.silos[first]})])
    for _, result in done:
        state = replace(state, theta=result.weights)
    exchange.quorum(len(exchange.present(state)) if done else 0, Stage.LOCAL, state.round)
    return state


POOLED_UPDATES = Method(
    "pooled_updates", partial(one_round, together=sum), once=True, mixing=0.0, pooled=True, alternates=True
)
"""As many updates, of as many images, as the models of all hospitals have together."""

POOLED = Method("pooled", partial(one_round, together=max), once=True, mixing=0.0, pooled=True)
