"""MATCHA: silos average in pairs, by a random matching of the topology that is new in every round.

Wang et al., MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling, 2019, with the budget of one
matching a round, drawn as a random maximal matching in place of the optimised activation probabilities.
"""

from __future__ import annotations

from fedefm.exchange.messages import Stage, W, task_seed
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.methods.gossip import gossip_round
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import Topology


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Who is matched with whom follows the job's seed and the round."""
    pairs = matching(exchange.topology, exchange.plan.seed, state.round)
    return gossip_round(exchange, state, {site: (other,) for site, other in pairs.items()})


def matching(topology: Topology, seed: int, round_: int) -> dict[str, str]:
    """Partner of every matched silo: edges in a random order, each taken if both its ends are still free."""
    edges = {(min(i, j), max(i, j)) for i in topology.sites for j in topology.neighbours(i)}
    partner: dict[str, str] = {}
    for i, j in sorted(edges, key=lambda edge: task_seed(seed, Stage.AGGREGATE, round_, *edge)):
        if i not in partner and j not in partner:
            partner |= {i: j, j: i}
    return partner


MATCHA = Method("matcha", one_round, mixing=0.0)
