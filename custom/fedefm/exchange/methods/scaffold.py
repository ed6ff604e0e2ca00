"""SCAFFOLD: FedAvg whose steps are corrected by control variates, c - c_i.

Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020, option II:
c_i <- c_i - c + (x - y_i) / S, where S is the sum of the learning rates of the hospital's steps from x to y_i, and
c = mean of all c_i. Hospitals keep no state, so the server holds every c_i and sends the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedefm.exchange.messages import CORRECTION, W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.ports import WeightsOps
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Corrected local training, new variates, mean."""
    state = exchange.mix(state)
    start, sent = state.silos, corrections(exchange.ops, state.variates, exchange.topology.sites)
    state, reports = exchange.local(state, exchange.present(state), sent)
    fresh = {}
    for site, report in reports.items():
        rates = rate_sum(report)
        if rates is not None:
            correction = sent.get(site, {}).get(CORRECTION)
            fresh[site] = variate(exchange.ops, start[site], state.silos[site], correction, rates)
    return exchange.aggregate(replace(state, variates=state.variates | fresh), frozenset(reports))


def corrections(ops: WeightsOps[W], variates: Mapping[str, W], sites: tuple[str, ...]) -> dict[str, dict[str, W]]:
    """C - c_i of every site; a site without a variate has zero. Nothing before the first round."""
    if not variates:
        return {}
    share = 1 / len(sites)
    return {i: {CORRECTION: ops.combine(variates, {j: share - (i == j) for j in variates})} for i in sites}


def variate(ops: WeightsOps[W], start: W, end: W, correction: W | None, rates: float) -> W:
    """c_i - c + (x - y_i) / S."""
    models, factors = {"start": start, "end": end}, {"start": 1 / rates, "end": -1 / rates}
    if correction is not None:
        models[CORRECTION], factors[CORRECTION] = correction, -1.0
    return ops.combine(models, factors)


def rate_sum(report: Mapping[str, Any]) -> float | None:
    """S in a hospital's report; None where it is no usable number, and then the old variate stays."""
    value = report.get("rate_sum")
    usable = isinstance(value, (int, float)) and math.isfinite(value) and value > 1e-9
    return float(value) if usable else None  # type: ignore[arg-type]


SCAFFOLD = Method("scaffold", one_round, term="variates")
