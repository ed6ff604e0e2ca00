"""The paper's round: local (new silos), overseas, distil, aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """Experts are trained abroad and teach at home; Theta is the silos' mean, passed by the server rate.

    Where silos take turns, what one returns flows into the next as Theta does into the first; a host that fails visits
    in several turns of a round has one miss, and none if it trained at home, as where all visits are one stage. What a
    silo returned is assessed at its neighbours before it is passed on, and passed on by its reputation.
    """
    source, took_part, failed = state.theta, frozenset[str](), frozenset[str]()
    for silos in run.plan.turns(sorted(state.silos), state.round):
        state = run.mix(state, source, silos)
        state, _ = run.local(state, [s for s in run.present(state) if s in silos and s not in state.trained])
        experts, state, now_failed = run.overseas(state, silos, failed | took_part)
        state, taught = run.distil(state, experts)
        took_part, failed = took_part | taught, failed | now_failed
        state = run.assess(state, [s for s in silos if s in taught], failed | took_part)
        source = passed_on(run, state, source, silos[-1]) if silos[-1] in taught else source
    return run.aggregate(state, took_part)


def passed_on(run: Coordinator[W], state: RoundState[W], source: W | None, silo: str) -> W:
    """What the next silo starts from: as much of this one's weights as its reputation allows, the rest from before."""
    share = run.reputations(state, [silo])[silo]
    return state.silos[silo] if source is None or share == 1 else run.ops.interpolate(source, state.silos[silo], share)


FEDEFM = Method("fedefm", one_round, exchanges=True, mixing=None, rated=True)
