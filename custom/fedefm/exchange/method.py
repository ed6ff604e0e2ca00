"""What a method is: the stages of its round, and how the states mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedefm.exchange.coordinator import Coordinator
    from fedefm.exchange.state import RoundState

Round = Callable[["Coordinator[Any]", "RoundState[Any]"], "RoundState[Any]"]


@dataclass(frozen=True)
class Method:
    """One way to train with many hospitals.

    Attributes:
        name: what jobs and reports call it.
        one_round: plays a round with the stages of a coordinator and gives the state after it.
        exchanges: silos are taught at home by other hospitals' models; local training is for new silos only.
        travels: the teachers were trained abroad; else the steps of the visits are taken at home.
        once: nothing to wait for: all steps in a single round.
        mixing: share of Theta in every silo's weights at the start of a round; None leaves it to the schedule.
        rated: Theta goes beyond the silos' mean by the schedule's server rate.
        term: what the hospitals add to their local training: `proximal`, `contrast`, `variates`, `conditional`.
        pooled: one model sees all hospitals' images; runs in one process only.
        alternates: a pooled step sees a batch of one hospital, each in its turn; else a batch of every hospital.
    """

    name: str
    one_round: Round
    exchanges: bool = False
    travels: bool = False
    once: bool = False
    mixing: float | None = 1.0
    rated: bool = False
    term: str | None = None
    pooled: bool = False
    alternates: bool = False
