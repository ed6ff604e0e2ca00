"""The paper's round: local (new silos), overseas, distil, aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """Experts are trained abroad and teach at home; Theta is the silos' mean, passed by the server rate."""
    state = run.mix(state)
    state, _ = run.local(state, [site for site in run.present(state) if site not in state.trained])
    experts, state = run.overseas(state)
    state, took_part = run.distil(state, experts)
    return run.aggregate(state, took_part)


FEDEFM = Method("fedefm", one_round, exchanges=True, mixing=None, rated=True)
