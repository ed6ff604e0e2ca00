"""MOON: FedAvg whose hospitals keep their features close to Theta's and away from their own last ones.

Li, He, Song, Model-Contrastive Federated Learning, CVPR 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import PREVIOUS, W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """As in FedAvg; each hospital's weights of its last round go along, since hospitals keep no state."""
    previous = {site: {PREVIOUS: state.silos[site]} for site in state.trained}
    state = run.mix(state)
    state, reports = run.local(state, run.present(state), previous)
    return run.aggregate(state, frozenset(reports))


MOON = Method("moon", one_round, term="contrast")
