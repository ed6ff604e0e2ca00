"""RING: every silo averages with the two beside it on a ring.

Marfoq et al., Throughput-Optimal Topology Design for Cross-Silo Federated Learning, NeurIPS 2020; the averaging is
that of decentralised SGD (Lian et al., 2017) with even weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method
from fedefm.exchange.methods.gossip import gossip_round
from fedefm.exchange.topology import ring

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """The ring goes through all silos along edges of the topology."""
    return gossip_round(run, state, ring(run.topology.tour()).hosts)


RING = Method("ring", one_round, mixing=0.0)
