"""Local training from Theta, then the mean: FedAvg, and the methods that differ from it in the local loss alone."""

from __future__ import annotations

from fedefm.exchange.messages import W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Theta = mean of what the hospitals make of Theta."""
    state = exchange.mix(state)
    state, reports = exchange.local(state, exchange.present(state))
    return exchange.aggregate(state, frozenset(reports))


FEDAVG = Method("fedavg", one_round)
"""McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017."""

FEDAVG_RATE = Method("fedavg_rate", one_round, takes_server_rate=True)
"""FedAvg with the server rate that FedEFM has: is it the exchange that wins, or the rate?"""

FEDPROX = Method("fedprox", one_round, term="proximal")
"""Li et al., Federated Optimization in Heterogeneous Networks, 2020: a pull back to Theta."""

CONDIST = Method("condist", one_round, term="conditional")
"""Wang et al., ConDistFL, 2023: Theta teaches the classes that a hospital does not label."""
