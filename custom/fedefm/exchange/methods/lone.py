"""Every hospital for itself: all steps at once and no exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedefm.exchange.messages import W
from fedefm.exchange.method import Method

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState


def one_round(run: Coordinator[W], state: RoundState[W]) -> RoundState[W]:
    """Local training; there is no Theta."""
    state, _ = run.local(state, run.present(state))
    return state


LONE = Method("lone", one_round, once=True, mixing=0.0)
