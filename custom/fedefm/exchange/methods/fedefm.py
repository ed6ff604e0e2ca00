"""The paper's round: local (new silos), overseas, distil, aggregate; and the same with other teachers, or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fedefm.exchange.groups import rows, turns
from fedefm.exchange.messages import W
from fedefm.exchange.method import Exchange, Experts, Method
from fedefm.exchange.state import RoundState

Call = Callable[
    [Exchange[Any], RoundState[Any], Sequence[str], Collection[str]],
    tuple[Experts[Any], RoundState[Any], frozenset[str]],
]
"""Who teaches these silos: their teachers, the state, and the hosts that failed a visit.

It is handed the exchange, the state, the silos whose turn it is, and the hosts that get no miss if they fail now.
"""


def one_round(exchange: Exchange[W], state: RoundState[W], call: Call) -> RoundState[W]:
    """In its turn each silo is taught at home by the teachers that `call` brings; then Theta is made of all of them.

    The first silo of a group starts from Theta. A student holds its teachers against its own labels before it learns
    from them. What it returned is assessed at its neighbours; then it flows into the next silo of its group as Theta
    did into the first, by as much as its reputation allows.

    A round has as many overseas stages as there are turns, but a host may get one miss from all of them together, and
    none if it trained at home in this round: as it would where all silos work at the same time.
    """
    took_part, failed = frozenset[str](), frozenset[str]()
    groups = rows(exchange.plan, state.silos, state.corpora, exchange.present(state), state.round)
    sources = dict.fromkeys(groups, state.theta)
    for silos in turns(groups):
        at_turn = {group: silo for group in groups for silo in group if silo in silos}
        for group, silo in at_turn.items():
            state = exchange.mix(state, sources[group], [silo])
        state, _ = exchange.local(state, [s for s in exchange.present(state) if s in silos and s not in state.trained])
        experts, state, now_failed = call(exchange, state, silos, failed | took_part)
        state, taught = exchange.distil(state, experts)
        took_part, failed = took_part | taught, failed | now_failed
        state = exchange.assess(state, [s for s in silos if s in taught], failed | took_part)
        for group, silo in at_turn.items():
            if silo in taught and silo != group[-1]:
                sources[group] = passed_on(exchange, state, sources[group], silo)
    return exchange.aggregate(state, took_part)


def passed_on(exchange: Exchange[W], state: RoundState[W], source: W | None, silo: str) -> W:
    """What the next silo starts from: as much of this one's weights as its reputation allows, the rest from before."""
    share = exchange.reputations(state, [silo])[silo]
    return (
        state.silos[silo]
        if source is None or share == 1
        else exchange.ops.interpolate(source, state.silos[silo], share)
    )


def experts_from_abroad(
    exchange: Exchange[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[Experts[W], RoundState[W], frozenset[str]]:
    """The silos' weights are trained at their neighbours and come back (Eq. 1)."""
    return exchange.overseas(state, silos, excused)


def models_at_home(
    exchange: Exchange[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[Experts[W], RoundState[W], frozenset[str]]:
    """The neighbours' own latest weights, which the server holds anyway; nothing is trained abroad."""
    able = [site for site in exchange.present(state) if site in state.trained]
    teachers = {
        silo: {host: state.silos[host] for host in exchange.topology.neighbours(silo) if host in able}
        for silo in silos
        if silo in able
    }
    return teachers, state, frozenset()


def no_teachers(
    exchange: Exchange[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[Experts[W], RoundState[W], frozenset[str]]:
    """Nobody teaches: the silos train on their own labels alone."""
    return {silo: {} for silo in silos if silo in state.trained}, state, frozenset()


FEDEFM = Method(
    "fedefm",
    partial(one_round, call=experts_from_abroad),
    exchanges=True,
    travels=True,
    mixing=None,
    takes_server_rate=True,
)
"""Do et al., 2025: experts that were trained abroad teach."""

AT_HOME = replace(FEDEFM, name="at_home", one_round=partial(one_round, call=models_at_home), travels=False)
"""The other hospitals' own models teach: what is left of FedEFM without the travel."""

TURNS = replace(FEDEFM, name="turns", one_round=partial(one_round, call=no_teachers), travels=False)
"""FedEFM's turns and server rate without any teacher: sequential federated learning (Li and Lyu, 2023)."""
