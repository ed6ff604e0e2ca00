"""A method that is no part of the package: what one more file can do."""

from dataclasses import replace

from fedefm.exchange.messages import Stage, W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Local training from Theta; the weights of the hospital with the lowest loss are the new Theta."""
    state = exchange.mix(state)
    state, reports = exchange.local(state, exchange.present(state))
    exchange.quorum(len(reports), Stage.AGGREGATE, state.round)
    best = min(sorted(reports), key=lambda site: reports[site]["loss"])
    return replace(state, theta=state.silos[best])


WINNER = Method("winner", one_round)
