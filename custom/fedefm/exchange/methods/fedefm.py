"""The paper's round: local (new silos), overseas, distil, aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """Experts are trained abroad and teach at home; Theta is the silos' mean, passed by the server rate.

    Where silos take turns, what one returns flows into the next as Theta does into the first.
    """
    source, took_part = state.theta, frozenset[str]()
    for silos in run.plan.turns(sorted(state.silos), state.round):
        state, taught = _turn(run, run.mix(state, source, silos), silos)
        took_part |= taught
        source = state.silos[silos[-1]] if silos[-1] in taught else source
    return run.aggregate(state, took_part)


def _turn(run: Coordinator[W], state: RoundState[W], silos: Sequence[str]) -> tuple[RoundState[W], frozenset[str]]:
    """Local (new silos), overseas and distil, of these silos; who took part to the end."""
    state, _ = run.local(state, [s for s in run.present(state) if s in silos and s not in state.trained])
    experts, state = run.overseas(state, silos)
    return run.distil(state, experts)


FEDEFM = Method("fedefm", one_round, exchanges=True, mixing=None, rated=True)
