"""What a run tells while it works; a listener prints it, a recorder keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


Event = StageStarted | TaskDone | TaskLost | StageEnded | SilosRated | CountsCapped
Listener = Callable[[Event], None]
