"""The paper's round: local (new silos), overseas, distil, aggregate; and the same with other teachers, or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState

Call = Callable[
    ["Coordinator[Any]", "RoundState[Any]", Sequence[str], Collection[str]],
    "tuple[dict[str, dict[str, Any]], RoundState[Any], frozenset[str]]",
]
"""Gives the teachers of these silos by silo and hospital, the state, and the hosts that failed a visit."""


def one_round(run: Coordinator[W], state: RoundState[W], call: Call) -> RoundState[W]:
    """Silos are taught at home by the teachers that `call` brings; Theta is the silos' mean, passed by the server rate.

    Where silos take turns, what one returns flows into the next as Theta does into the first; a host that fails visits
    in several turns of a round has one miss, and none if it trained at home, as where all visits are one stage. What a
    silo returned is assessed at its neighbours before it is passed on, and passed on by its reputation.
    """
    source, took_part, failed = state.theta, frozenset[str](), frozenset[str]()
    for silos in run.plan.turns(sorted(state.silos), state.round):
        state = run.mix(state, source, silos)
        state, _ = run.local(state, [s for s in run.present(state) if s in silos and s not in state.trained])
        experts, state, now_failed = call(run, state, silos, failed | took_part)
        state, taught = run.distil(state, experts)
        took_part, failed = took_part | taught, failed | now_failed
        state = run.assess(state, [s for s in silos if s in taught], failed | took_part)
        source = passed_on(run, state, source, silos[-1]) if silos[-1] in taught else source
    return run.aggregate(state, took_part)


def passed_on(run: Coordinator[W], state: RoundState[W], source: W | None, silo: str) -> W:
    """What the next silo starts from: as much of this one's weights as its reputation allows, the rest from before."""
    share = run.reputations(state, [silo])[silo]
    return state.silos[silo] if source is None or share == 1 else run.ops.interpolate(source, state.silos[silo], share)


def experts_from_abroad(
    run: Coordinator[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[dict[str, dict[str, W]], RoundState[W], frozenset[str]]:
    """The silos' weights are trained at their neighbours and come back (Eq. 1)."""
    return run.overseas(state, silos, excused)


def models_at_home(
    run: Coordinator[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[dict[str, dict[str, W]], RoundState[W], frozenset[str]]:
    """The neighbours' own latest weights, which the server holds anyway; nothing is trained abroad."""
    able = [site for site in run.present(state) if site in state.trained]
    teachers = {
        silo: {host: state.silos[host] for host in run.topology.neighbours(silo) if host in able}
        for silo in silos
        if silo in able
    }
    return teachers, state, frozenset()


def no_teachers(
    run: Coordinator[W], state: RoundState[W], silos: Sequence[str], excused: Collection[str]
) -> tuple[dict[str, dict[str, W]], RoundState[W], frozenset[str]]:
    """Nobody teaches: the silos train on their own labels alone."""
    return {silo: {} for silo in silos if silo in state.trained}, state, frozenset()


FEDEFM = Method(
    "fedefm", partial(one_round, call=experts_from_abroad), exchanges=True, travels=True, mixing=None, rated=True
)
"""Do et al., 2025: experts that were trained abroad teach."""

AT_HOME = Method("at_home", partial(one_round, call=models_at_home), exchanges=True, mixing=None, rated=True)
"""The other hospitals' own models teach: what is left of FedEFM without the travel."""

TURNS = Method("turns", partial(one_round, call=no_teachers), exchanges=True, mixing=None, rated=True)
"""FedEFM's turns and server rate without any teacher: sequential federated learning (Li and Lyu, 2023)."""
