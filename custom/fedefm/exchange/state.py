"""What survives from one round to the next; saved at the end of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import W
from fedefm.exchange.reputation import Agreement

S = TypeVar("S", bound="Attendance")
V = TypeVar("V")


@dataclass(frozen=True)
class Attendance:
    """Who takes part: what the stages of every job keep. A new value each time, never changed in place.

    Attributes:
        round: the next round to run.
        corpora: label corpus of every hospital that has prepared.
        images: number of training images of every hospital that has prepared.
        misses: stages in a row that a hospital failed.
    """

    round: int
    corpora: dict[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    images: dict[str, int] = field(default_factory=dict, kw_only=True)
    misses: dict[str, int] = field(default_factory=dict, kw_only=True)

    def with_outcome(self: S, worked: frozenset[str], failed: frozenset[str]) -> S:
        """The state after a stage: who failed has one miss more, who worked has none, all others keep theirs."""
        kept = {site: n for site, n in self.misses.items() if site not in worked}
        more = {site: self.misses.get(site, 0) + 1 for site in failed}
        return replace(self, misses=kept | more)

    def present(self, max_misses: int) -> tuple[str, ...]:
        """Hospitals that have prepared and still answer, sorted."""
        return tuple(site for site in sorted(self.corpora) if self.misses.get(site, 0) < max_misses)


@dataclass(frozen=True)
class RoundState(Attendance, Generic[W]):
    """The state of a run between two rounds: who takes part, and every model.

    Attributes:
        silos: theta_i of every silo.
        theta: the global weights Theta; None before the first aggregate.
        trained: silos that finished their first local training.
        variates: control variates of the silos, in SCAFFOLD only.
        agreement: by host, class and silo, how far the silo's last assessed weights agreed with the host's labels.
    """

    silos: dict[str, W]
    theta: W | None = None
    trained: frozenset[str] = frozenset()
    variates: dict[str, W] = field(default_factory=dict)
    agreement: Agreement = field(default_factory=dict)

    def __post_init__(self) -> None:
        strangers = (self.trained | set(self.corpora) | set(self.misses) | set(self.variates)) - set(self.silos)
        if self.round < 0 or strangers:
            raise ProtocolError(f"round state: round {self.round} is negative or {sorted(strangers)} have no weights")

    def with_weights(self, change: Callable[[W], V]) -> RoundState[V]:
        """The same state with other values for weights, such as their names on disk; all else stays."""
        changed: dict[str, Any] = {
            "silos": {site: change(weights) for site, weights in self.silos.items()},
            "theta": None if self.theta is None else change(self.theta),
            "variates": {site: change(weights) for site, weights in self.variates.items()},
        }
        return replace(self, **changed)  # type: ignore[return-value]
