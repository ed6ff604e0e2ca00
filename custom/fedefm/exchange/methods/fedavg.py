"""Local training from Theta, then the mean: FedAvg, and the methods that differ from it in the local loss alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """Theta = mean of what the hospitals make of Theta."""
    state = run.mix(state)
    state, reports = run.local(state, run.present(state))
    return run.aggregate(state, frozenset(reports))


FEDAVG = Method("fedavg", one_round)
"""McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017."""

FEDAVG_RATE = Method("fedavg_rate", one_round, rated=True)
"""FedAvg with the server rate that FedEFM has: is it the exchange that wins, or the rate?"""

FEDPROX = Method("fedprox", one_round, term="proximal")
"""Li et al., Federated Optimization in Heterogeneous Networks, 2020: a pull back to Theta."""

CONDIST = Method("condist", one_round, term="conditional")
"""Wang et al., ConDistFL, 2023: Theta teaches the classes that a hospital does not label."""
