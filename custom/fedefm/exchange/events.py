"""What a run tells while it works; a listener prints it, a recorder keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fedefm.exchange.messages import Lost, Stage, Task


@dataclass(frozen=True)
class StageStarted:
    """A stage begins with so many tasks."""

    round: int
    rounds: int
    stage: Stage
    tasks: int


@dataclass(frozen=True)
class TaskDone:
    """One task came back and was accepted."""

    task: Task
    report: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0


@dataclass(frozen=True)
class TaskLost:
    """One task did not come back, or its result was refused."""

    lost: Lost


@dataclass(frozen=True)
class StageEnded:
    """A stage is over: wall-clock seconds, and bytes of weights sent and received by the server."""

    round: int
    stage: Stage
    seconds: float
    bytes: int


@dataclass(frozen=True)
class SilosRated:
    """The round's reputation of every silo that was compared with others, in [0, 1]."""

    round: int
    reputation: Mapping[str, float]


@dataclass(frozen=True)
class CountsCapped:
    """Hospitals whose number of images counted less than they said, in the mean of a round."""

    round: int
    sites: tuple[str, ...]


def rated(event: SilosRated) -> str:
    """Every silo and its reputation, for a reader."""
    return ", ".join(f"{silo} {value:.2f}" for silo, value in sorted(event.reputation.items()))


class Standing(StrEnum):
    """What a hospital is to the job from now on."""

    AWAY = "away"
    BENCHED = "benched"
    BACK = "back"
    REMOVED = "removed"


@dataclass(frozen=True)
class StandingChanged:
    """A hospital gets no more work, no more visits, or both again.

    Attributes:
        round: when.
        site: who.
        standing: what it is from now on.
        reason: for a reader, in one line.
    """

    round: int
    site: str
    standing: Standing
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for the record."""
        return asdict(self) | {"standing": self.standing.value}


Event = StageStarted | TaskDone | TaskLost | StageEnded | SilosRated | CountsCapped | StandingChanged
Listener = Callable[[Event], None]
