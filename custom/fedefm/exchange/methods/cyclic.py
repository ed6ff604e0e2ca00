"""Cyclic weight transfer: one model goes from hospital to hospital and is trained at each.

Chang et al., Distributed deep learning networks among institutions for medical imaging, JAMIA 2018.
"""

from __future__ import annotations

from dataclasses import replace

from fedefm.exchange.messages import Stage, W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Hospitals in the order of their names; Theta is what the last one returned. Who fails is passed over."""
    theta, took_part = state.theta, 0
    for site in exchange.present(state):
        travelling = state.silos[site] if theta is None else theta
        state, reports = exchange.local(replace(state, silos=state.silos | {site: travelling}), [site])
        if site in reports:
            theta, took_part = state.silos[site], took_part + 1
    exchange.quorum(took_part, Stage.AGGREGATE, state.round)
    return replace(state, theta=theta)


CYCLIC = Method("cyclic", one_round, mixing=0.0)
