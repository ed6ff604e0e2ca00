"""RING: every silo averages with the two beside it on a ring.

Marfoq et al., Throughput-Optimal Topology Design for Cross-Silo Federated Learning, NeurIPS 2020; the averaging is
that of decentralised SGD (Lian et al., 2017) with even weights.
"""

from __future__ import annotations

from fedefm.exchange.messages import W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.methods.gossip import gossip_round
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import ring


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """The ring goes through all silos along edges of the topology."""
    return gossip_round(exchange, state, ring(exchange.topology.tour()).hosts)


RING = Method("ring", one_round, mixing=0.0)
