"""Every hospital for itself: all steps at once and no exchange."""

from __future__ import annotations

from fedefm.exchange.messages import W
from fedefm.exchange.method import Exchange, Method
from fedefm.exchange.state import RoundState


def one_round(exchange: Exchange[W], state: RoundState[W]) -> RoundState[W]:
    """Local training; there is no Theta."""
    state, _ = exchange.local(state, exchange.present(state))
    return state


LONE = Method("lone", one_round, once=True, mixing=0.0)
