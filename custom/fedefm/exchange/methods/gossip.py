"""Averaging with neighbours, without a server's model: what RING and MATCHA share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedefm.exchange.messages import W
from fedefm.exchange.method import Exchange
from fedefm.exchange.state import RoundState


def gossip_round(exchange: Exchange[W], state: RoundState[W], neighbours: Mapping[str, Sequence[str]]) -> RoundState[W]:
    """Local training from every silo's own weights, then each silo's mean with its neighbours that took part.

    Theta is the mean of all, to be measured; it flows back to nobody.
    """
    state, reports = exchange.local(state, exchange.present(state))
    groups = {i: [i, *(j for j in neighbours.get(i, ()) if j in reports)] for i in reports}
    mixed = {
        i: exchange.ops.average({j: state.silos[j] for j in group}, dict.fromkeys(group, 1.0))
        for i, group in groups.items()
    }
    return exchange.aggregate(replace(state, silos=state.silos | mixed), frozenset(reports))
