"""MOON: FedAvg whose hospitals keep their features close to Theta's and away from their own last ones.

Li, He, Song, Model-Contrastive Federated Learning, CVPR 2021.
"""

from __future__ import annotations

from fedefm.exchange.messages import PREVIOUS, W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """As in FedAvg; each hospital's weights of its last round go along, since hospitals keep no state."""
    previous = {site: {PREVIOUS: state.silos[site]} for site in state.trained}
    state = exchange.mix(state)
    state, reports = exchange.local(state, exchange.present(state), previous)
    return exchange.aggregate(state, frozenset(reports))


MOON = Method("moon", one_round, term="contrast")
